"""The evaluation protocols: what the published one knows and how it counts, by hand."""

import math

import pytest
import torch
from monai.data import MetaTensor
from torch import nn

from protoseg.engine.adaptation.test_time import Adaptation
from protoseg.engine.feature_cache import FeatureCache
from protoseg.engine.legacy_protocol import LegacyInferer, query_third, support_thirds
from protoseg.engine.refiners.refiner import RefinedSegmentation, Refiner
from protoseg.engine.support import support_from_scan
from protoseg.errors import InputError
from protoseg.matching.adaptive_prototypes import AdaptivePrototypes
from protoseg.matching.kernel_matching import KernelMatching
from protoseg.networks.alpnet import ALPNet
from protoseg.workflows.evaluation.protocols import KNOWLEDGE, LegacyDice, prepare_scan_with_ground_truth, slice_dice
from protoseg.workflows.handlers.batches import prepare_scan

SIZE = 32
LABELS = {"disc": 7, "square": 3}
ORGAN = (slice(8, 20), slice(8, 20))
GRAYS = (0.3, 0.6, 0.9)  # of the support's organ in its three thirds


class Shades(nn.Module):
    """Tells gray values apart: the features of a pixel block are smooth bumps over its mean intensity."""

    def __init__(self):
        super().__init__()
        self.centres = nn.Parameter(torch.linspace(0, 1, 8)[:, None, None])

    def forward(self, images):
        gray = nn.functional.avg_pool2d(images.mean(1, keepdim=True), 2)
        return torch.exp(-(((gray - self.centres) / 0.08) ** 2))


@pytest.fixture(params=[KernelMatching, AdaptivePrototypes])
def network(request):
    return ALPNet(encoder=Shades(), matching=request.param()).eval()


def scan(grays, value=3):
    """Image and labels (1, X, Y, Z): a square of one gray value on each slice; NaN leaves the slice empty."""
    image = torch.zeros(1, SIZE, SIZE, len(grays))
    for index, gray in enumerate(grays):
        image[0, *ORGAN, index] = 0.0 if math.isnan(gray) else gray
    return image, ((image > 0) * value).short()


def support_of(image, labels, labelled={"square": 3}, name="anna"):  # noqa: B006 - never changed
    return support_from_scan(image, labels, labelled, image_size=SIZE, scan=name, slices="all")


def legacy(support, **options):
    return LegacyInferer(support=lambda: support, **options)


def found(masks, label=0):
    """Slices on which a mask of (1, L, X, Y, Z) is not empty."""
    return masks[0, label].flatten(0, 1).any(0).nonzero()[:, 0].tolist()


@pytest.mark.parametrize(
    ("slices", "thirds"),
    [
        ([4], (4, 4, 4)),
        ([4, 5], (4, 5, 5)),
        ([4, 5, 6], (4, 5, 6)),
        (range(10, 22), (12, 16, 20)),
        ([2, 3, 9], (2, 3, 9)),
    ],
)
def test_support_slices_lie_at_a_sixth_a_half_and_five_sixths(slices, thirds):
    assert support_thirds(list(slices)) == thirds


def test_query_slices_are_split_into_thirds():
    assert [query_third(index, 10, 19) for index in range(10, 20)] == [0, 0, 0, 1, 1, 1, 2, 2, 2, 2]
    assert query_third(5, 5, 5) == 0
    assert [query_third(index, 5, 6) for index in (5, 6)] == [0, 2]


