"""Measures of one label, by hand; their bootstrap; the rows that an evaluation keeps."""

import math
from functools import partial

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from monai.data import MetaTensor
from monai.metrics import (
    compute_average_surface_distance,
    compute_dice,
    compute_hausdorff_distance,
    compute_iou,
    compute_surface_dice,
)

from protoseg.engine.inferer import FINDINGS
from protoseg.engine.prediction import LabelFinding, findings_to_json
from protoseg.workflows.evaluation.bootstrap import mean_interval, mean_over_labels
from protoseg.workflows.evaluation.measures import measure_label, volume_ml
from protoseg.workflows.evaluation.metrics import LabelDice

LABELS = {"liver": 2, "spleen": 1}
SPACING = (2.0, 1.0, 5.0)
AFFINE = torch.diag(torch.tensor([-2.0, 1.0, 5.0, 1.0]))  # voxels of 0.01 ml
DIAGONAL = math.sqrt(20**2 + 10**2 + 50**2)  # of 10 x 10 x 10 of them


def volume(*boxes):
    """A mask of 10 x 10 x 10 voxels with some boxes of it filled."""
    mask = torch.zeros(10, 10, 10, dtype=torch.bool)
    for box in boxes:
        mask[box] = True
    return mask


def test_overlaps_by_hand():
    # 4 voxels predicted, 6 true, 3 of them the same.
    measures = measure_label(volume(np.s_[0:4, 0, 0]), volume(np.s_[1:7, 0, 0]), AFFINE)
    assert measures["dice"] == pytest.approx(2 * 3 / (4 + 6))
    assert measures["iou"] == pytest.approx(3 / 7)
    assert measures["precision"] == pytest.approx(3 / 4)
    assert measures["recall"] == pytest.approx(3 / 6)


def test_volumes_by_hand():
    measures = measure_label(volume(np.s_[0:4, 0:5, 0:2]), volume(np.s_[0:5, 0:5, 0:2]), AFFINE)
    assert measures["volume_ml"] == pytest.approx(0.4)
    assert measures["reference_ml"] == pytest.approx(0.5)
    assert measures["volume_error_ml"] == pytest.approx(-0.1)
    assert measures["volume_error_percent"] == pytest.approx(-20)
    oblique = torch.tensor([[0.0, -3.0, 0, 7], [2.0, 0, 0, 9], [0, 0, 5.0, 1], [0, 0, 0, 1]])
    assert volume_ml(volume(np.s_[0:10, 0:10, 0]), oblique) == pytest.approx(100 * 30 / 1000)


@pytest.mark.parametrize(
    ("other", "distance"),
    [
        (np.s_[7, 4, 4], 3 * 2.0),
        (np.s_[4, 7, 4], 3 * 1.0),
        (np.s_[4, 4, 7], 3 * 5.0),
        (np.s_[7, 8, 4], math.hypot(6, 4)),
    ],
)
def test_distances_respect_the_spacing_of_each_axis(other, distance):
    measures = measure_label(volume(np.s_[4, 4, 4]), volume(other), AFFINE)
    assert measures["hd95_mm"] == pytest.approx(distance)
    assert measures["surface_distance_mm"] == pytest.approx(distance)
    assert measures["surface_dice_1mm"] == 0
    assert measures["surface_dice_3mm"] == (1 if distance <= 3 else 0)


def test_surfaces_by_hand():
    # Rods along Y, 1 mm voxels: 5 against 8 long, sharing one end, so every voxel is surface. From the shorter one
    # all distances are 0; from the longer one 0 five times, then 1, 2 and 3 mm.
    measures = measure_label(volume(np.s_[4, 0:5, 4]), volume(np.s_[4, 0:8, 4]), AFFINE)
    assert measures["surface_distance_mm"] == pytest.approx((1 + 2 + 3) / 13)
    assert measures["hd95_mm"] == pytest.approx(2 + 0.65)  # 95 % of the way from the first to the eighth of the values
    assert measures["surface_dice_1mm"] == pytest.approx(11 / 13)
    assert measures["surface_dice_3mm"] == 1


