"""Labelled scans that agree, and those whose labels conflict with the others'."""

from dataclasses import replace
from functools import reduce

import pytest
import torch
from shades_of_gray import LABELS, SIZE, network, scan

from protoseg.engine.agreement import Found, compare, doubts_by_label, judge, leave_one_out
from protoseg.engine.feature_cache import FeatureCache
from protoseg.engine.prediction import LabelFinding, Prediction, findings_from_json, findings_to_json
from protoseg.engine.slice_encoder import SliceEncoder
from protoseg.engine.support import SliceOrigin, SupportSet, support_from_scan
from protoseg.workflows.reports.doubts import support_doubts

ENCODER = SliceEncoder(network(), SIZE)
SWAPPED = {"ball": LABELS["rod"], "rod": LABELS["ball"]}


def labelled(name, labels=LABELS, shift=0):
    """Three slices of a person, who stands a little aside; with other values, somebody mixed up the labels."""
    volume, drawn = scan(shift)
    label_map = torch.from_numpy(drawn).permute(2, 1, 0)[None]
    support = support_from_scan(volume, label_map, labels, image_size=SIZE, scan=name, slices=[4, 5, 6])
    return replace(support, labels=support.labels.with_values(LABELS))


def joined(*supports):
    return reduce(SupportSet.merge, supports)


def test_scans_that_agree_are_not_doubted():
    agreements = leave_one_out(joined(labelled("a"), labelled("b", shift=2), labelled("c", shift=4)), ENCODER)
    assert {scan: set(mine) for scan, mine in agreements.items()} == {name: {"ball", "rod"} for name in "abc"}
    for mine in agreements.values():
        for agreement in mine.values():
            assert (agreement.dice > 0.7, agreement.doubt) == (True, "")
    assert doubts_by_label(agreements) == {}


def test_labels_that_were_mixed_up_are_doubted():
    good = [labelled(name, shift=shift) for shift, name in enumerate("abc")]
    agreements = leave_one_out(joined(*good, labelled("d", SWAPPED)), ENCODER)
    assert agreements["d"]["rod"].dice < 0.1
    assert agreements["d"]["rod"].instead == "ball"
    assert {scan for scan, mine in agreements.items() if mine["rod"].doubt} == {"d"}
    doubts = doubts_by_label(agreements)
    assert doubts.keys() == {"ball", "rod"}
    assert len(doubts["rod"]) == 1
    assert doubts["rod"][0].startswith("check its label in d, which agrees with the other examples by a Dice of 0.0")
    assert doubts["rod"][0].endswith(", which find ball there")


def test_of_two_that_conflict_both_are_doubted():
    agreements = leave_one_out(joined(labelled("a"), labelled("b", SWAPPED)), ENCODER)
    assert {scan for scan, mine in agreements.items() if mine["rod"].doubt} == {"a", "b"}
    assert agreements["a"]["rod"].usual is None
    assert "with the other example by a Dice of 0.0" in agreements["a"]["rod"].doubt
    assert agreements["a"]["rod"].doubt.endswith(" only, which finds ball there")


def test_one_scan_has_nothing_to_be_held_against():
    assert leave_one_out(labelled("a"), ENCODER) == {}
    assert support_doubts(labelled("a"), None) == {}, "without so much as a look at the network"


def test_a_label_that_was_not_drawn_on_a_slice_is_not_missed_there():
    some = labelled("a")
    without = replace(some, masks=some.masks * (some.masks != some.labels.position("ball")))
    unknown = replace(without, known=torch.tensor([[False, True]] * 3))
    half = joined(unknown, replace(labelled("a").take([0]), origins=(SliceOrigin("a", 9),)))
    found = judge(half, labelled("b", shift=2), ENCODER)
    assert found["ball"].dice > 0.7
    missed = judge(replace(half, known=None), labelled("b", shift=2), ENCODER)
    assert missed["ball"].dice < 0.5, "three of the four slices have the ball, and nobody drew it"


def test_slices_that_do_not_compare_are_not_judged():
    assert judge(labelled("a"), replace(labelled("b"), preprocessing="another"), ENCODER) == {}


def test_labels_go_by_name_whatever_their_values():
    other = labelled("b", shift=2)
    other = replace(other, labels=other.labels.with_values({"ball": 1, "rod": 2}))
    assert min(found.dice for found in judge(other, labelled("a"), ENCODER).values()) > 0.7


def doubted(*dice):
    """Whether the label of the first of some scans is doubted, by what others find of it on each."""
    found = {str(number): {"liver": Found(value, "")} for number, value in enumerate(dice)}
    return bool(compare(found)["0"]["liver"].doubt)


def test_a_run_looks_at_the_slices_where_labels_are_largest():
    support, cache = joined(labelled("a"), labelled("b", SWAPPED, shift=2)), FeatureCache()
    doubts = support_doubts(support, network(), cache=cache)
    assert doubts == doubts_by_label(leave_one_out(support, ENCODER)), "as in Python"
    assert [doubt.split(",")[0] for doubt in doubts["rod"]] == [f"check its label in {name}" for name in "ab"]
    assert (len(support.images), len(cache.items())) == (6, 4), (
        "the ball is largest on the second, the rod alike on all"
    )


def test_what_is_doubted_is_much_worse_than_usual():
    assert doubted(0.65, 0.9, 0.9, 0.9)
    assert not doubted(0.72, 0.9, 0.9, 0.9), "a little less is no reason"
    assert not doubted(0.6, 0.9, 0.8, 0.7), "where the others differ as much among themselves"
    assert doubted(0.4, 0.9, 0.8, 0.7)
    assert (doubted(0.2, 0.2), doubted(0.4, 0.4)) == (True, False), "of two, nobody knows what is usual"


def test_usual_is_what_the_others_reach():
    found = {name: {"liver": Found(dice, "")} for name, dice in (("a", 0.9), ("b", 0.8), ("c", 0.4), ("d", 0.7))}
    agreements = compare(found)
    assert [agreements[name]["liver"].usual for name in "ac"] == pytest.approx([0.7, 0.8])


def test_findings_warn_of_examples_that_are_doubted():
    found = Prediction(torch.zeros(1).numpy(), {name: LabelFinding(1, 0.4, SliceOrigin("a", 1)) for name in "xy"})
    findings = found.with_doubts({"x": ["check d"]}).findings
    assert findings["x"].warning.endswith("; check d")
    assert "check d" not in findings["y"].warning
    assert findings_from_json(findings_to_json(findings)) == findings
