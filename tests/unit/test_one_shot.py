from dataclasses import replace

import numpy as np
import pytest
import torch
from discs_and_squares import LABELS, SIZE, Shades, network, scene
from hypothesis import given, settings
from hypothesis import strategies as st
from monai.data import MetaTensor

from protoseg.engine.feature_cache import FeatureCache
from protoseg.engine.inferer import OneShotInferer
from protoseg.engine.matched_volume import MatchedVolume
from protoseg.engine.one_shot import OneShotSettings, segment
from protoseg.engine.slice_axes import GUESSED
from protoseg.engine.slice_encoder import SliceEncoder
from protoseg.engine.support import support_from_scan
from protoseg.errors import InputError
from protoseg.matching.adaptive_prototypes import AdaptivePrototypes
from protoseg.matching.kernel_matching import KernelMatching
from protoseg.networks.alpnet import ALPNet
from protoseg.networks.encoders import TimmEncoder
from protoseg.networks.fpn import FPNEncoder
from protoseg.networks.slice_adapter import SliceAdapter


def dice(prediction, labels, value):
    first, second = torch.as_tensor(prediction) == value, labels[0].permute(2, 1, 0) == value
    return 2 * (first & second).sum() / (first.sum() + second.sum())


@pytest.mark.parametrize("matching", [KernelMatching(), AdaptivePrototypes()])
@pytest.mark.parametrize("support_selection", ["similar", "nearest", "all"])
def test_one_labelled_slice_finds_the_rest(matching, support_selection):
    image, labels = scene()
    support = support_from_scan(image, labels, LABELS, scan="a", image_size=SIZE)
    found = segment(
        image, support, SliceEncoder(network(matching), SIZE), OneShotSettings(support_selection=support_selection)
    )
    assert dice(found.label_map, labels, 3) > 0.9
    assert dice(found.label_map, labels, 7) > 0.85
    assert not found.label_map[[0, 5]].any(), "an empty slice stays empty"
    assert found.findings["disc"].confidence > 0.5


@pytest.mark.parametrize("support_selection", ["similar", "nearest", "all"])
def test_labels_that_are_lost_in_resizing_are_not_found(support_selection):
    image, labels = scene()
    support = support_from_scan(image, labels, LABELS, scan="a", image_size=SIZE)
    lost = replace(support, masks=torch.zeros_like(support.masks))
    found = segment(image, lost, SliceEncoder(network(), SIZE), OneShotSettings(support_selection=support_selection))
    assert not found.label_map.any()


def test_the_label_map_lies_on_a_grid_that_is_not_square():
    image, labels = scene(width=48, height=36)
    support = support_from_scan(image, labels, LABELS, scan="a", image_size=SIZE)
    found = segment(image, support, SliceEncoder(network(), SIZE))
    assert found.label_map.shape == (6, 36, 48)
    assert dice(found.label_map, labels, 3) > 0.8


ENCODERS = {
    "fpn": lambda: FPNEncoder(channels=8, widths=(8, 8, 8, 8, 8)),
    "transformer": lambda: TimmEncoder("vit_small_patch16_224", embed_dim=48, depth=2, num_heads=3),
}


@pytest.mark.parametrize("encoder", ENCODERS)
@settings(deadline=None, max_examples=8)
@given(
    batch_size=st.integers(1, 9),
    support_selection=st.sampled_from(["similar", "nearest", "all"]),
    room=st.sampled_from([0, 5000, 2**20]),
    warm=st.booleans(),
)
def test_neither_batch_size_nor_cache_change_a_bit(encoder, batch_size, support_selection, room, warm):
    image, labels = scene()
    support = support_from_scan(image, labels, LABELS, scan="a", image_size=SIZE)
    torch.manual_seed(0)
    net = ALPNet(encoder=ENCODERS[encoder](), matching=KernelMatching())
    expected = segment(
        image, support, SliceEncoder(net, SIZE), OneShotSettings(batch_size=3, support_selection=support_selection)
    )
    cache = FeatureCache(room)
    if warm:
        segment(image[..., 1:4], support, SliceEncoder(net, SIZE, cache))
    found = segment(
        image,
        support,
        SliceEncoder(net, SIZE, cache),
        OneShotSettings(batch_size=batch_size, support_selection=support_selection),
    )
    assert (found.label_map == expected.label_map).all()
    assert found.findings == expected.findings