def test_what_lies_inside_is_no_surface():
    # A cube of 5 voxels an edge has 125 - 27 on its surface. Without its centre, that one's 6 neighbours are surface
    # too: 4 mm from the cube's surface along X, 2 along Y, 10 along Z, so the nearest of it is 2 mm away.
    hollow = volume(np.s_[2:7, 2:7, 2:7])
    hollow[4, 4, 4] = False
    measures = measure_label(hollow, volume(np.s_[2:7, 2:7, 2:7]), AFFINE)
    distances = [1, 1, 2, 2, 2, 2]  # of the neighbours along Y, and of those along X and Z
    assert measures["surface_distance_mm"] == pytest.approx(sum(distances) / (98 + 6 + 98))
    assert measures["surface_dice_1mm"] == pytest.approx(1 - 4 / 202)


def test_the_surface_of_a_picture_is_its_outline():
    square, smaller = torch.zeros(2, 9, 9, 1, dtype=torch.bool)
    square[1:8, 1:8], smaller[2:7, 2:7] = True, True
    measures = measure_label(smaller, square, torch.eye(4))
    # 16 voxels of the inner outline are 1 away; of the 24 of the outer one 20 are, and the corners sqrt(2).
    assert measures["surface_distance_mm"] == pytest.approx((16 + 20 + 4 * math.sqrt(2)) / 40)


NOTHING, SOMETHING = volume(), volume(np.s_[1:4, 1:4, 1:4])


@pytest.mark.parametrize(
    ("predicted", "true"), [(NOTHING, SOMETHING), (SOMETHING, NOTHING)], ids=["miss", "false alarm"]
)
def test_a_miss_and_a_false_alarm_cost_as_much_as_they_can(predicted, true):
    measures = measure_label(predicted, true, AFFINE)
    zero = ("dice", "iou", "precision", "recall", "surface_dice_1mm", "surface_dice_3mm")
    assert [measures[name] for name in zero] == [0] * 6
    assert measures["hd95_mm"] == pytest.approx(DIAGONAL)
    assert measures["surface_distance_mm"] == pytest.approx(DIAGONAL)
    assert measures["volume_error_ml"] == pytest.approx(0.27 if predicted.any() else -0.27)
    assert measures["volume_error_percent"] == pytest.approx(math.nan if predicted.any() else -100, nan_ok=True)


def test_what_is_absent_and_not_predicted_is_not_measured():
    measures = measure_label(NOTHING, NOTHING, AFFINE)
    assert measures.pop("volume_ml") == measures.pop("reference_ml") == 0
    assert all(math.isnan(value) for value in measures.values())


@settings(deadline=None, max_examples=25)
@given(st.integers(0, 2**32 - 1), st.floats(0.2, 0.8))
def test_measures_are_those_of_monai(seed, share):
    generator = torch.Generator().manual_seed(seed)
    predicted, true = torch.rand(2, 7, 6, 5, generator=generator) < share
    measures = measure_label(predicted, true, AFFINE)
    near = partial(pytest.approx, rel=1e-5)  # MONAI's distances are of single precision
    one_hot = predicted[None, None].float(), true[None, None].float()
    options = {"include_background": True, "spacing": SPACING}
    assert measures["dice"] == near(float(compute_dice(*one_hot)))
    assert measures["iou"] == near(float(compute_iou(*one_hot)))
    assert measures["hd95_mm"] == near(float(compute_hausdorff_distance(*one_hot, percentile=95, **options)))
    distance = compute_average_surface_distance(*one_hot, symmetric=True, **options)
    assert measures["surface_distance_mm"] == near(float(distance))
    assert measures["surface_dice_1mm"] == near(float(compute_surface_dice(*one_hot, [1.0], **options)))
    assert measures["surface_dice_3mm"] == near(float(compute_surface_dice(*one_hot, [3.0], **options)))


@settings(deadline=None, max_examples=15)
@given(st.tuples(*[st.integers(0, 5)] * 3))
def test_measures_do_not_depend_on_the_place_in_the_volume(corner):
    boxes = np.s_[0:4, 0:3, 0:3], np.s_[1:5, 0:4, 1:3]
    moved = [tuple(slice(s.start + c, s.stop + c) for s, c in zip(box, corner)) for box in boxes]
    here, there = (measure_label(*(volume(box) for box in pair), AFFINE) for pair in (boxes, moved))
    assert here == pytest.approx(there)


