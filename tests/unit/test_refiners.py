"""Refiners that need no weights, on a disc that the matching saw through 8 x 8 patches only."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from monai.bundle import ConfigParser
from monai.metrics import compute_surface_dice

from protoseg import bundle_root
from protoseg.engine.clicks.click import Click
from protoseg.engine.refiners.competing import _workers
from protoseg.engine.refiners.graph_cut import GraphCutRefiner
from protoseg.engine.refiners.guided import GuidedRefiner
from protoseg.engine.refiners.refiner import CoarseSegmentation
from protoseg.errors import InputError
from protoseg.labels import LabelSet

SPACING = (4.0, 1.0, 1.0)
REFINERS = [GraphCutRefiner(), GraphCutRefiner(dimensions=2), GuidedRefiner()]
each_refiner = pytest.mark.parametrize("refiner", REFINERS, ids=["graph cut", "graph cut 2D", "guided"])


def discs(centres, size=64, radius=10, slices=3):
    """True label map (S, H, W): a disc a label."""
    rows, columns = np.mgrid[:size, :size]
    ground_truth = np.zeros((slices, size, size), np.uint8)
    for label, (row, column) in enumerate(centres, start=1):
        ground_truth[:, (rows - row) ** 2 + (columns - column) ** 2 < radius**2] = label
    return ground_truth


def image_of(ground_truth, seed=0, channels=1):
    """Slices (S, C, H, W) on which every label has its own intensity, with noise."""
    generator = np.random.default_rng(seed)
    noise = generator.normal(scale=0.1, size=(len(ground_truth), channels, *ground_truth.shape[1:]))
    return torch.from_numpy(ground_truth[:, None] + noise).float()


def coarse_of(ground_truth, labels, *, patches=8, shift=2, seed=0):
    """What a matching of few patches finds: blurred, noisy and shifted by some pixels."""
    moved = torch.from_numpy(np.roll(ground_truth, shift, (1, 2))).long()
    shares = F.one_hot(moved, 1 + labels).permute(0, 3, 1, 2).float()
    shares = F.adaptive_avg_pool2d(shares, patches)
    noise = 0.02 * torch.rand(shares.shape, generator=torch.Generator().manual_seed(seed))
    log_probability = (shares + noise + 0.01).log().log_softmax(1)
    named = LabelSet().with_names("abcdef"[:labels])
    coarse = CoarseSegmentation(np.zeros_like(ground_truth), log_probability.half(), named)
    for index, slice_ in enumerate(coarse.label_map):
        slice_[:] = coarse.probability(index).argmax(0).numpy()
    return coarse


def surface_dice(label_map, ground_truth, label=1):
    masks = (torch.from_numpy(one == label)[None, None] for one in (label_map, ground_truth))
    return float(compute_surface_dice(*masks, [1.0], include_background=True, spacing=list(SPACING)))


@each_refiner
def test_borders_come_to_the_edges(refiner):
    ground_truth = discs([(30, 28)])
    coarse = coarse_of(ground_truth, 1)
    refined = refiner.refine(image_of(ground_truth), coarse, spacing=SPACING).label_map
    assert surface_dice(coarse.label_map, ground_truth) < 0.86
    assert surface_dice(refined, ground_truth) > 0.95
    assert refined.dtype == np.uint8


@each_refiner
def test_labels_share_a_border(refiner):
    ground_truth = discs([(32, 22), (32, 40)])
    coarse = coarse_of(ground_truth, 2)
    refined = refiner.refine(image_of(ground_truth), coarse, spacing=SPACING).label_map
    assert set(np.unique(refined)) == {0, 1, 2}
    for label in (1, 2):
        assert surface_dice(refined, ground_truth, label) > surface_dice(coarse.label_map, ground_truth, label) + 0.1


@each_refiner
def test_what_is_empty_stays_empty(refiner):
    ground_truth = discs([(30, 28)])
    coarse = coarse_of(ground_truth, 1)
    nothing = CoarseSegmentation(np.zeros_like(ground_truth), coarse.log_probability, coarse.labels)
    assert not refiner.refine(image_of(ground_truth), nothing, spacing=SPACING).label_map.any()


@each_refiner
def test_dropped_components_do_not_come_back(refiner):
    ground_truth = discs([(22, 22)]) + discs([(42, 42)])
    coarse = coarse_of(ground_truth, 1, patches=16)
    kept = coarse.label_map.copy()
    kept[:, 32:, 32:] = 0
    filtered = CoarseSegmentation(kept, coarse.log_probability, coarse.labels)
    refined = refiner.refine(image_of(discs([(22, 22)])), filtered, spacing=SPACING).label_map
    assert refined[:, 14:30, 14:30].any()
    assert not refined[:, 36:, 36:].any()


@each_refiner
def test_the_coarse_segmentation_is_left_alone(refiner):
    ground_truth = discs([(30, 28)])
    coarse = coarse_of(ground_truth, 1)
    before = coarse.label_map.copy()
    refiner.refine(image_of(ground_truth), coarse, spacing=SPACING, clicks=[Click(1, 30, 28, "a")])
    assert (coarse.label_map == before).all()


@settings(deadline=None, max_examples=15)
@given(
    clicks=st.lists(
        st.builds(
            Click, st.integers(0, 2), st.integers(0, 63), st.integers(0, 63), st.sampled_from("ab"), st.booleans()
        ),
        max_size=4,
        unique_by=lambda click: click[:3],
    ),
    refiner=st.sampled_from(REFINERS),
)
def test_clicks_are_obeyed(clicks, refiner):
    ground_truth = discs([(32, 22), (32, 40)])
    refined = refiner.refine(
        image_of(ground_truth), coarse_of(ground_truth, 2), spacing=SPACING, clicks=clicks
    ).label_map
    for click in clicks:
        assert (refined[click[:3]] == "ab".index(click.label) + 1) == click.positive


@each_refiner
def test_a_click_speaks_for_its_surroundings(refiner):
    ground_truth = discs([(30, 28)])
    image = image_of(ground_truth)
    image[:, :, 20:40, 40:46] = 1  # looks like the label and lies beside it
    coarse = coarse_of(ground_truth, 1)
    without = refiner.refine(image, coarse, spacing=SPACING).label_map[1, 26:34, 41:45]
    clicked = refiner.refine(image, coarse, spacing=SPACING, clicks=[Click(1, 30, 42, "a")]).label_map[1, 26:34, 41:45]
    assert clicked.mean() > without.mean() + 0.5


@pytest.mark.parametrize("refiner", [GraphCutRefiner(min_dice=0.99), GuidedRefiner(min_dice=0.99)])
def test_what_went_too_far_is_taken_back(refiner):
    ground_truth = discs([(30, 28)])
    coarse = coarse_of(ground_truth, 1)
    refined = refiner.refine(image_of(ground_truth), coarse, spacing=SPACING)
    assert list(refined.notes) == ["a"]
    assert "too far" in refined.notes["a"]
    assert (refined.label_map == coarse.label_map).all()
    clicked = refiner.refine(image_of(ground_truth), coarse, spacing=SPACING, clicks=[Click(1, 30, 28, "a")])
    assert not clicked.notes
    assert surface_dice(clicked.label_map, ground_truth) > 0.95


@each_refiner
def test_pictures_have_one_slice_and_three_channels(refiner):
    ground_truth = discs([(30, 28)], slices=1)
    refined = refiner.refine(image_of(ground_truth, channels=3), coarse_of(ground_truth, 1), spacing=SPACING).label_map
    assert 2 * (refined & ground_truth).sum() / (refined.sum() + ground_truth.sum()) > 0.95


@settings(deadline=None, max_examples=10)
@given(rows=st.sampled_from([-8, 0, 8]), columns=st.sampled_from([-8, 0, 8]), refiner=st.sampled_from(REFINERS))
def test_a_shifted_volume_is_refined_alike(rows, columns, refiner):
    ground_truth = discs([(30, 28)])
    image, coarse = image_of(ground_truth), coarse_of(ground_truth, 1)
    patches = torch.roll(coarse.log_probability, (rows // 8, columns // 8), (2, 3))
    shifted = CoarseSegmentation(np.roll(coarse.label_map, (rows, columns), (1, 2)), patches, coarse.labels)
    expected = np.roll(refiner.refine(image, coarse, spacing=SPACING).label_map, (rows, columns), (1, 2))
    found = refiner.refine(torch.roll(image, (rows, columns), (2, 3)), shifted, spacing=SPACING).label_map
    assert (found != expected).mean() < 1e-3


@pytest.mark.parametrize(
    ("sizes", "workers"),
    [([], 4), ([(10, 10, 10)], 4), ([(10, 10, 10), (150, 350, 400)], 3), ([(350, 400, 400), (1, 1, 1)], 1)],
)
def test_few_large_labels_are_refined_at_a_time(monkeypatch, sizes, workers):
    monkeypatch.setattr(torch, "get_num_threads", lambda: 8)
    assert _workers([tuple(slice(7, 7 + side) for side in size) for size in sizes]) == workers


def test_the_number_of_threads_does_not_matter():
    ground_truth = discs([(32, 22), (32, 40)])
    threads = torch.get_num_threads()
    found = []
    try:
        for count in (1, 2):
            torch.set_num_threads(count)
            found.append(
                GraphCutRefiner().refine(image_of(ground_truth), coarse_of(ground_truth, 2), spacing=SPACING).label_map
            )
    finally:
        torch.set_num_threads(threads)
    assert (found[0] == found[1]).all()


@pytest.mark.parametrize(
    ("click", "message"),
    [
        (Click(3, 0, 0, "a"), r"Click 1 is on slice 3, row 0, column 0, .* outside the volume of 3 slices of 64 rows"),
        (Click(0, -1, 0, "a"), "outside the volume"),
        (Click(0, 0, 0, "b"), "Click 1 is on the label 'b'; the labels are a"),
    ],
)
def test_clicks_elsewhere_are_refused(click, message):
    ground_truth = discs([(30, 28)])
    with pytest.raises(InputError, match=message):
        GraphCutRefiner().refine(image_of(ground_truth), coarse_of(ground_truth, 1), spacing=SPACING, clicks=[click])


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: GraphCutRefiner(smoothness=0), "smoothness of GraphCutRefiner is 0; it must be above 0 mm"),
        (
            lambda: GraphCutRefiner(dimensions=4),
            r"dimensions of GraphCutRefiner is 4; choose 2 \(slice by slice\) or 3",
        ),
        (lambda: GraphCutRefiner(min_dice=2), "min_dice of a refiner is 2; it must lie between 0 and 1"),
        (lambda: GuidedRefiner(radius=-1), "radius of GuidedRefiner is -1; it must be above 0"),
        (lambda: GuidedRefiner(strength=0), "strength of GuidedRefiner is 0; it must be above 0"),
    ],
)
def test_settings_out_of_range_are_refused(make, message):
    with pytest.raises(InputError, match=message):
        make()


@pytest.mark.parametrize(("name", "kind"), [("graph_cut", GraphCutRefiner), ("guided", GuidedRefiner)])
def test_override_files_set_the_refiner_with_its_defaults(name, kind):
    config = ConfigParser()
    config.read_config(f"{bundle_root()}/configs/refiners/{name}.yaml")
    refiner = config.get_parsed_content("refiner")
    assert isinstance(refiner, kind)
    assert vars(refiner) == vars(kind())
