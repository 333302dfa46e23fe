"""What lies out of its place among the other labels loses probability, and nothing else does."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
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


def scores_of(label_map: Tensor, *, sure: float = 0.9, doubtful: Tensor | None = None) -> Tensor:
    """Log-probabilities (S, 1 + L, h, w), high for what is in the map, and for what is in `doubtful` a little higher
    than the background's."""
    classes = 1 + len(SIZES)
    one_hot = F.one_hot(label_map.long(), classes).permute(0, 3, 1, 2)
    scores = one_hot * sure + (1 - one_hot) * (1 - sure) / (classes - 1)
    if doubtful is not None:
        other = F.one_hot(doubtful.long(), classes).permute(0, 3, 1, 2) * 0.45 + 0.1 / classes
        other[:, 0] = 0.35
        scores = torch.where((doubtful > 0)[:, None], other / other.sum(1, keepdim=True), scores)
    return scores.log()


def placed(scores: Tensor, support: SupportSet) -> Tensor:
    return by_layout(scores, layouts_of(support, (SIDE, SIDE)), 1.0)


def winners(scores: Tensor) -> Tensor:
    return scores.argmax(1).to(torch.uint8)


def moved(places: Mapping[str, Place], *by: int) -> dict[str, Place]:
    return {name: tuple(a + b for a, b in zip(place, by)) for name, place in places.items()}  # type: ignore[misc]


@pytest.mark.parametrize("by", [(0, 0, 0), (1, 2, -2), (-2, -3, 1)])
def test_a_look_alike_out_of_place_goes_wherever_the_person_lies(by):
    places = moved(PLACES, *by)
    scores = scores_of(drawn(places), doubtful=drawn({"gland": ELSEWHERE}))
    assert not torch.equal(winners(scores), drawn(places))
    assert torch.equal(winners(placed(scores, support_of(PLACES))), drawn(places))


def test_what_is_surely_a_label_stays_wherever_it_is():
    found = drawn(PLACES)
    found[drawn({"gland": ELSEWHERE}) > 0] = 4
    assert torch.equal(winners(placed(scores_of(found), support_of(PLACES))), found)


def test_slices_twice_as_far_apart_are_allowed_for():
    thin = drawn(PLACES).repeat_interleave(2, dim=0)
    scores = scores_of(thin, doubtful=drawn({"gland": ELSEWHERE}).repeat_interleave(2, dim=0))
    assert torch.equal(winners(placed(scores, support_of(PLACES))), thin)


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
    scores = scores_of(torch.where(found == 4, 0, found), doubtful=torch.where(found == 4, found, 0))
    assert torch.equal(winners(placed(scores, support)), found)


def test_of_two_scans_the_one_counts_that_suits_better():
    other = {**PLACES, "gland": (5, 27, 27)}
    for places in (PLACES, other):
        found = drawn(places)
        scores = scores_of(torch.where(found == 4, 0, found), doubtful=torch.where(found == 4, found, 0))
        assert torch.equal(winners(placed(scores, support_of(PLACES, other))), found)
    doubtful = drawn({"gland": (5, 28, 1)})
    kept = winners(placed(scores_of(drawn(PLACES), doubtful=doubtful), support_of(PLACES, other)))
    assert torch.equal(kept, drawn(PLACES)), "neither of the two has it there"


def test_a_picture_stays_as_it_is():
    scores = scores_of(drawn({name: (0, *place[1:]) for name, place in PLACES.items()}, slices=1))
    assert placed(scores, support_of(PLACES)) is scores


def test_where_all_was_labelled_on_one_slice_labels_may_reach_through_the_volume():
    flat = support_of({name: (5, *place[1:]) for name, place in PLACES.items()}).take([5])
    tall = drawn(PLACES)
    liver = torch.zeros_like(tall)
    liver[:, 5:14, 3:12] = 1
    scores = scores_of(tall, doubtful=torch.where(tall == 0, liver, 0))
    assert torch.equal(winners(placed(scores, flat)), torch.where(tall == 0, liver, tall))


def test_a_layout_of_another_name_is_refused():
    with pytest.raises(InputError, match=r"^layout is 'off'; choose 'auto' or 'as_is'\.$"):
        replace(OneShotSettings(), layout="off")