def test_the_mean_over_labels_gives_each_label_the_same_weight():
    assert mean_over_labels([[0.8, 0.5], [0.9, math.nan], [0.7, 0.6]]) == pytest.approx((0.8 + 0.55) / 2)


def test_the_interval_is_drawn_over_scans():
    # Of two scans the four draws are aa, ab, ba, bb: a quarter of the means each is 0.2 and 0.6, far more than 2.5 %.
    assert mean_interval([[0.2], [0.6]]) == pytest.approx((0.2, 0.6))
    # Labels of one scan are drawn together: these two balance each other in every draw.
    assert mean_interval([[0.2, 0.6], [0.6, 0.2]]) == pytest.approx((0.4, 0.4))
    assert mean_interval([[0.2], [math.nan]]) is None
    table = np.random.default_rng(0).normal(0.8, 0.1, (400, 1))
    low, high = mean_interval(table)
    assert (low, high) == mean_interval(table) != mean_interval(table, seed=1)
    width = 2 * 1.96 * table.std() / math.sqrt(400)
    assert high - low == pytest.approx(width, rel=0.1)


def label_map(rows, scan="scans/anna.nii.gz"):
    """A one-slice label map (1, X, Y, 1) from rows of digits, such as "0012"."""
    values = torch.tensor([[int(digit) for digit in row] for row in rows.split()])
    found = {
        "liver": LabelFinding(confidence=0.75, estimated_dice=0.9, support_slice=None),
        "spleen": LabelFinding(confidence=0.25, estimated_dice=None, support_slice=None),
    }
    meta = {"filename_or_obj": scan, "affine": AFFINE, FINDINGS: findings_to_json(found)}
    return MetaTensor(values[None, ..., None], meta=meta)


def score(*pairs, **options):
    metric = LabelDice(LABELS, **options)
    for name, (predicted, true) in zip(("anna", "bert", "carl"), pairs):
        metric.update(([label_map(predicted, f"scans/{name}.nii.gz")], [label_map(true, f"scans/{name}.nii.gz")]))
    return metric


@pytest.mark.parametrize(
    ("predicted", "true", "liver"),
    [
        ("0220 0000", "0220 0000", 1.0),
        ("0220 0000", "0022 0000", 0.5),  # 2 * 1 / (2 + 2)
        ("2222 0000", "0002 0000", 0.4),  # 2 * 1 / (4 + 1)
        ("0220 0000", "0000 0000", 0.0),  # absent, but predicted
        ("0000 0000", "0220 0000", 0.0),
        ("0000 0000", "0000 0000", math.nan),  # absent, and not predicted
        ("0110 0000", "0220 0000", 0.0),  # another label
    ],
)
def test_dice_of_one_label(predicted, true, liver):
    rows = score((predicted, true)).rows
    assert [(row["protocol"], row["scan"], row["label"]) for row in rows] == [
        ("leak_free", "anna", "liver"),
        ("leak_free", "anna", "spleen"),
    ]
    assert rows[0]["dice"] == pytest.approx(liver, nan_ok=True)


def test_surfaces_are_measured_when_asked_for():
    pair = ("0220 0000", "0022 0000")
    assert math.isnan(score(pair).rows[0]["hd95_mm"])
    assert score(pair, surfaces=True).rows[0]["hd95_mm"] == pytest.approx(0.95)  # quantile of 0 and 1 mm


def test_mean_dice_leaves_out_what_is_rightly_absent():
    metric = score(("0220", "0220"), ("0011", "0111"), ("0000", "0000"))
    assert metric.compute() == pytest.approx((1 + 0.8) / 2)
    metric.reset()
    assert metric.rows == []
    assert metric.compute() == 0.0


def test_findings_go_into_the_rows():
    liver, spleen = score(("0222", "0022")).rows
    assert (liver["confidence"], liver["estimated_dice"]) == (0.75, 0.9)
    assert (spleen["confidence"], spleen["estimated_dice"]) == (0.25, None)
