"""What is cut around the probable voxels, in slabs and in stripes, against the whole cut at once."""

import numpy as np
import numpymaxflow
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import gaussian_filter
from scipy.special import expit, logit

from protoseg.engine.clicks.click import Click
from protoseg.engine.refiners import unary_potentials
from protoseg.engine.refiners.graph_cut import GraphCutRefiner
from protoseg.engine.refiners.refiner import CoarseSegmentation
from protoseg.engine.refiners.unary_potentials import Surroundings, label_boxes
from protoseg.labels import LabelSet
from protoseg.ops import graph_cut
from protoseg.ops.appearance import Appearance
from protoseg.ops.graph_cut import contrast_of, cut

SPACING = (3.0, 1.0, 1.0)


def scene(shape, seed, *, level=0.0, noise=1.5):
    """An image (1, *shape), and the probability of a blob in it."""
    generator = np.random.default_rng(seed)
    blob = gaussian_filter(generator.normal(size=shape), 2.5)
    blob = blob / blob.std() - 1.5 + level
    image = np.where(blob > 0, 1.0, 0.0) + generator.normal(scale=0.3, size=shape)
    log_odds = 4 * blob + noise * generator.normal(size=shape)
    return image[None].astype(np.float32), expit(log_odds).astype(np.float32)


def cut_whole(image, probability, *, spacing, smoothness):
    """Cut without any bound: the graph has all voxels."""
    ramp = contrast_of([image]) * np.sqrt(2 * np.log(spacing[0])) * np.arange(len(probability), dtype=np.float32)
    channels = np.stack([image[0], np.broadcast_to(ramp[:, None, None], probability.shape)]).astype(np.float32)
    scale = min(1.0, 0.9 * graph_cut.SEED_PRICE / (6 * smoothness))
    log_odds = scale * logit(probability.clip(graph_cut.UNSURE, 1 - graph_cut.UNSURE))
    chances = np.stack([expit(-log_odds), expit(log_odds)])
    return numpymaxflow.maxflow(channels, chances, scale * smoothness, contrast_of([image]), 6)[0] > 0.5


@settings(deadline=None, max_examples=25)
@given(seed=st.integers(0, 1000), smoothness=st.sampled_from([0.5, 4.0]), level=st.floats(-3, 3))
def test_a_cut_around_the_probable_voxels_is_that_of_the_whole(seed, smoothness, level):
    image, probability = scene((8, 16, 18), seed, level=level)
    found = cut(image, probability, spacing=SPACING, smoothness=smoothness)
    assert (found == cut_whole(image, probability, spacing=SPACING, smoothness=smoothness)).all()


def test_a_cut_that_leaves_the_probable_voxels_gets_more_room(monkeypatch):
    rows, columns = np.mgrid[:40, :40]
    disc = (rows - 20) ** 2 + (columns - 20) ** 2 < 15**2
    image, probability = disc[None].astype(np.float32), np.where(disc, 0.49, 0.2).astype(np.float32)
    probability[18:23, 18:23] = 0.99  # the rest of the disc follows, 11 pixels each way
    boxes, box_around = [], graph_cut._box_around

    def remember(mask, reach):
        boxes.append(box_around(mask, reach))
        return boxes[-1]

    monkeypatch.setattr(graph_cut, "_box_around", remember)
    assert (cut(image, probability, spacing=(1.0, 1.0), smoothness=8.0) == disc).all()
    assert [box[0].stop - box[0].start for box in boxes] == [9, 21, 40]


def test_what_is_nowhere_and_what_is_everywhere_needs_no_graph(monkeypatch):
    monkeypatch.setattr(graph_cut.numpymaxflow, "maxflow", None)
    image = np.zeros((1, 4, 5), np.float32)
    for probability in (0.4, 0.6):
        found = cut(image, np.full((4, 5), probability, np.float32), spacing=(1.0, 1.0), smoothness=4.0)
        assert (found == (probability > 0.5)).all()