def test_a_gpu_is_waited_for_as_often_for_many_slices_as_for_one(monkeypatch):
    image, labels = scene()
    support = support_from_scan(image, labels, LABELS, scan="a", image_size=SIZE)
    matched = MatchedVolume(image, support, SliceEncoder(network(), SIZE), OneShotSettings())
    features, fetch, fetched = matched._encode_seen(range(6)), torch.Tensor.cpu, []

    def counting(tensor):
        fetched.append(tensor)
        return fetch(tensor)

    monkeypatch.setattr(matched, "_encode_seen", lambda batch: features[batch.start : batch.stop])
    monkeypatch.setattr(torch.Tensor, "cpu", counting)
    matched.match(range(1))
    assert len(fetched) == 2, "likeness of slices, evidence"
    matched.match(range(6))
    assert len(fetched) == 4


def test_a_second_label_costs_no_encoding():
    image, labels = scene()
    cache, net = FeatureCache(), network()
    segment(
        image, support_from_scan(image, labels, {"disc": 7}, scan="a", image_size=SIZE), SliceEncoder(net, SIZE, cache)
    )
    misses = cache.misses
    segment(
        image,
        support_from_scan(image, labels, {"square": 3}, scan="a", image_size=SIZE),
        SliceEncoder(net, SIZE, cache),
    )
    assert cache.misses == misses


def test_each_slice_is_served_by_the_support_that_looks_like_it():
    """Two scans in two contrasts: with `nearest`, each is segmented by the support slice of its own contrast."""
    image, labels = scene()
    inverted = torch.where(labels > 0, 0.9 - 0.8 * image, torch.full_like(image, 0.25))
    support = support_from_scan(image, labels, LABELS, scan="a", image_size=SIZE).merge(
        support_from_scan(inverted, labels, LABELS, scan="b", image_size=SIZE)
    )
    for scan, volume in (("a", image), ("b", inverted)):
        found = segment(volume, support, SliceEncoder(network(), SIZE))
        assert dice(found.label_map, labels, 3) > 0.85
        assert {finding.support_slice.scan for finding in found.findings.values()} == {scan}


def test_a_volume_of_inverted_gray_values_is_found_too():
    image, labels = scene()
    net = ALPNet(encoder=Shades(), matching=KernelMatching(rejection_threshold=0.5))
    net.encoder.centres.data.sub_(0.5)
    image[labels == 7], image[labels == 0] = 0.6, 0.2  # no shade is the negative of another
    support = support_from_scan(image - 0.5, labels, LABELS, scan="a", image_size=SIZE, slices=[2])
    plain, inverted = (
        segment(image - 0.5, support, SliceEncoder(net, SIZE)),
        segment(0.5 - image, support, SliceEncoder(net, SIZE)),
    )
    assert dice(plain.label_map, labels, 7) > 0.85
    np.testing.assert_array_equal(inverted.label_map, plain.label_map)
    kept = segment(0.5 - image, support, SliceEncoder(net, SIZE), OneShotSettings(contrast="as_is"))
    assert dice(kept.label_map, labels, 3) < 0.2


@pytest.mark.parametrize(("channels", "tried"), [(1, True), (3, False)])
def test_only_gray_values_are_tried_inverted(channels, tried):
    image, labels = scene()
    image = image.repeat(channels, 1, 1, 1)
    support = support_from_scan(image, labels, LABELS, scan="a", image_size=SIZE)
    caches = {contrast: FeatureCache() for contrast in ("auto", "as_is")}
    for contrast, cache in caches.items():
        segment(image, support, SliceEncoder(network(), SIZE, cache), OneShotSettings(contrast=contrast))
    assert (caches["auto"].misses > caches["as_is"].misses) == tried


class ShadesInPlace(Shades):
    """Tells the rows of blocks apart, too, as what has learned how people stand does."""

    def forward(self, images):
        shades = super().forward(images)
        rows = torch.linspace(0, 1, shades.shape[-2])[:, None].expand(shades.shape[-2:])
        return torch.cat([shades, torch.exp(-(((rows - self.centres) / 0.2) ** 2)).expand_as(shades)], dim=1)


@pytest.mark.parametrize("turns", [0, 1, 2, 3])
def test_a_picture_that_is_turned_is_found_as_if_it_were_not(turns):
    image, labels = (volume[..., 2:3] for volume in scene())
    image += 0.6 * torch.linspace(1, 0, SIZE)[None, None, :, None] * (labels == 0)  # bright above, dark below
    net = ALPNet(encoder=ShadesInPlace(), matching=KernelMatching())
    support = support_from_scan(image, labels, LABELS, scan="a", image_size=SIZE)
    turned = torch.rot90(image, turns, (1, 2))
    plain, found = (segment(picture, support, SliceEncoder(net, SIZE)) for picture in (image, turned))
    np.testing.assert_array_equal(found.label_map, np.rot90(plain.label_map, -turns, (1, 2)))
    assert ("turned by" in found.findings["disc"].note) == (turns != 0)
    kept = segment(turned, support, SliceEncoder(net, SIZE), OneShotSettings(orientation="as_is"))
    assert kept.findings["disc"].note == ""


