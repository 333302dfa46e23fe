"""What becomes of a match: refined, described, given back by the inferer."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from discs_and_squares import LABELS, SIZE, network, scene
from monai.data import MetaTensor

from protoseg.engine.clicks.click import Click
from protoseg.engine.inferer import FINDINGS, OneShotInferer
from protoseg.engine.one_shot import OneShotSettings, finish, match, segment
from protoseg.engine.prediction import LabelFinding, Prediction, findings_from_json
from protoseg.engine.refiners.refiner import RefinedSegmentation, Refiner
from protoseg.engine.slice_axes import GUESSED
from protoseg.engine.slice_encoder import SliceEncoder
from protoseg.engine.support import SliceOrigin, support_from_scan


@pytest.mark.parametrize("guessed", ["scan", "support", "both", "neither"])
def test_there_is_no_estimate_where_one_of_the_two_does_not_tell_its_sides(guessed: str) -> None:
    """A mirrored organ is found as surely as another."""
    image, labels = scene()
    affine = torch.diag(torch.tensor([-1.0, -1.0, 3.0, 1.0]))
    metas = ({GUESSED: "yes"} if guessed in (which, "both") else {} for which in ("support", "scan"))
    of_support, volume = (MetaTensor(image, affine=affine, meta=meta) for meta in metas)
    size = 2 * SIZE  # a patch is a pixel of the scan, and no border lowers the confidence
    support = support_from_scan(of_support, labels, LABELS, scan="a", image_size=size)
    finding = segment(volume, support, SliceEncoder(network(), size)).findings["disc"]
    if guessed in ("both", "neither"):
        assert finding.estimated_dice > 0.9
        assert finding.warning == ""
    else:
        assert finding.estimated_dice is None
        assert finding.warning == (
            "may be on the wrong side: the scan or the support does not say where left and right are"
        )


@pytest.mark.parametrize(("scale", "is_told"), [(1.0, False), (0.7, False), (1.4, False), (0.6, True), (1.6, True)])
def test_a_scan_that_shows_less_or_more_of_a_body_is_doubted(scale: float, is_told: bool) -> None:
    """Both are scaled to the network's size: a crop is seen larger."""
    image, labels = scene()
    affines = (torch.diag(torch.tensor([-size, -size, 3.0, 1.0])) for size in (1.0, scale))
    of_support, volume = (MetaTensor(image, affine=affine) for affine in affines)
    support = support_from_scan(of_support, labels, LABELS, scan="a", image_size=SIZE)
    finding = segment(volume, support, SliceEncoder(network(), SIZE)).findings["disc"]
    assert (finding.estimated_dice is None) == is_told
    assert (f"the scan shows {SIZE * scale:.0f} mm across and the labelled one {SIZE} mm" in finding.warning) == is_told
    others = replace(support, origins=tuple(origin._replace(scan="b") for origin in support.origins))
    assert support.merge(others).frame_mm == SIZE
    assert support.merge(replace(others, frame_mm=scale * SIZE)).frame_mm == (None if is_told else max(1, scale) * SIZE)


class Eraser(Refiner):
    """Takes the second label away, and remembers what it was given."""

    def refine(self, slices, coarse, *, spacing, clicks=()):
        self.given = slices, coarse, spacing, clicks
        label_map = np.where(coarse.label_map == 2, 0, coarse.label_map).astype(np.uint8)
        return RefinedSegmentation(label_map, {"disc": "moved"})


def test_a_doubt_and_a_low_estimate_leave_the_notes_of_the_refiner():
    finding = LabelFinding(0.9, 0.4, SliceOrigin("a", 2), "moved", (0.2, 0.6))
    low = "may be wrong (estimated Dice 0.40, 0.20 to 0.60): check it, or label a slice of this scan"
    assert finding.warning == f"{low}; moved"
    prediction = Prediction(np.zeros((1, 8, 8), np.uint8), {"disc": finding})
    assert prediction.without_estimates("may be upside down").findings["disc"].warning == "moved, may be upside down"


