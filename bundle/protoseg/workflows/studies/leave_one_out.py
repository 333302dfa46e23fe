"""Measures how well a network segments each of some labelled scans from the others."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping, Sequence
from functools import reduce
from typing import Any, NamedTuple

import torch
from torch import Tensor

from protoseg.data.io.grids import parse_label_names
from protoseg.data.preprocessing.orientation import SLICE_AXES
from protoseg.data.support.label_registry import LabelRegistry
from protoseg.data.support.library import LabelledScan
from protoseg.engine.one_shot import OneShotSettings, segment
from protoseg.engine.slice_axes import SliceAxes
from protoseg.engine.slice_encoder import SliceEncoder
from protoseg.engine.support import SupportSet, support_from_scan
from protoseg.labels import LabelSet
from protoseg.ops.slices import axial_slices

__all__ = ["LabelledVolume", "leave_one_out_dice", "read_labelled_volume"]


class LabelledVolume(NamedTuple):
    """A preprocessed scan and its labels."""

    scan: str
    image: Tensor  # C x X x Y x Z, normalized, slices along Z
    label_map: Tensor  # 1 x X x Y x Z
    labels: LabelSet  # with values that are the same for all scans


def read_labelled_volume(
    scan: LabelledScan,
    transform: Callable[[dict[str, Any]], Mapping[Any, Any]],
    registry: LabelRegistry,
    axes: SliceAxes | None = None,
) -> LabelledVolume:
    """Read a labelled scan, its labels numbered by a registry that all scans share.

    Args:
        scan: labelled scan, its files and names.
        transform: preprocessing, see `load_support`.
        registry: registry of the labels' values.
        axes: directions that its slices must follow; None for those of its plane.

    Raises:
        InputError: as in reading, or no label is left.
    """
    data = transform({"image": str(scan.image), "label": str(scan.label), SLICE_AXES: axes})
    names = parse_label_names(scan.legend, data["label"], str(scan.label))
    values = registry.values(names)
    numbered = torch.zeros_like(data["label"].as_tensor())
    for name, value in names.items():
        numbered[data["label"].as_tensor() == value] = values[name]
    return LabelledVolume(scan.scan, data["image"], numbered, values)


def leave_one_out_dice(
    volumes: Sequence[LabelledVolume], encoder: SliceEncoder, settings: OneShotSettings
) -> float | None:
    """Average the Dice over scans and labels, segmenting each scan from three slices per label of each other one.

    Args:
        volumes: scans that share a label; None is returned for fewer than two.
        encoder: encoder to judge.
        settings: settings of the segmentation.
    """
    form: Any = {"image_size": encoder.image_size, "adjacent_slices": encoder.adjacent_slices}
    supports = [
        support_from_scan(image, drawn, labels, scan=scan, slices="thirds", **form)
        for scan, image, drawn, labels in volumes
    ]
    scores: list[float] = []
    for index, volume in enumerate(volumes):
        others = supports[:index] + supports[index + 1 :]
        if others:
            scores += _dice(volume, reduce(SupportSet.merge, others), encoder, settings)
    return statistics.fmean(scores) if scores else None


def _dice(volume: LabelledVolume, support: SupportSet, encoder: SliceEncoder, settings: OneShotSettings) -> list[float]:
    predicted = torch.from_numpy(segment(volume.image, support, encoder, settings).label_map)
    true = axial_slices(volume.label_map)[:, 0]
    scores = []
    for name, value in volume.labels.items():
        if name in support.labels:
            mine, drawn = predicted == value, true == value
            scores.append(2 * float((mine & drawn).sum()) / max(float(mine.sum() + drawn.sum()), 1))
    return scores
