"""The support of a growing collection of labelled scans."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import reduce
from pathlib import Path
from threading import Lock
from typing import Any

from protoseg.data.preprocessing.steps import transform_key
from protoseg.data.support.label_registry import LabelRegistry
from protoseg.data.support.loading import load_support, read_support, save_support
from protoseg.engine.magnification import Magnification
from protoseg.engine.slice_axes import SliceAxes, same_plane
from protoseg.engine.slice_encoder import SliceEncoder
from protoseg.engine.support import SliceOrigin, SliceSelection, SupportSet
from protoseg.engine.support_selection import keep_most_useful
from protoseg.errors import InputError
from protoseg.ops.hashing import fingerprint, source_state

__all__ = ["LabelledScan", "LibraryState", "SupportLibrary"]

logger = logging.getLogger(__name__)

FORMAT = 2  # raise it when the code changes what a support is made of: those on disk are made again then


@dataclass(frozen=True)
class LabelledScan:
    """A scan that somebody labelled."""

    scan: str  # what users know it by
    image: str | Path
    label: str | Path
    legend: Mapping[str, str] | None = None  # value in the label map -> name; None names them label_<value>


@dataclass(frozen=True)
class LibraryState:
    """What can be segmented now."""

    supports: tuple[SupportSet, ...] = ()  # one for each plane in which scans are labelled, the largest first
    problems: Mapping[str, str] = field(default_factory=dict)  # by scan, why its labels are not used
    key: str = ""  # digits that stand for the supports

    @property
    def support(self) -> SupportSet | None:
        """The largest support; None as long as nothing is labelled."""
        return self.supports[0] if self.supports else None

    @property
    def labels(self) -> dict[str, int]:
        """Name -> value of what can be segmented, in whatever plane."""
        return {name: value for support in self.supports for name, value in support.labels.items()}

    def in_plane(self, axes: SliceAxes | None) -> LibraryState:
        """What serves a scan that is acquired in slices of these directions: its plane's, or the largest support."""
        fitting = [support for support in self.supports if same_plane(support.slice_axes, axes)] or self.supports
        return replace(self, supports=tuple(fitting[:1]))


class SupportLibrary:
    """Makes one support a plane of all labelled scans; follows what is added, changed or removed.

    What was made of a scan is kept on disk, by the states of its files, so that a restart reads no scan again. Safe
    between threads.

    Args:
        folder: for the supports of single scans.
        registry: values of the labels that come out, whatever they are in the label maps.
        transform: see `load_support`.
        image_size: see `load_support`.
        adjacent_slices: see `load_support`.
        magnification: see `load_support`.
        slices: of each scan, see `choose_slices`.
        limit: support slices in all of a plane, see `keep_most_useful`.
        limits: by label name, see `keep_most_useful`.
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
        self._lock = Lock()
        self._key: tuple[str, ...] | None = None
        self._state = LibraryState()

    def update(self, scans: Sequence[LabelledScan], encoder: SliceEncoder) -> LibraryState:
        """The support of these scans; made anew only when something changed.

        A scan whose files cannot be used is left out, and the state says why.

        Args:
            scans: all labelled scans there are.
            encoder: tells which slices are most useful.
        """
        files = [self._file(scan) for scan in scans]
        key = (encoder.fingerprint(), *(file.name for file in files))
        with self._lock:
            if key != self._key:
                self._state = self._make(list(zip(scans, files)), encoder)
                self._remove_others(files)
                self._key = key
            return self._state

    @property
    def state(self) -> LibraryState:
        """What the last update gave, at once."""
        return self._state

    def _make(self, scans: Sequence[tuple[LabelledScan, Path]], encoder: SliceEncoder) -> LibraryState:
        supports, problems = [], {}
        for scan, file in scans:
            try:
                supports.append(self._of_scan(scan, file, encoder))
            except InputError as error:
                logger.warning("The labels of %s are not used. %s", scan.scan, error)
                problems[scan.scan] = str(error)
        values = self.registry.values(name for support in supports for name in support.labels)
        named = [replace(support, labels={name: values[name] for name in support.labels}) for support in supports]

        def join(one: SupportSet, other: SupportSet) -> SupportSet:
            return keep_most_useful(one.merge(other), encoder, limit=self.limit, limits=self.limits)

        joined = (reduce(join, group) for group in _by_plane(named))
        supports = sorted(joined, key=lambda support: -len(support.origins))
        key = fingerprint(encoder.fingerprint(), *(file.name for _, file in scans))
        return LibraryState(tuple(supports), problems, key)

    def _of_scan(self, scan: LabelledScan, file: Path, encoder: SliceEncoder) -> SupportSet:
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
        origins = tuple(SliceOrigin(scan.scan, origin.slice_index) for origin in support.origins)
        support = replace(support, origins=origins)
        support = keep_most_useful(support, encoder, limit=self.limit, limits=self.limits)
        save_support(file, support)
        return support

    def _file(self, scan: LabelledScan) -> Path:
        state = fingerprint(scan.scan, source_state(scan.image), source_state(scan.label), scan.legend, self._making)
        return self.folder / f"{re.sub(r'[^A-Za-z0-9]+', '_', scan.scan)[:60]}-{state}.safetensors"

    def _remove_others(self, used: Iterable[Path]) -> None:
        keep = {file.name for file in used}
        for file in self.folder.glob("[!.]*.safetensors"):
            if file.name not in keep:
                file.unlink(missing_ok=True)


def _by_plane(supports: Sequence[SupportSet]) -> list[list[SupportSet]]:
    """Group supports whose slices compare."""
    groups: list[list[SupportSet]] = []
    for support in supports:
        fitting = [group for group in groups if same_plane(group[0].slice_axes, support.slice_axes)]
        if fitting:
            fitting[0].append(support)
        else:
            groups.append([support])
    return groups
