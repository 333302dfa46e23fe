"""The support of a growing collection of labelled scans."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import reduce
from pathlib import Path
from threading import Lock
from typing import Any

import torch

from protoseg.data.preprocessing.steps import transform_key
from protoseg.data.support.label_registry import LabelRegistry
from protoseg.data.support.loading import load_support, preprocessing_key, read_support, save_support
from protoseg.data.support.series_kind import labels_that_serve
from protoseg.engine.magnification import Magnification
from protoseg.engine.slice_axes import SliceAxes, same_plane
from protoseg.engine.slice_encoder import SliceEncoder
from protoseg.engine.support import SliceOrigin, SliceSelection, SupportSet
from protoseg.engine.support_selection import join_supports, keep_most_useful
from protoseg.errors import InputError
from protoseg.labels import LabelSet
from protoseg.ops.hashing import fingerprint, source_state

__all__ = ["LabelledScan", "LibraryState", "SavedSupport", "SupportLibrary"]

logger = logging.getLogger(__name__)

FORMAT = 2  # raise it when the code changes how supports are made, so that those on disk are made again


@dataclass(frozen=True)
class LabelledScan:
    """A scan that somebody labelled."""

    scan: str  # its name for users
    image: str | Path
    label: str | Path
    legend: Mapping[str, str] | None = None  # value in the label map -> name; None for label_<value>
    enabled: bool = True  # whether it serves; its support is kept even if it does not
    kind: str = ""  # kind of its series, see `series_kind`; empty if unknown
    weight: float = 1.0  # weight of its slices, 0 to 1, see `SupportSet`; with 0 it does not serve


@dataclass(frozen=True)
class SavedSupport:
    """A support in a file of its own, of a scan that is elsewhere."""

    scan: str  # its name for users
    file: Path  # named by its content
    enabled: bool = True
    kind: str = ""
    weight: float = 1.0


@dataclass(frozen=True)
class LibraryState:
    """The supports that can be segmented with now."""

    supports: tuple[SupportSet, ...] = ()  # one for each plane in which scans are labelled, the largest first
    problems: Mapping[str, str] = field(default_factory=dict)  # by scan, the reason why its labels are not used
    key: str = ""  # digits that identify the supports

    @property
    def support(self) -> SupportSet | None:
        """The largest support; None while nothing is labelled."""
        return self.supports[0] if self.supports else None

    @property
    def labels(self) -> LabelSet:
        """The labels that can be segmented, in any plane."""
        return reduce(LabelSet.merge, (support.labels for support in self.supports), LabelSet())

    def in_plane(self, axes: SliceAxes | None) -> LibraryState:
        """Choose the support for a scan with slices of these directions: that of its plane, or the largest."""
        fitting = [support for support in self.supports if same_plane(support.slice_axes, axes)] or self.supports
        return replace(self, supports=tuple(fitting[:1]))


class SupportLibrary:
    """Makes one support per plane of all labelled scans, and follows additions, changes and removals.

    The support of a scan is kept on disk, by the state of its files, so that a restart reads no scan again. Safe
    between threads.

    Args:
        folder: folder for the supports of single scans.
        registry: registry of the resulting labels' values, whatever they are in the label maps.
        transform: preprocessing, see `load_support`.
        image_size: edge of the network's input in pixels, see `load_support`.
        adjacent_slices: True for channels that are adjacent slices, see `load_support`.
        magnification: enlargement of slices, see `load_support`.
        slices: support slices of each scan, see `choose_slices`.
        limit: largest number of support slices of a plane, see `keep_most_useful`.
        limits: largest number of support slices by label name, see `keep_most_useful`.
    """

    def __init__(
        self,
        folder: str | Path,
        registry: LabelRegistry,
        *,
        transform: Callable[[dict[str, Any]], Mapping[Any, Any]],
        image_size: int,
        adjacent_slices: bool = False,
        magnification: Magnification = 1.0,
        slices: SliceSelection = "all",
        limit: int = 16,
        limits: Mapping[str, int] | None = None,
    ) -> None:
        self.folder = Path(folder)
        self.registry = registry
        self.transform = transform
        self.image_size = image_size
        self.adjacent_slices = adjacent_slices
        self.magnification = magnification
        self.slices = slices
        self.limit = limit
        self.limits = dict(limits or {})
        self._making = fingerprint(
            FORMAT, transform_key(transform), image_size, adjacent_slices, magnification, slices, limit, self.limits
        )
        self._preprocessing = preprocessing_key(transform, image_size, adjacent_slices)
        self._lock = Lock()
        self._key: tuple[Any, ...] | None = None
        self._state = LibraryState()
        self._examples: list[tuple[str, tuple[str, ...]]] = []  # kind and labels of each scan that serves
        self._of_kind: dict[str, LibraryState] = {}

    def update(
        self, scans: Sequence[LabelledScan | SavedSupport], encoder: SliceEncoder, kind: str = ""
    ) -> LibraryState:
        """Give the support of the enabled ones of some scans; it is made again only if something changed.

        A scan whose files cannot be used is left out, and the state says why.

        Args:
            scans: all labelled scans there are.
            encoder: encoder that tells which slices are most useful.
            kind: kind of the series to be segmented, see `labels_that_serve`; empty if unknown.
        """
        files = [self.support_file(scan) for scan in scans]
        decided = ((file.name, scan.enabled, scan.kind, scan.weight) for scan, file in zip(scans, files))
        key = (encoder.fingerprint(), *decided)
        with self._lock:
            serving = [pair for pair in zip(scans, files) if pair[0].enabled and pair[0].weight]
            if key != self._key:
                self._state = self._make(serving, encoder)
                self._of_kind = {}
                self._remove_others(files)
                self._key = key
            if labels_that_serve(kind, self._examples) == [set(labels) for _, labels in self._examples]:
                return self._state
            if kind not in self._of_kind:
                self._of_kind[kind] = self._make(serving, encoder, kind)
            return self._of_kind[kind]

    @property
    def state(self) -> LibraryState:
        """The result of the last update, at once."""
        return self._state

    def support_of(self, scan: LabelledScan | SavedSupport, encoder: SliceEncoder) -> SupportSet:
        """Give the support of one scan alone, whether or not it is enabled; labels have the values of their file.

        Raises:
            InputError: the files cannot be used.
        """
        return self._of_scan(scan, self.support_file(scan), encoder)

    def support_file(self, scan: LabelledScan | SavedSupport) -> Path:
        """Give the file of the support of one scan; the name depends on the scan and its labels."""
        if isinstance(scan, SavedSupport):
            return scan.file
        state = fingerprint(scan.scan, source_state(scan.image), source_state(scan.label), scan.legend, self._making)
        return self.folder / f"{re.sub(r'[^A-Za-z0-9]+', '_', scan.scan)[:60]}-{state}.safetensors"

    def check_made_alike(self, support: SupportSet) -> None:
        """Refuse a support that cannot be combined with those made here.

        Raises:
            InputError: it was preprocessed in another way, or is meant for one encoder only.
        """
        if support.preprocessing != self._preprocessing or support.encoder:
            raise InputError(
                f"The support of {support.origins[0].scan} was made by the preprocessing '{support.preprocessing}'"
                f"{f' for the encoder {support.encoder}' if support.encoder else ''}; expected '{self._preprocessing}' "
                "for any encoder. Export it again where image_size and the other options of preprocessing are as here."
            )

    def _make(
        self, scans: Sequence[tuple[LabelledScan | SavedSupport, Path]], encoder: SliceEncoder, kind: str = ""
    ) -> LibraryState:
        supports, kinds, problems = [], [], {}
        for scan, file in scans:
            try:
                supports.append(_weighted(self._of_scan(scan, file, encoder), scan.weight))
                kinds.append(scan.kind)
            except InputError as error:
                logger.warning("The labels of %s are not used. %s", scan.scan, error)
                problems[scan.scan] = str(error)
        values = self.registry.values(name for support in supports for name in support.labels)
        named = [replace(support, labels=support.labels.with_values(values)) for support in supports]
        examples = [(of, tuple(support.labels)) for of, support in zip(kinds, named, strict=True)]
        if not kind:
            self._examples = examples
        served = zip(named, labels_that_serve(kind, examples), strict=True)
        named = [_only(support, labels) for support, labels in served if labels]
        bounds: Any = {"limit": self.limit, "limits": self.limits}
        joined = (join_supports(group, encoder, **bounds) for group in _by_plane(named))
        supports = sorted(joined, key=lambda support: -len(support.origins))
        weights, of_kind = [scan.weight for scan, _ in scans], [kind, kinds] if kind else []
        key = fingerprint(encoder.fingerprint(), *(file.name for _, file in scans), weights, *of_kind)
        return LibraryState(tuple(supports), problems, key)

    def _of_scan(self, scan: LabelledScan | SavedSupport, file: Path, encoder: SliceEncoder) -> SupportSet:
        if isinstance(scan, SavedSupport):
            support = read_support(file)
            self.check_made_alike(support)
            return self._known_as(scan.scan, support, encoder)
        try:
            return read_support(file)
        except InputError:  # not there, or damaged
            support = load_support(
                scan.image,
                scan.label,
                transform=self.transform,
                image_size=self.image_size,
                label_names=scan.legend,
                slices=self.slices,
                adjacent_slices=self.adjacent_slices,
                magnification=self.magnification,
            )
        support = self._known_as(scan.scan, support, encoder)
        save_support(file, support)
        return support

    def _known_as(self, scan: str, support: SupportSet, encoder: SliceEncoder) -> SupportSet:
        origins = tuple(SliceOrigin(scan, origin.slice_index) for origin in support.origins)
        support = replace(support, origins=origins)
        return keep_most_useful(support, encoder, limit=self.limit, limits=self.limits)

    def _remove_others(self, used: Iterable[Path]) -> None:
        keep = {file.name for file in used}
        for file in self.folder.glob("[!.]*.safetensors"):
            if file.name not in keep:
                file.unlink(missing_ok=True)


def _only(support: SupportSet, labels: Collection[str]) -> SupportSet:
    return reduce(SupportSet.without_label, (name for name in support.labels if name not in labels), support)


def _weighted(support: SupportSet, weight: float) -> SupportSet:
    return replace(support, weights=None if weight == 1 else torch.full((len(support.images),), weight))


def _by_plane(supports: Sequence[SupportSet]) -> list[list[SupportSet]]:
    """Group supports by the plane of their slices."""
    groups: list[list[SupportSet]] = []
    for support in supports:
        fitting = [group for group in groups if same_plane(group[0].slice_axes, support.slice_axes)]
        if fitting:
            fitting[0].append(support)
        else:
            groups.append([support])
    return groups
