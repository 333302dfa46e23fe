"""Clicks on one scan, each answered with a segmentation; each can be undone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from protoseg.data.prepared_scan import PreparedScan
from protoseg.engine.clicks.click import Click
from protoseg.engine.clicks.segmentation import ClickSegmentation
from protoseg.engine.clicks.slice_segmenter import SliceSegmenter
from protoseg.engine.slice_encoder import SliceEncoder
from protoseg.engine.support import SupportSet
from protoseg.errors import InputError
from protoseg.labels import LabelSet
from protoseg.segmentation import Segmentation
from protoseg.workflows.engine_parts import EngineParts

__all__ = ["Session"]

Place = tuple[float, float, float]


class Session:
    """A scan that is clicked on. Not safe between threads.

    Args:
        parts: network, and settings of the segmentation.
        scan: scan to be clicked on.
        encoder: encoder of slices.
        support: support from other scans; its labels are found, too.
        labels: names that may be clicked on, or one, beside those of the support.
        slice_segmenter: segmenter that makes masks from clicks; by default the one that uses the network's features.
        doubts: doubts about the support by label, for the findings, see `doubts_by_label`.

    Raises:
        InputError: there is neither a support nor a label.
    """

    def __init__(
        self,
        parts: EngineParts,
        scan: PreparedScan,
        encoder: SliceEncoder,
        *,
        support: SupportSet | None = None,
        labels: Sequence[str] = (),
        slice_segmenter: SliceSegmenter | None = None,
        doubts: Mapping[str, Sequence[str]] | None = None,
    ) -> None:
        names = (labels,) if isinstance(labels, str) else labels
        if not all(name.strip() for name in names):
            raise InputError(f"The labels to click on are {list(names)}; expected names, such as liver.")
        self.labels = (support.labels if support else LabelSet()).with_names(names)
        if not self.labels:
            raise InputError("There is nothing to click on: name labels, or add a labelled scan before.")
        self.scan = scan
        self._doubts = doubts or {}
        self._weights = encoder.fingerprint()
        self._clicks: list[Click] = []
        self._segmentation = ClickSegmentation(
            scan.image,
            encoder,
            labels=self.labels,
            scan=str(scan.source.meta["filename_or_obj"]),
            support=support,
            settings=parts.settings,
            refiner=parts.refiner,
            slice_segmenter=slice_segmenter,
        )

    @property
    def clicks(self) -> tuple[Click, ...]:
        """The clicks so far, on the prepared volume."""
        return tuple(self._clicks)

    def click(
        self, at: Place, label: str | None = None, *, positive: bool = True, millimeters: bool = False
    ) -> Segmentation:
        """Mark a place as inside or outside a label, and segment the scan again.

        Args:
            at: voxel index (x, y, z) of the image's file; or, with `millimeters`, RAS+ mm.
            label: name of the label; needed if there are several.
            positive: True if the place belongs to the label.
            millimeters: True if `at` is in mm.

        Raises:
            InputError: the place lies outside the image or the body in it, or the label is unknown.
        """
        label = self._label(label)
        self._clicks.append(Click(*self._place(at, millimeters), label, positive))
        try:
            return self.segment()
        except InputError:
            self._clicks.pop()
            raise

    def undo(self) -> Segmentation | None:
        """Undo the last click and give the segmentation before it; None where there was none.

        Raises:
            InputError: there is no click.
        """
        if not self._clicks:
            raise InputError("There is no click to take back.")
        self._clicks.pop()
        return self.segment() if self._clicks or self._segmentation.support else None

    def segment(self) -> Segmentation:
        """Segment the scan with the clicks so far.

        Raises:
            InputError: there is neither a click on a label nor a support.
        """
        prediction = self._segmentation.segment(self._clicks).with_doubts(self._doubts)
        return Segmentation.of(prediction, self.scan, self.labels, self._weights)

    def _place(self, at: Place, millimeters: bool) -> tuple[int, int, int]:
        try:
            index: NDArray[np.float64] = np.asarray(at, float)
        except (TypeError, ValueError):
            index = np.empty(0)
        if index.shape != (3,) or not np.isfinite(index).all():
            raise InputError(f"A click is at {at!r}, expected three numbers x, y, z.")
        if millimeters:
            to_index = np.linalg.inv(self.scan.grid.affine)
            index = to_index[:3, :3] @ index + to_index[:3, 3]
        voxel = self.scan.grid.voxel((index[0], index[1], index[2]))
        if voxel is None:
            found = ", ".join(f"{i:g}" for i in index.round(1))
            size = " x ".join(map(str, self.scan.grid.shape))
            raise InputError(f"A click is at the voxel {found}, outside of the image of {size} voxels.")
        if self.scan.grid.is_cropped((index[0], index[1], index[2])):
            raise InputError(f"A click is at {at}, outside of the body that was found. Click on the structure.")
        x, y, z = voxel
        return z, y, x

    def _label(self, label: str | None) -> str:
        if label is None and len(self.labels) == 1:
            return self.labels.name_at(1)
        if label is None or label not in self.labels:
            asked = "no label" if label is None else f"the label '{label}'"
            raise InputError(f"A click is on {asked}; name one of {', '.join(self.labels)}.")
        return label
