import pytest
import torch

from protoseg.engine.cues import gather_cues, halves_of, segment_by_halves
from protoseg.engine.quality import reverse_classification_accuracy
from protoseg.engine.support import SupportSet
from protoseg.labels import LabelSet
from protoseg.matching.kernel_matching import KernelMatching

SIZE, PATCHES = 16, 4


def features_of(masks):
    """One channel a class: patches (B, 3, 4, 4) that tell exactly what is drawn in them."""
    one_hot = torch.nn.functional.one_hot(masks.long(), 3).permute(0, 3, 1, 2).float()
    return torch.nn.functional.avg_pool2d(one_hot, SIZE // PATCHES)


def drawn(*blocks):
    """Masks (B, 16, 16), a slice a dictionary label -> (row, column) of the 4 x 4 patches it fills."""
    masks = torch.zeros(len(blocks), SIZE, SIZE, dtype=torch.uint8)
    for mask, labels in zip(masks, blocks):
        for label, patches in labels.items():
            for row, column in patches:
                mask[4 * row : 4 * row + 4, 4 * column : 4 * column + 4] = label
    return masks


TRUTH = drawn({1: [(0, 0), (0, 1), (1, 0), (1, 1)]}, {2: [(2, 2), (2, 3), (3, 2), (3, 3)]})
SUPPORT = SupportSet(
    labels=LabelSet({"liver": 5, "spleen": 9}),
    images=torch.zeros(2, 3, SIZE, SIZE),
    masks=TRUTH,
    components={"liver": 1, "spleen": 1},
    origins=(),
)


def estimate(predicted, seen):
    """Estimates when the query slices show `seen` and were segmented as `predicted`."""
    return reverse_classification_accuracy(
        KernelMatching(scale=30), features_of(seen), predicted, features_of(TRUTH), SUPPORT
    )


def test_a_right_prediction_gives_the_support_back():
    query = drawn({1: [(2, 0), (2, 1)], 2: [(0, 3)]})
    assert min(estimate(query, query).values()) > 0.65


def test_a_prediction_in_the_wrong_place_does_not():
    seen = drawn({1: [(2, 0), (2, 1)], 2: [(0, 3)]})
    shifted = drawn({1: [(3, 0), (3, 1)], 2: [(0, 3)]})  # liver drawn on background
    found = estimate(shifted, seen)
    assert found["liver"] < 0.3
    assert found["spleen"] > 0.65


def test_a_label_that_was_predicted_nowhere_gets_nothing():
    seen = drawn({1: [(2, 0)], 2: [(0, 3)]})
    assert estimate(drawn({2: [(0, 3)]}), seen)["liver"] == 0


def test_halves_that_agree_tell_that_a_label_was_found():
    def halves(noise):
        """The cue of a query slice as the support's first, where half of the channels see `noise` instead."""
        query = drawn({1: [(0, 0), (0, 1), (1, 0), (1, 1)]})
        twice = [torch.cat([features_of(masks)] * 2, dim=1) for masks in (TRUTH, query)]
        twice[1][:, 3:] = features_of(noise)
        matching = KernelMatching(scale=30)
        prototypes = matching.build(twice[0][None], SUPPORT.one_hot()[None])
        parts = [prototypes.of_channels(half) for half in halves_of(6)]
        found = segment_by_halves(matching, twice[1][0], parts, torch.tensor(0.0), SIZE)
        told = gather_cues(matching, twice[1], query, found[None], {"liver": 0}, {"liver": 0.7}, twice[0], SUPPORT)
        assert list(told) == ["liver"]
        assert told["liver"]["confidence"] == 0.7
        return told["liver"]["halves"]

    assert halves(TRUTH[:1]) == 1
    assert halves(drawn({1: [(0, 0), (0, 1)]})) == pytest.approx(2 / 3, abs=0.05)
    assert halves(drawn({1: [(2, 2), (2, 3), (3, 2), (3, 3)]})) == 0
