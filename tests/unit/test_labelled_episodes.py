"""Labelled episodes are pure in seed and index, image and labels move together, and they teach an encoder."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from monai.bundle import ConfigParser
from torch.utils.data import DataLoader, Subset, default_collate

from protoseg.data.anatomy.regions import REGIONS
from protoseg.data.anatomy.tissues import Tissue
from protoseg.data.pretraining import subjects as subjects_module
from protoseg.data.pretraining.imaging import image_pairs, image_slices, smooth_field
from protoseg.data.pretraining.labelled_episodes import LabelledEpisodes
from protoseg.data.pretraining.random_contrast import CONTRAST_SHARES, random_contrast
from protoseg.data.pretraining.random_view import FINE_WARP, WARP, View, random_views
from protoseg.data.pretraining.subjects import BACKDROP, FRAME, STRUCTURES, Box, load_subjects
from protoseg.errors import InputError
from protoseg.maths.alpnet import ALPNet
from protoseg.maths.matching_loss import MatchingLoss, PairEncoding
from protoseg.maths.pyramid import PyramidEncoder

SIZE = 64
FEW = {"abdomen": 3, "shapes": 4, "skin": 2}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("subjects")


@pytest.fixture(scope="module", autouse=True)
def small_subjects() -> Iterator[None]:
    """Coarse subjects with few slices are painted in a moment."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(subjects_module, "FRAME", 72)
        patch.setattr(subjects_module, "ROWS", 56)
        patch.setattr(subjects_module, "SLICES", 6)
        patch.setattr(subjects_module, "SPACINGS", dict.fromkeys(REGIONS, (5.4, 36.0)))
        yield


@pytest.fixture(scope="module")
def dataset(folder: Path) -> LabelledEpisodes:
    return LabelledEpisodes(cache_dir=folder, subjects=FEW, image_size=SIZE, seed=5)


def same(one: dict, other: dict) -> bool:
    slices, others = one["slices"], other["slices"]
    return one["seed"] == other["seed"] and all(torch.equal(slices[key], others[key]) for key in slices)


def pairs(dataset: LabelledEpisodes, *indices: int) -> tuple:
    return image_pairs(default_collate([dataset[index] for index in indices]), "cpu")


def flat_view(**changes: object) -> View:
    """The whole frame of `FRAME` pixels, neither turned nor warped."""
    view = View(
        matrix=np.array([[FRAME, 0, FRAME / 2], [0, FRAME, FRAME / 2]], dtype=np.float32),
        warp=np.zeros((2, 1 + WARP, 1 + WARP), np.float32),
        fine_warp=np.zeros((2, 1 + FINE_WARP, 1 + FINE_WARP), np.float32),
        extent=np.ones(2, np.float32),
    )
    return view._replace(**changes)


def recipe(maps: np.ndarray, view: View, *, windowed: bool = False, coloured: bool = False, **levels: float) -> dict:
    """One slice as `image_slices` takes it, by a perfect scanner; `levels` are brightness by tissue."""
    mean = torch.zeros(len(Tissue))
    for name, level in levels.items():
        mean[Tissue[name]] = level
    numbers = {"blur": 0.0, "noise": 0.0, "detail": 1.0, "gamma": 1.0, "gain": 1.0, "offset": 0.0}
    fields = {key: torch.from_numpy(value)[None] for key, value in view._asdict().items()}
    return {
        "maps": torch.from_numpy(maps)[None],
        "mean": mean[None],
        "texture": torch.zeros(1, len(Tissue)),
        "windowed": torch.tensor([windowed]),
        "coloured": torch.tensor([coloured]),
        "smooth_noise": torch.tensor([False]),
        "shading": torch.zeros(1, 4, 4),
        "colour_gain": torch.ones(1, 3),
        **{key: torch.tensor([value]) for key, value in numbers.items()},
        **fields,
    }