@pytest.mark.parametrize("turns", [0, 1, 2, 3])
@pytest.mark.parametrize(
    ("meta", "reason"), [({}, "seems to state a wrong orientation"), ({GUESSED: "yes"}, "does not say where")]
)
def test_a_scan_that_is_turned_is_found_and_doubted(turns, meta, reason):
    image, labels = scene()
    image += 0.6 * torch.linspace(1, 0, SIZE)[None, None, :, None] * (labels == 0)  # bright above, dark below
    affine = torch.diag(torch.tensor([-1.0, -1.0, 3.0, 1.0]))
    net = ALPNet(encoder=ShadesInPlace(), matching=KernelMatching())
    upright, turned = (
        MetaTensor(torch.rot90(image, count, (1, 2)), affine=affine, meta=dict(meta)) for count in (0, turns)
    )
    support = support_from_scan(upright, labels, LABELS, scan="a", image_size=SIZE)
    plain, found = (segment(volume, support, SliceEncoder(net, SIZE)) for volume in (upright, turned))
    assert (found.label_map != np.rot90(plain.label_map, -turns, (1, 2))).mean() < 0.002, "but for pixels on a border"
    finding = found.findings["disc"]
    assert (finding.estimated_dice is None) == (turns != 0)
    assert (reason in finding.warning) == ("scan turned by" in finding.warning) == (turns != 0)
    kept = segment(turned, support, SliceEncoder(net, SIZE), OneShotSettings(orientation="as_is"))
    assert kept.findings["disc"].note == ""


def test_adjacent_slices_reach_the_encoder():
    image, labels = scene()
    net = ALPNet(encoder=Shades(), slice_adapter=SliceAdapter(layers=1), matching=KernelMatching())
    support = support_from_scan(image, labels, LABELS, scan="a", image_size=SIZE, adjacent_slices=True)
    assert dice(segment(image, support, SliceEncoder(net, SIZE)).label_map, labels, 3) > 0.9


@pytest.mark.parametrize(("rule", "parts"), [("support", 2), ("one", 1), ("none", 2)])
def test_components_follow_the_rule(rule, parts):
    image, labels = scene(discs=2)
    support = support_from_scan(image, labels, LABELS, scan="a", image_size=SIZE)
    found = segment(image, support, SliceEncoder(network(), SIZE), OneShotSettings(component_filter=rule))
    whole = (labels == 7).sum()
    assert (found.label_map == 7).sum() == pytest.approx(int(whole) * parts / 2, rel=0.2)


def test_a_label_that_is_not_there_is_not_found():
    image, labels = scene()
    support = support_from_scan(image, labels, LABELS, scan="a", image_size=SIZE)
    image[labels == 7] = 0
    found = segment(image, support, SliceEncoder(network(), SIZE))
    assert not (found.label_map == 7).any()
    assert found.findings["disc"].confidence == 0
    assert found.findings["disc"].warning == "not found"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            {"support_selection": "parts"},
            "support_selection is 'parts'; choose 'similar', 'nearest' or 'all'. (The published choice by parts of an "
            "organ's extent needs the query's own label map: it exists in the legacy evaluation protocol alone.)",
        ),
        ({"component_filter": "two"}, "component_filter is 'two'; choose 'support', 'one' or 'none'."),
        ({"orientation": "up"}, "orientation is 'up'; choose 'auto' or 'as_is'."),
        ({"contrast": "negative"}, "contrast is 'negative'; choose 'auto' or 'as_is'."),
    ],
)
def test_unknown_choices_are_refused(arguments, message):
    image, labels = scene()
    support = support_from_scan(image, labels, LABELS, scan="a", image_size=SIZE)
    with pytest.raises(InputError) as error:
        OneShotInferer(support=support, **arguments)
    assert str(error.value) == message


@pytest.mark.parametrize("support_selection", ["similar", "nearest", "all"])
def test_scans_that_were_labelled_for_other_labels_are_no_counter_evidence(support_selection):
    image, labels = scene()
    disc = support_from_scan(image, labels, {"disc": 7}, scan="a", image_size=SIZE, slices="all")
    square = support_from_scan(image, labels, {"square": 3}, scan="b", image_size=SIZE, slices="all")
    found = segment(
        image, disc.merge(square), SliceEncoder(network(), SIZE), OneShotSettings(support_selection=support_selection)
    )
    assert dice(found.label_map, labels, 3) > 0.9
    assert dice(found.label_map, labels, 7) > 0.85
    assert not found.label_map[[0, 5]].any(), "an empty slice stays empty"