def test_a_refiner_has_the_last_word():
    image, labels = scene()
    volume = MetaTensor(image, affine=torch.diag(torch.tensor([-0.5, -0.75, 3.0, 1.0])))
    support = support_from_scan(volume, labels, LABELS, image_size=SIZE, scan="a", slices=[2])
    eraser, clicks = Eraser(), [Click(2, 5, 6, "disc")]
    plain = segment(volume, support, SliceEncoder(network(), SIZE))
    refined = segment(volume, support, SliceEncoder(network(), SIZE), refiner=eraser, clicks=clicks)
    np.testing.assert_array_equal(refined.label_map, np.where(plain.label_map == 3, 0, plain.label_map))
    assert refined.findings["square"].warning == "not found"
    assert refined.findings["disc"].note == refined.findings["disc"].warning == "moved"
    slices, coarse, spacing, given = eraser.given
    assert slices.shape == (6, 1, SIZE, SIZE)
    assert spacing == (3.0, 0.75, 0.5)
    assert given == clicks
    assert list(coarse.labels) == ["disc", "square"]
    assert set(np.unique(coarse.label_map)) == {0, 1, 2}
    # The probabilities belong to the label map.
    assert torch.equal(coarse.probability(2).argmax(0).byte(), torch.from_numpy(coarse.label_map[2]))


class Copier(Refiner):
    """Changes nothing."""

    def refine(self, slices, coarse, *, spacing, clicks=()):
        return RefinedSegmentation(coarse.label_map.copy())


def test_a_match_is_finished_from_what_it_is_given():
    """Once as it is, once from another segmentation; the confidence stays that of the matching."""
    image, labels = scene()
    support = support_from_scan(image, labels, LABELS, scan="a", image_size=SIZE)
    matched = match(image, support, SliceEncoder(network(), SIZE))
    whole, plain = segment(image, support, SliceEncoder(network(), SIZE)), finish(matched)
    assert (plain.label_map == whole.label_map).all()
    assert plain.findings == whole.findings
    without_discs = replace(matched.coarse, label_map=np.where(matched.coarse.label_map == 1, 0, 2).astype(np.uint8))
    other = finish(matched, without_discs)
    assert set(np.unique(other.label_map)) == {0, LABELS["square"]}
    assert other.findings["disc"].confidence == 0
    assert other.findings["square"].confidence == whole.findings["square"].confidence


@pytest.mark.parametrize("rule", ["support", "one", "none"])
def test_a_refiner_that_changes_nothing_changes_nothing(rule):
    image, labels = scene(discs=2)
    support = support_from_scan(image, labels, LABELS, scan="a", image_size=SIZE, slices=[2])
    settings = OneShotSettings(component_filter=rule)
    plain, refined = (
        segment(image, support, SliceEncoder(network(), SIZE), settings, refiner=refiner)
        for refiner in (None, Copier())
    )
    np.testing.assert_array_equal(refined.label_map, plain.label_map)
    assert refined.findings == plain.findings
    assert plain.findings["disc"].confidence > 0.5


class Spatterer(Refiner):
    """Adds an island to the first label, far from what was found."""

    def refine(self, slices, coarse, *, spacing, clicks=()):
        label_map = coarse.label_map.copy()
        label_map[0, :2, :2] = 1
        return RefinedSegmentation(label_map)


@pytest.mark.parametrize(("rule", "islands"), [("support", 0), ("one", 0), ("none", 4)])
def test_islands_of_the_refinement_are_components_as_others(rule, islands):
    image, labels = scene()
    support = support_from_scan(image, labels, LABELS, scan="a", image_size=SIZE)
    settings = OneShotSettings(component_filter=rule)
    found = segment(image, support, SliceEncoder(network(), SIZE), settings, refiner=Spatterer()).label_map
    assert np.count_nonzero(found[0, :2, :2]) == islands
    clicked = segment(
        image, support, SliceEncoder(network(), SIZE), settings, refiner=Spatterer(), clicks=[Click(0, 0, 0, "disc")]
    )
    assert np.count_nonzero(clicked.label_map[0, :2, :2]) == 4, "a click may have a component of its own"


def test_the_inferer_keeps_the_grid_of_its_input():
    image, labels = scene()
    support = support_from_scan(image, labels, LABELS, scan="a", image_size=SIZE)
    affine = torch.diag(torch.tensor([-2.0, -2.0, 5.0, 1.0], dtype=torch.float64))
    inputs = MetaTensor(image, affine=affine, meta={"filename_or_obj": "a.nii"})[None]
    result = OneShotInferer(support=support)(inputs, network())
    assert result.shape == (1, 1, SIZE, SIZE, 6)
    assert sorted(result.unique().tolist()) == [0, 3, 7]
    assert result.meta["filename_or_obj"] == "a.nii"
    assert torch.equal(result.affine, affine)
    assert set(findings_from_json(result.meta[FINDINGS])) == {"disc", "square"}
