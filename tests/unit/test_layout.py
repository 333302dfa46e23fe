"""What lies out of its place among the other labels loses probability, and nothing else does."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from protoseg.engine.layout import by_layout, layouts_of
from protoseg.engine.settings import OneShotSettings
from protoseg.engine.support import SliceOrigin, SupportSet
from protoseg.errors import InputError
from protoseg.labels import LabelSet

SLICES, SIDE = 12, 32
Place = tuple[int, int, int]  # first slice, row and column
SIZES = {"liver": (4, 9, 9), "spleen": (3, 6, 6), "kidney": (4, 5, 5), "gland": (2, 3, 3)}
PLACES: dict[str, Place] = {"liver": (2, 5, 3), "spleen": (5, 6, 24), "kidney": (7, 20, 6), "gland": (5, 15, 15)}
ELSEWHERE: Place = (1, 27, 27)


def drawn(places: Mapping[str, Place], *, slices: int = SLICES) -> Tensor:
    """Label map (S, h, w) of boxes."""
    label_map = torch.zeros(slices, SIDE, SIDE, dtype=torch.uint8)
    for number, (name, size) in enumerate(SIZES.items(), start=1):
        if name in places:
            label_map[tuple(slice(start, start + length) for start, length in zip(places[name], size))] = number
    return label_map


def support_of(*scans: Mapping[str, Place], names: Sequence[str] = tuple(SIZES)) -> SupportSet:
    masks = torch.cat([drawn(places) for places in scans])
    return SupportSet(
        labels=LabelSet({name: number for number, name in enumerate(names, start=1)}),
        images=torch.zeros(len(masks), 3, SIDE, SIDE),
        masks=masks,
        components=dict.fromkeys(names, 1),
        origins=tuple(SliceOrigin(f"scan {k}", index) for k in range(len(scans)) for index in range(SLICES)),
    )


def scores_of(label_map: Tensor, *, sure: float = 0.9) -> Tensor:
    """Log-probabilities (S, 1 + L, h, w) of classes that are as sure everywhere."""
    classes = 1 + len(SIZES)
    one_hot = torch.nn.functional.one_hot(label_map.long(), classes).permute(0, 3, 1, 2)
    return (one_hot * sure + (1 - one_hot) * (1 - sure) / (classes - 1)).log()


def placed(scores: Tensor, support: SupportSet) -> Tensor:
    return by_layout(scores, layouts_of(support, (SIDE, SIDE)), 1.0)


def moved(places: Mapping[str, Place], *by: int) -> dict[str, Place]:
    return {name: tuple(a + b for a, b in zip(place, by)) for name, place in places.items()}  # type: ignore[misc]


@pytest.mark.parametrize("by", [(0, 0, 0), (1, 2, -2), (-2, -3, 1)])
def test_a_look_alike_out_of_place_goes_wherever_the_person_lies(by):
    places = moved(PLACES, *by)
    found = drawn(places)
    found[drawn({"gland": ELSEWHERE}) > 0] = 4
    winner = placed(scores_of(found), support_of(PLACES)).argmax(1)
    assert torch.equal(winner.to(torch.uint8), drawn(places))


def test_slices_twice_as_far_apart_are_allowed_for():
    thin = drawn(PLACES).repeat_interleave(2, dim=0)
    found = thin.clone()
    found[2:6, 27:30, 27:30] = 4
    assert torch.equal(placed(scores_of(found), support_of(PLACES)).argmax(1).to(torch.uint8), thin)


def test_what_is_in_its_place_stays_as_sure_as_it_was():
    scores = scores_of(drawn(PLACES))
    inside = drawn(PLACES) > 0
    after = placed(scores, support_of(PLACES))
    torch.testing.assert_close(after.exp().sum(1), torch.ones(SLICES, SIDE, SIDE))
    best = (scores.amax(1)[inside], after.amax(1)[inside])
    assert (best[1] >= best[0] - 1e-5).all()


def test_one_label_alone_says_nothing():
    scores = scores_of(drawn({"gland": ELSEWHERE}))
    assert placed(scores, support_of(PLACES)) is scores
    assert not layouts_of(support_of({"gland": PLACES["gland"]}), (SIDE, SIDE))


def test_labels_that_are_found_unsurely_say_nothing():
    scores = scores_of(drawn(PLACES), sure=0.3)
    assert placed(scores, support_of(PLACES)) is scores


def test_a_label_that_a_scan_does_not_show_may_lie_anywhere():
    support = support_of({name: place for name, place in PLACES.items() if name != "gland"})
    found = drawn({**PLACES, "gland": ELSEWHERE})
    assert torch.equal(placed(scores_of(found), support).argmax(1).to(torch.uint8), found)


def test_of_two_scans_the_one_counts_that_suits_better():
    other = {**PLACES, "gland": (5, 27, 27)}
    for places in (PLACES, other):
        found = drawn(places)
        assert torch.equal(placed(scores_of(found), support_of(PLACES, other)).argmax(1).to(torch.uint8), found)


def test_a_picture_has_no_place_across_slices():
    support = support_of(PLACES)
    found = drawn({name: (0, *place[1:]) for name, place in PLACES.items()}, slices=1)
    wrong = found.clone()
    wrong[0, 27:31, 27:31] = 4
    assert torch.equal(placed(scores_of(wrong), support).argmax(1).to(torch.uint8), found)


def test_where_all_was_labelled_on_one_slice_labels_may_reach_through_the_volume():
    flat = support_of({name: (5, *place[1:]) for name, place in PLACES.items()}).take([5])
    tall = drawn(PLACES)
    tall[:, 5:14, 3:12] = 1  # a liver on every slice
    assert torch.equal(placed(scores_of(tall), flat).argmax(1).to(torch.uint8), tall)


def test_a_layout_of_another_name_is_refused():
    with pytest.raises(InputError, match=r"^layout is 'off'; choose 'auto' or 'as_is'\.$"):
        replace(OneShotSettings(), layout="off")