def test_shapes_and_types(dataset: LabelledEpisodes) -> None:
    query, labels, _, support = pairs(dataset, 0, 1, 2)
    assert query.shape == support["support_images"].shape == (3, 1, 3, SIZE, SIZE)
    assert labels.shape == (3, 1, SIZE, SIZE)
    assert support["support_masks"].shape == (3, 1, 1, SIZE, SIZE)
    assert (query.dtype, labels.dtype) == (torch.float32, torch.int64)
    assert len(dataset) == 3 * 6 + sum(subject.count for subject in dataset._subjects["shapes"]) + 2


@settings(deadline=None, max_examples=20)
@given(index=st.integers(0, 10**9))
def test_an_episode_depends_on_seed_and_index_only(folder: Path, dataset: LabelledEpisodes, index: int) -> None:
    dataset[3]
    again = LabelledEpisodes(cache_dir=folder, subjects=FEW, image_size=SIZE, seed=5)
    assert same(dataset[index], again[index])
    again.seed = 6
    assert not same(dataset[index], again[index])


@settings(deadline=None, max_examples=20)
@given(index=st.integers(0, 10**6))
def test_every_image_is_finite_and_of_about_unit_variance(dataset: LabelledEpisodes, index: int) -> None:
    query, labels, _, support = pairs(dataset, index)
    for image in (query, support["support_images"]):
        assert image.isfinite().all()
        assert 0.1 < image.std() < 2.5
    assert max(labels.max(), support["support_masks"].max()) <= len(STRUCTURES)


def test_a_batch_is_imaged_the_same_way_again_and_its_sides_independently(dataset: LabelledEpisodes) -> None:
    first, again = pairs(dataset, *range(8)), pairs(dataset, *range(8))
    assert torch.equal(first[0], again[0])
    for query, support in zip(first[0], first[3]["support_images"]):
        assert not torch.equal(query, support)


def test_both_slices_of_a_pair_show_one_world(dataset: LabelledEpisodes) -> None:
    kinds = set()
    for index in range(60):
        (first, _), (second, _) = dataset._draw_pair(np.random.default_rng(index))
        assert (first.kind, first.world) == (second.kind, second.world)
        kinds.add(first.kind)
    assert kinds == set(FEW)


def test_unusable_requests_are_refused(dataset: LabelledEpisodes, folder: Path) -> None:
    with pytest.raises(IndexError, match="numbered from 0, found -1"):
        dataset[-1]
    with pytest.raises(InputError, match="abdomen is 1; an episode takes two of them"):
        LabelledEpisodes(cache_dir=folder, subjects={"abdomen": 1})
    with pytest.raises(InputError, match="'elbow'; expected some of abdomen, "):
        LabelledEpisodes(cache_dir=folder, subjects={"elbow": 8})
    with pytest.raises(InputError, match="subjects is empty"):
        LabelledEpisodes(cache_dir=folder, subjects={})


@pytest.mark.parametrize(
    ("shares", "found"),
    [
        ({"shares": {"elbow": 0.5}}, "shares are {'elbow': 0.5}; expected numbers from 0 for some of abdomen, "),
        ({"contrasts": {"flair": 1.0}}, "contrasts are {'flair': 1.0}; expected numbers from 0 for some of ct, "),
        ({"contrasts": {"ct": 1.5, "t1": -0.5}}, "expected numbers from 0"),
        ({"contrasts": {"ct": 0.5, "t1": 0.4}}, "expected shares that add up to 1"),
    ],
)
def test_unusable_shares_are_refused(folder: Path, shares: dict, found: str) -> None:
    with pytest.raises(InputError, match=found):
        LabelledEpisodes(cache_dir=folder, subjects=FEW, **shares)


def test_a_larger_pool_begins_with_the_same_subjects(folder: Path) -> None:
    few, many = (load_subjects({"abdomen": count}, folder, seed=9)["abdomen"] for count in (2, 3))
    assert many[:2] == few


def test_the_first_episodes_are_drawn_at_three_quarters_of_the_size(folder: Path) -> None:
    dataset = LabelledEpisodes(cache_dir=folder, subjects=FEW, image_size=SIZE, coarse_episodes=4, seed=5)
    assert [pairs(dataset, index)[0].shape[-1] for index in (3, 4)] == [48, 64]