def test_slices_that_are_too_large_are_cut_in_stripes(monkeypatch):
    image, probability = scene((14, 30, 150), 3, level=0.7)
    whole = cut(image, probability, spacing=SPACING, smoothness=4.0)
    sizes, maxflow = [], numpymaxflow.maxflow

    def measured(channels, *others):
        sizes.append(channels[0].size)
        return maxflow(channels, *others)

    monkeypatch.setattr(graph_cut.numpymaxflow, "maxflow", measured)
    monkeypatch.setattr(graph_cut, "LARGEST_GRAPH", 14 * 30 * 60)
    found = cut(image, probability, spacing=SPACING, smoothness=4.0)
    assert len(sizes) > 3
    assert max(sizes) <= 14 * 30 * 60
    assert 0.05 < whole.mean() < 0.6
    assert (found != whole).mean() < 1e-3


@settings(deadline=None, max_examples=25)
@given(cuts=st.lists(st.integers(1, 8), max_size=3), channels=st.integers(1, 3))
def test_parts_tell_what_is_usual_as_the_whole_does(cuts, channels):
    generator = np.random.default_rng(5)
    image = generator.normal(3, 2, (channels, 9, 6, 7)).astype(np.float32)
    inside = image[0] > 4
    parts = [part for part in np.split(np.arange(9), sorted(cuts)) if len(part)]
    appearance = Appearance.of(lambda: ((image[:, part], inside[part]) for part in parts))
    looked_up = np.concatenate([appearance.log_ratio(image[:, part]) for part in parts])
    whole = Appearance.of(lambda: [(image, inside)])
    np.testing.assert_allclose(looked_up, whole.log_ratio(image), atol=1e-5)
    assert contrast_of(image[:, part] for part in parts) == pytest.approx(contrast_of([image]), rel=1e-6)


def volume():
    """Slices, and what was found of two labels that touch: one on few slices, one on all."""
    image, probability = scene((30, 24, 26), 8)
    label_map = (probability > 0.5).astype(np.uint8)
    label_map[12:16, :, 13:] *= 2
    shares = np.stack([label_map == label for label in range(3)], 1) + 0.05
    maps = torch.nn.functional.adaptive_avg_pool2d(torch.from_numpy(shares).float(), (8, 8))
    coarse = CoarseSegmentation(label_map, maps.log().log_softmax(1).half(), LabelSet({"a": 1, "b": 2}))
    return torch.from_numpy(image).transpose(0, 1), coarse


@pytest.mark.parametrize("refiner", [GraphCutRefiner(), GraphCutRefiner(dimensions=2), GraphCutRefiner(min_dice=1)])
@pytest.mark.parametrize("clicks", [[], [Click(3, 10, 10, "a"), Click(14, 5, 20, "b", False)]])
def test_a_few_slices_at_a_time_give_what_all_give(monkeypatch, refiner, clicks):
    slices, coarse = volume()
    whole = refiner.refine(slices, coarse, spacing=SPACING, clicks=clicks)
    monkeypatch.setattr(graph_cut, "LARGEST_GRAPH", 16 * 24 * 26)
    monkeypatch.setattr(unary_potentials, "AT_ONCE", 4 * 24 * 26)
    found = refiner.refine(slices, coarse, spacing=SPACING, clicks=clicks)
    assert set(np.unique(whole.label_map)) == {0, 1, 2}
    assert found.notes == whole.notes
    assert (found.label_map != whole.label_map).mean() < 2e-3


def test_never_are_more_slices_in_memory_than_are_cut_together(monkeypatch):
    slices, coarse = volume()
    gathered, gather = [], Surroundings._gather

    def measured(self, part):
        gathered.append(part.stop - part.start)
        return gather(self, part)

    monkeypatch.setattr(Surroundings, "_gather", measured)
    monkeypatch.setattr(graph_cut, "LARGEST_GRAPH", 1)
    monkeypatch.setattr(unary_potentials, "AT_ONCE", 5 * 24 * 26)
    GraphCutRefiner().refine(slices, coarse, spacing=SPACING)
    boxes = dict(label_boxes(coarse, SPACING, []))
    assert boxes[1][0] == slice(0, 30)
    assert max(gathered) == graph_cut.THINNEST + 2 * graph_cut.OVERLAP