def test_thirds_are_those_of_the_published_formulae():
    """In floating point: `int(share * count)`, and `(slice - first) // ((last - first) / 3)` cut off at 2."""
    for count in range(1, 200):
        shares = [1 / 6 + (1 - 1 / 3) / 2 * third for third in range(3)]
        assert support_thirds(range(count)) == tuple(int(share * count) for share in shares)
        for index in range(count if count > 1 else 0):
            assert query_third(index, 0, count - 1) == min(int(index // ((count - 1) / 3)), 2)


def test_the_third_of_the_query_s_extent_chooses_the_support_slice(network):
    """The query's organ is as gray as the support's lowest third everywhere, so it is found in its own lowest third."""
    support = support_of(*scan([gray for gray in GRAYS for _ in range(2)]))
    image, labels = scan([math.nan] * 2 + [GRAYS[0]] * 9 + [math.nan])
    assert found(legacy(support)(image[None], network, query_label=labels[None])) == [2, 3, 4]
    # Told of another extent, from slice 5 on, it looks for the lowest third elsewhere.
    labels[..., :5] = 0
    assert found(legacy(support)(image[None], network, query_label=labels[None])) == [5, 6]


def test_slices_without_the_organ_are_not_looked_at(network):
    support = support_of(*scan([0.5] * 3))
    image, labels = scan([0.5] * 6)
    labels[..., [0, 5]] = 0
    assert found(legacy(support)(image[None], network, query_label=labels[None])) == [1, 2, 3, 4]
    assert found(legacy(support)(image[None], network, query_label=0 * labels[None])) == []


def test_every_label_is_matched_alone(network):
    """Two labels that look the same overlap, which a label map could not hold."""
    image, labels = scan([0.5] * 2)
    labels[..., 1] = torch.where(labels[..., 1] > 0, 7, 0)  # the square on one support slice, the disc on the other
    support = support_of(image, labels, LABELS)
    labels[0, 14:20] = torch.where(labels[0, 14:20] > 0, 10 - labels[0, 14:20], 0)  # both on both query slices
    masks = legacy(support, component_filter="none")(image[None], network, query_label=labels[None])
    assert masks.shape == (1, 2, SIZE, SIZE, 2)
    assert masks.dtype == torch.uint8
    assert (masks[0, 0] & masks[0, 1]).any()


def test_the_most_confident_component_of_a_slice_is_kept(network):
    image, labels = scan([0.5] * 3)
    image[0, 26:28, 26:28] = 0.5  # a smaller look-alike, on each slice
    support = support_of(*scan([0.5] * 3))
    kept = legacy(support)(image[None], network, query_label=labels[None])
    everything = legacy(support, component_filter="none")(image[None], network, query_label=labels[None])
    assert not kept[0, 0, 24:, 24:].any()
    assert everything[0, 0, 24:, 24:].any()


def test_shots_are_slices_of_the_same_third_of_several_scans(network):
    first = support_of(*scan([0.3] * 3), name="anna")
    second = support_of(*scan([0.3, 0.6, 0.9, math.nan]), name="bert")
    inferer = legacy(first.merge(second))
    origins = [[inferer.support.origins[k] for k in shots] for shots in inferer.serving("square")]
    assert origins == [[("anna", k), ("bert", k)] for k in range(3)]
    image, labels = scan([0.3] * 3)  # in the upper thirds only anna's organ is that dark
    assert found(inferer(image[None], network, query_label=labels[None])) == [0, 1, 2]


def test_a_refiner_sees_the_organ_slices_of_one_label():
    class Emptying(Refiner):
        def refine(self, slices, coarse, *, spacing, clicks=()):
            seen.append((tuple(slices.shape), tuple(coarse.labels), coarse.label_map.max(), spacing))
            assert coarse.probability(0).shape == (2, SIZE, SIZE)
            return RefinedSegmentation(coarse.label_map * 0)

    seen = []
    image, labels = scan([math.nan, 0.5, 0.5])
    affine = torch.diag(torch.tensor([-1.0, -2.0, 3.0, 1.0]))
    inferer = legacy(support_of(image, labels), refiner=Emptying())
    network = ALPNet(encoder=Shades(), matching=KernelMatching()).eval()
    masks = inferer(MetaTensor(image[None], affine=affine), network, query_label=labels[None])
    assert seen == [((2, 1, SIZE, SIZE), ("square",), 1, (3.0, 2.0, 1.0))]
    assert not masks.any()


class Blinding(Adaptation):
    """In place of training: every slice gets a network to which all looks the same, so that it finds nothing."""

    def __init__(self):
        super().__init__(scope="slice", augmentation=None, steps=1, optimizer=None)
        self.learned = []

    def to_slices(self, network, slices, guard=None):
        self.learned.append(slices)
        return ALPNet(encoder=Shades(), matching=KernelMatching(scale=0.01)).eval()


def test_adaptation_learns_from_the_prediction_on_each_slice_and_is_forgotten(network):
    image, labels = scan([math.nan, 0.5, 0.5])
    adaptation, support = Blinding(), support_of(image, labels)
    before = legacy(support, component_filter="none")(image[None], network, query_label=labels[None])
    inferer = legacy(support, component_filter="none", adaptation=adaptation)
    after = inferer(image[None], network, query_label=labels[None])
    assert [tuple(slices.images.shape) for slices in adaptation.learned] == [(1, 3, SIZE, SIZE)] * 2
    for index, slices in zip((1, 2), adaptation.learned):
        assert torch.equal(slices.masks[0], before[0, 0, ..., index].as_tensor().T)
    assert before.any() and not after.any()


def test_support_is_made_when_it_is_needed_and_encoded_once(network):
    calls = []
    image, labels = scan([0.5] * 6)
    support = support_of(image, labels)
    cache = FeatureCache()
    inferer = LegacyInferer(support=lambda: calls.append(1) or support, cache=cache)
    assert not calls
    for _ in range(2):
        inferer(image[None], network, query_label=labels[None])
    assert calls == [1]
    assert cache.misses <= 6  # all slices are the same


def test_a_query_without_label_map_is_refused(network):
    inferer = legacy(support_of(*scan([0.5] * 3)))
    with pytest.raises(InputError, match=r"^The legacy protocol needs the query's own label map .* leak_free, which"):
        inferer(torch.zeros(1, 1, SIZE, SIZE, 2), network)
    with pytest.raises(
        InputError, match=r"^component_filter of the legacy protocol is 'support'; choose 'one' or 'none'.$"
    ):
        legacy(None, component_filter="support")
    volume = Adaptation(scope="volume", augmentation=None, steps=1, optimizer=None)
    with pytest.raises(InputError, match=r"^The scope of adaptation is 'volume'; the legacy protocol adapts to each"):
        legacy(None, adaptation=volume)


def test_only_the_legacy_protocol_shows_the_truth_to_the_inferer():
    batch = {"image": torch.zeros(1, 1, 2, 2, 2), "label": torch.ones(1, 1, 2, 2, 2)}
    assert len(prepare_scan(batch)) == 2, "an image and a ground truth, which MONAI's evaluator keeps for the metric"
    image, ground_truth, positional, keywords = prepare_scan_with_ground_truth(batch)
    assert (image is batch["image"], ground_truth is batch["label"], positional) == (True, True, ())
    assert keywords == {"query_label": batch["label"]}
    assert prepare_scan_with_ground_truth({"image": batch["image"]})[3] == {"query_label": None}


def masks(*slices):
    """A mask (X, Y, Z) from its slices, each a word of zeros and ones."""
    return torch.tensor([[int(digit) for digit in word] for word in slices]).T[None].bool()


# Slice by slice: 2 * 1 / (2 + 2), 2 * 4 / (4 + 4), nothing found of 2; the first slice holds no organ.
TRUE = masks("0000", "1100", "1111", "0011")
PREDICTED = masks("1111", "0110", "1111", "0000")


def test_slice_dice_by_hand():
    assert slice_dice(PREDICTED, TRUE) == pytest.approx((0.5 + 1.0 + 0.0) / 3)
    assert math.isnan(slice_dice(PREDICTED, TRUE & False))


def test_the_legacy_dice_by_hand():
    meta = {"filename_or_obj": "scans/anna.nii.gz"}
    metric = LegacyDice(LABELS)
    prediction = MetaTensor(torch.stack([PREDICTED, TRUE]).byte(), meta=meta)
    ground_truth = MetaTensor(7 * TRUE[None].short(), meta=meta)
    metric.update(([prediction], [ground_truth]))
    disc, square = metric.rows
    assert (disc["protocol"], disc["scan"], disc["label"], disc["slices"]) == ("legacy", "anna", "disc", 3)
    assert disc["dice"] == pytest.approx(2 * 5 / (6 + 8)), "slices together; the first one does not count"
    assert disc["slice_dice"] == pytest.approx(0.5)
    assert math.isnan(square["dice"]), "what is not there does not count, whatever was predicted"
    assert (square["slices"], metric.compute()) == (0, disc["dice"])


def test_each_protocol_says_what_it_knows_in_one_line():
    assert list(KNOWLEDGE) == ["leak_free", "legacy"]
    assert not any("\n" in line for line in KNOWLEDGE.values())