def test_subjects_are_painted_once(folder: Path, dataset: LabelledEpisodes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(subjects_module, "_paint", lambda job: pytest.fail("painted again"))
    assert load_subjects(FEW, folder, seed=5) == dataset._subjects


def test_a_slice_shows_the_patients_right_at_its_left_and_the_front_at_the_top(dataset: LabelledEpisodes) -> None:
    person = dataset._subjects["abdomen"][0]
    structures = np.stack([person.slice(index)[3] for index in range(person.count)])
    _, _, liver = np.nonzero(structures == STRUCTURES["liver"])
    _, _, spleen = np.nonzero(structures == STRUCTURES["spleen"])
    _, spine, _ = np.nonzero(structures == STRUCTURES["vertebrae"])
    assert liver.mean() < structures.shape[2] / 2 < spleen.mean()
    assert spine.mean() > (person.body.top + person.body.bottom) / 2


def test_every_labelled_pixel_lies_in_the_body(dataset: LabelledEpisodes) -> None:
    for person in dataset._subjects["abdomen"]:
        for index in range(person.count):
            tissue, _, _, structure = person.slice(index)
            assert (tissue[structure == 0] < Tissue.SKIN).all()
            rows, columns = np.nonzero(structure)
            assert person.body.top <= rows.min() and rows.max() < person.body.bottom
            assert person.body.left <= columns.min() and columns.max() < person.body.right


def test_surface_pixels_mix_two_tissues() -> None:
    maps = np.zeros((4, FRAME, FRAME), np.uint8)
    maps[0], maps[1], maps[2] = Tissue.LIVER, Tissue.SPLEEN, 204
    maps[0, :, : FRAME // 2] = Tissue.SPLEEN
    slices = recipe(maps, flat_view(), windowed=True, LIVER=1.0, SPLEEN=0.5)
    images, _ = image_slices(slices, size=FRAME, generator=torch.Generator().manual_seed(0))
    left, right = images[0, 0, 5, 5], images[0, 0, 5, -5]
    # Half of the image is 0.5, half 0.8 * 1 + 0.2 * 0.5 = 0.9: z-scores of -1 and 1.
    assert (left.item(), right.item()) == (pytest.approx(-1, abs=0.02), pytest.approx(1, abs=0.02))


@settings(deadline=None, max_examples=30)
@given(seed=st.integers(0, 2**32 - 1), upright=st.booleans())
def test_image_and_labels_move_together(seed: int, upright: bool) -> None:
    maps = np.zeros((4, FRAME, FRAME), np.uint8)
    disc = np.hypot(*(np.indices((FRAME, FRAME)) - np.array([[[90]], [[110]]]))) < 45
    maps[0], maps[2], maps[3] = np.where(disc, Tissue.LIVER, Tissue.AIR), 255, disc
    for view in random_views(np.random.default_rng(seed), (Box(10, 200, 10, 210),) * 2, upright=upright):
        slices = recipe(maps, view, windowed=True, LIVER=1.0)
        images, labels = image_slices(slices, size=96, generator=torch.Generator().manual_seed(0))
        if not 0.02 < (labels > 0).float().mean() < 0.95:
            continue  # enlarged beside or inside the disc
        high, low = images.amax(), images.amin()
        assert ((images[0, 0] > (high + low) / 2) != (labels[0] > 0)).float().mean() < 0.03


def test_a_ct_is_cut_to_its_window_and_padded_with_its_darkest() -> None:
    maps = np.zeros((4, FRAME, FRAME), np.uint8)
    maps[0], maps[2], maps[3] = Tissue.LIVER, 255, 7
    maps[0, 100:120, 100:120] = Tissue.CORTICAL_BONE
    view = flat_view(extent=np.array([0.5, 1.0], np.float32))
    slices = recipe(maps, view, windowed=True, LIVER=0.5, CORTICAL_BONE=9.0)
    images, labels = image_slices(slices, size=96, generator=torch.Generator().manual_seed(0))
    assert (labels[0, :24] == 0).all() and (labels[0, -24:] == 0).all() and (labels[0, 24:-24] == 7).all()
    assert (images[0, :, :24] == images.min()).all() and images[0, 0, 26, 5] == pytest.approx(images.min().item())
    spread = (images.max() - images.min()) / images[0, 0, 24:-24].std()
    bone = 20 * 20 / (108 * FRAME)
    assert spread == pytest.approx(1 / np.sqrt(bone * (1 - bone)), rel=0.15)  # 0.5 and 1, but for the rim


def test_pictures_keep_their_colours() -> None:
    maps = np.zeros((4, FRAME, FRAME), np.uint8)
    maps[0, :, ::2], maps[1, ::2], maps[3] = 255, 255, 3
    slices = recipe(maps, flat_view(), coloured=True)
    images, labels = image_slices(slices, size=FRAME, generator=torch.Generator().manual_seed(0))
    red, green, blue = images[0]
    assert torch.equal(red[0], red[1]) and torch.equal(green[:, 0], green[:, 1]) and not torch.equal(red, green)
    assert torch.isfinite(blue).all() and (labels == 3).all()


def test_smooth_fields_have_the_variance_of_their_knots() -> None:
    knots = torch.randn(2000, 1, 6, 6, generator=torch.Generator().manual_seed(0))
    field = smooth_field(knots, 24)
    assert field.shape == (2000, 1, 24, 24)
    assert (field.square().mean(0) - 1).abs().max() < 0.2
    assert (field[..., 1:] - field[..., :-1]).abs().mean() < 0.3 * field.abs().mean()


def test_contrasts_differ_and_repeat_with_the_seed() -> None:
    first, again, other = (random_contrast(np.random.default_rng(seed)) for seed in (3, 3, 4))
    np.testing.assert_array_equal(first.mean, again.mean)
    assert not np.array_equal(first.mean, other.mean)
    assert len(first.mean) == len(first.texture) == len(Tissue)


@pytest.mark.parametrize("kind", CONTRAST_SHARES)
def test_a_contrast_can_be_chosen(kind: str) -> None:
    drawn = [random_contrast(np.random.default_rng(seed), {kind: 1.0}) for seed in range(20)]
    assert all(contrast.windowed == (kind == "ct") for contrast in drawn)
    liver, spleen = (np.mean([contrast.mean[tissue] for contrast in drawn]) for tissue in (Tissue.LIVER, Tissue.SPLEEN))
    assert {"t1": liver > spleen, "t2": liver < spleen}.get(kind, True)


def test_the_config_knows_the_structures() -> None:
    configs = Path(__file__).parents[2] / "bundle" / "configs"
    parser = ConfigParser()
    parser.read_config([configs / "train.yaml", configs / "pretrain.yaml"])
    loss = parser.get_parsed_content("train#loss")
    assert loss.labels == len(STRUCTURES) == max(STRUCTURES.values())
    assert loss.backdrop == BACKDROP and STRUCTURES["liver"] not in BACKDROP and STRUCTURES["muscle"] in BACKDROP
    assert parser.get_parsed_content("coarse_episodes") % parser.get_parsed_content("batch_size") == 0
    assert sum(parser.get_parsed_content("contrasts").values()) == pytest.approx(1)


def test_a_small_training_run_lowers_the_loss(dataset: LabelledEpisodes) -> None:
    torch.manual_seed(0)
    network = ALPNet(encoder=PyramidEncoder(channels=16, widths=(8, 8, 16, 16, 16)))
    loss_function, encoding = MatchingLoss(labels=len(STRUCTURES), backdrop=BACKDROP), PairEncoding()
    optimizer = torch.optim.AdamW(network.parameters(), lr=3e-3)
    losses = []
    for batch in DataLoader(Subset(dataset, range(120)), batch_size=4):
        query, target, _, support = image_pairs(batch, "cpu")
        loss = loss_function(encoding(query, network, **support), target)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert np.mean(losses[-5:]) < 0.85 * np.mean(losses[:5])
