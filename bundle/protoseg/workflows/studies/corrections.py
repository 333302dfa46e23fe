"""What one simulated user does with a scan: look at what the library finds, correct it by clicks, accept it."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from protoseg.engine.clicks.click import Click
from protoseg.engine.clicks.segmentation import ClickSegmentation
from protoseg.engine.clicks.simulation import next_click
from protoseg.engine.slice_encoder import SliceEncoder
from protoseg.engine.support import SupportSet
from protoseg.labels import LabelSet
from protoseg.ops.slices import axial_slices, volume_from_slices
from protoseg.workflows.studies.clicks import GOOD

__all__ = ["Correction", "correct_scan"]

Mask = NDArray[np.bool_]


class Correction(NamedTuple):
    """What became of one label of a scan."""

    label: str
    dice_before: float  # as the library finds it; 0 where it does not know the label
    clicks: int  # that the user set on it
    dice: float  # as accepted, after the clicks on all labels
    seconds: float  # that its clicks took, the first answer excluded


def correct_scan(
    volume: Tensor,
    label_map: Tensor,
    labels: Mapping[str, int],
    encoder: SliceEncoder,
    *,
    support: SupportSet | None,
    scan: str,
    clicks: int,
    **arguments: Any,
) -> tuple[list[Correction], Tensor]:
    """Segment a scan by what was labelled before, and click on each label in turn until it has a Dice of .90.

    The user clicks in the middle of the largest error of a label, sees the answer, and gives up after so many clicks.
    Of labels that the scan lacks nothing is said.

    Args:
        volume: (C, X, Y, Z), normalized, slices along Z.
        label_map: (1, X, Y, Z), the ground truth: the user knows it, the engine does not.
        labels: name -> value in `label_map`.
        encoder: encoder of the scan and its support.
        support: labelled before; None for the first scan.
        scan: name of the scan.
        clicks: the most that a label gets.
        **arguments: arguments of `ClickSegmentation`.

    Returns:
        A row for each label that the scan has; and what the user accepts (1, X, Y, Z), right or wrong.
    """
    drawn = axial_slices(label_map)[:, 0].cpu().numpy()
    session = ClickSegmentation(volume, encoder, labels=LabelSet(labels), scan=scan, support=support, **arguments)
    found = np.zeros(drawn.shape, np.uint8) if support is None else session.segment([]).label_map
    set_so_far: list[Click] = []
    rows = []
    for name, value in labels.items():
        truth = drawn == value
        if not truth.any():
            continue
        before, mine, start = _dice(truth, found == value), 0, time.perf_counter()
        while mine < clicks and _dice(truth, found == value) < GOOD:
            click = next_click(truth, found == value, label=name)
            assert click is not None
            set_so_far.append(click)
            mine += 1
            found = session.segment(set_so_far).label_map
        rows.append(Correction(name, before, mine, 0.0, time.perf_counter() - start))
    accepted = [row._replace(dice=_dice(drawn == labels[row.label], found == labels[row.label])) for row in rows]
    return accepted, volume_from_slices(torch.from_numpy(found.copy())[:, None])


def _dice(truth: Mask, found: Mask) -> float:
    return 2 * float((truth & found).sum()) / float(truth.sum() + found.sum())
