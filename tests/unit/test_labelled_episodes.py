"""Labelled episodes are pure in seed and index, image and labels move together, and they teach an encoder."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from monai.bundle import ConfigParser
from torch.utils.data import DataLoader, Subset

from protoseg.data import people as people_module
from protoseg.data.anatomy.tissues import ORGANS, Tissue
from protoseg.data.labelled_episodes import LabelledEpisodes
from protoseg.data.people import STRUCTURES, Box, PersonSlice, load_people
from protoseg.data.random_contrast import Contrast, random_contrast, render_slice
from protoseg.data.random_view import acquire, random_view
from protoseg.errors import InputError
from protoseg.maths.alpnet import ALPNet
from protoseg.maths.matching_loss import MatchingLoss, PairEncoding, PairFeatures, label_shares
from protoseg.maths.pyramid import PyramidEncoder
from protoseg.workflows.batches import prepare_episodes

SIZE = 64


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("people")


@pytest.fixture(scope="module", autouse=True)
def small_people() -> Iterator[None]:
    """Coarse people with few slices paint in a moment."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(people_module, "SHAPE", (72, 56, 6))
        patch.setattr(people_module, "SPACING", (5.4, 5.4, 30.0))
        yield


@pytest.fixture(scope="module")
def dataset(folder: Path) -> LabelledEpisodes:
    return LabelledEpisodes(cache_dir=folder, people=3, image_size=SIZE, seed=5)


def same(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[key], other[key]) for key in one)


def test_shapes_and_types(dataset: LabelledEpisodes) -> None:
    assert {key: (tuple(value.shape), value.dtype) for key, value in dataset[0].items()} == {
        "support_images": ((1, 3, SIZE, SIZE), torch.float32),
        "support_masks": ((1, SIZE, SIZE), torch.uint8),
        "query_image": ((3, SIZE, SIZE), torch.float32),
        "query_mask": ((SIZE, SIZE), torch.uint8),
    }
    assert len(dataset) == 18


@settings(deadline=None, max_examples=20)
@given(index=st.integers(0, 10**9))
def test_an_episode_depends_on_seed_and_index_only(folder: Path, dataset: LabelledEpisodes, index: int) -> None:
    dataset[3]
    again = LabelledEpisodes(cache_dir=folder, people=3, image_size=SIZE, seed=5)
    other = LabelledEpisodes(cache_dir=folder, people=3, image_size=SIZE, seed=6)
    assert same(dataset[index], again[index])
    assert not same(dataset[index], other[index])


@settings(deadline=None, max_examples=30)
@given(index=st.integers(0, 10**6))
def test_every_image_is_finite_grey_and_of_about_unit_variance(dataset: LabelledEpisodes, index: int) -> None:
    episode = dataset[index]
    for image in (episode["support_images"][0], episode["query_image"]):
        assert image.isfinite().all()
        assert torch.equal(image[0], image[2])
        assert 0.2 < image.std() < 2.5
    assert max(episode["support_masks"].max(), episode["query_mask"].max()) <= max(STRUCTURES.values())


def test_support_and_query_are_imaged_independently(dataset: LabelledEpisodes) -> None:
    for index in range(10):
        episode = dataset[index]
        assert not torch.equal(episode["support_images"][0], episode["query_image"])
        assert not torch.equal(episode["support_masks"][0], episode["query_mask"])


def test_negative_numbers_and_a_single_person_are_refused(dataset: LabelledEpisodes, folder: Path) -> None:
    with pytest.raises(IndexError, match="numbered from 0, found -1"):
        dataset[-1]
    with pytest.raises(InputError, match="people is 1; an episode takes two of them"):
        LabelledEpisodes(cache_dir=folder, people=1)


def test_a_larger_pool_begins_with_the_same_people(folder: Path) -> None:
    few = LabelledEpisodes(cache_dir=folder, people=2, seed=9)
    many = LabelledEpisodes(cache_dir=folder, people=3, seed=9)
    assert [person.file for person in many._people[:2]] == [person.file for person in few._people]


def test_the_first_episodes_are_drawn_at_three_quarters_of_the_size(folder: Path) -> None:
    dataset = LabelledEpisodes(cache_dir=folder, people=2, image_size=SIZE, coarse_episodes=4, seed=9)
    assert [tuple(dataset[index]["query_image"].shape) for index in (3, 4)] == [(3, 48, 48), (3, 64, 64)]


def test_people_are_painted_once(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (person,) = load_people([77], folder)
    monkeypatch.setattr(people_module, "paint_scan", lambda *args, **kwargs: pytest.fail("painted again"))
    assert load_people([77], folder) == [person]


def test_a_slice_shows_the_patients_right_at_its_left_and_the_front_at_the_top(folder: Path) -> None:
    (person,) = load_people([77], folder)
    structures = np.stack([person.slice(index).structure for index in range(person.count)])
    _, _, liver = np.nonzero(structures == ORGANS["liver"])
    _, _, spleen = np.nonzero(structures == ORGANS["spleen"])
    _, spine, _ = np.nonzero(structures == ORGANS["vertebrae"])
    middle = structures.shape[2] / 2
    assert liver.mean() < middle < spleen.mean()
    assert spine.mean() > structures.shape[1] / 2


def test_every_labelled_pixel_lies_in_the_body(folder: Path) -> None:
    (person,) = load_people([77], folder)
    for index in range(person.count):
        maps = person.slice(index)
        assert (maps.tissue[maps.structure == 0] < Tissue.SKIN).all()
        rows, columns = np.nonzero(maps.structure)
        assert person.body.top <= rows.min() and rows.max() < person.body.bottom
        assert person.body.left <= columns.min() and columns.max() < person.body.right


def test_surface_pixels_mix_two_tissues() -> None:
    flat = np.full((16, 16), Tissue.LIVER, np.uint8)
    maps = PersonSlice(
        flat, np.full_like(flat, Tissue.SPLEEN), np.full_like(flat, 204), np.full_like(flat, ORGANS["liver"])
    )
    mean = np.zeros(len(Tissue), np.float32)
    mean[[Tissue.LIVER, Tissue.SPLEEN]] = (1.0, 0.5)
    contrast = Contrast(mean, np.zeros_like(mean), windowed=False)
    np.testing.assert_allclose(render_slice(maps, contrast, np.random.default_rng(0)), 0.9, rtol=1e-6)


@settings(deadline=None, max_examples=30)
@given(seed=st.integers(0, 2**32 - 1))
def test_image_and_labels_move_together(seed: int) -> None:
    disc = (np.hypot(*(np.indices((100, 120)) - np.array([[[50]], [[64]]]))) < 22).astype(np.uint8)
    view = random_view(np.random.default_rng(seed), body=Box(10, 90, 10, 110), shape=disc.shape, size=96)
    moved = view.image(disc.astype(np.float32))[view.inside] > 0.5
    assert (moved != (view.labels(disc)[view.inside] > 0)).mean() < 0.02
    assert moved.any()


def test_a_ct_is_cut_to_its_window_and_padded_with_its_darkest() -> None:
    rng = np.random.default_rng(1)
    view = random_view(rng, body=Box(30, 70, 10, 110), shape=(100, 120), size=96)
    image = acquire(np.full((96, 96), 0.5, np.float32) + np.eye(96, dtype=np.float32) * 9, view, rng, windowed=True)
    inside = np.zeros((96, 96), dtype=bool)
    inside[view.inside] = True
    assert not inside.all()
    assert (image[~inside] == image.min()).all()


def test_contrasts_differ_and_repeat_with_the_seed() -> None:
    first, again, other = (random_contrast(np.random.default_rng(seed)) for seed in (3, 3, 4))
    np.testing.assert_array_equal(first.mean, again.mean)
    assert not np.array_equal(first.mean, other.mean)
    assert len(first.mean) == len(first.texture) == len(Tissue)


def test_shares_of_labels_in_cells() -> None:
    labels = torch.tensor([[[0, 1, 2, 2], [1, 1, 2, 2]]])
    assert label_shares(labels, 2, (1, 2)).tolist() == [[[[0.25, 0.0]], [[0.75, 0.0]], [[0.0, 1.0]]]]


def test_the_loss_is_low_where_features_match_and_ignores_what_the_other_slice_lacks() -> None:
    labels = torch.tensor([[[0, 0, 1, 1], [0, 0, 1, 1]]])
    matching = torch.tensor([[[[1.0, 0.0]], [[0.0, 1.0]]]])  # 1 x C=2 x 1 x 2
    loss = MatchingLoss(labels=3)
    good = loss(PairFeatures(matching, matching, labels), labels[:, None])
    bad = loss(PairFeatures(matching, matching.flip(3), labels), labels[:, None])
    assert good < 1e-4 < 5 < bad
    lacking = loss(PairFeatures(matching, matching, labels), (3 * labels)[:, None])
    assert lacking < 1e-4


def test_the_config_knows_the_structures() -> None:
    config = ConfigParser.load_config_file(Path(__file__).parents[2] / "bundle" / "configs" / "pretrain.yaml")
    loss = config["train#loss"]
    assert loss["labels"] == len(STRUCTURES) == max(STRUCTURES.values())
    assert loss["backdrop"] == [0, *(value for value in STRUCTURES.values() if value not in ORGANS.values())]
    assert config["coarse_episodes"] % config["batch_size"] == 0


def test_a_structure_that_the_support_lacks_must_look_like_the_backdrop() -> None:
    support_labels = torch.tensor([[[0, 0, 1, 1], [0, 0, 1, 1]]])
    query_labels = torch.tensor([[[0, 0, 2, 2], [0, 0, 2, 2]]])
    like_background = torch.tensor([[[[1.0, 1.0]], [[0.0, 0.0]]]])
    like_the_other = torch.tensor([[[[1.0, 0.0]], [[0.0, 1.0]]]])
    loss = MatchingLoss(labels=2, backdrop=[0])
    losses = [
        loss._one_way(
            like_the_other, label_shares(support_labels, 2, (1, 2)), query, label_shares(query_labels, 2, (1, 2))
        )
        for query in (like_background, like_the_other)
    ]
    assert losses[0] < 1e-3 < 4 < losses[1]


def test_a_small_training_run_lowers_the_loss(dataset: LabelledEpisodes) -> None:
    torch.manual_seed(0)
    network = ALPNet(encoder=PyramidEncoder(channels=16, widths=(8, 8, 16, 16, 16)))
    loss_function, encoding = MatchingLoss(labels=len(STRUCTURES), backdrop=[0]), PairEncoding()
    optimizer = torch.optim.AdamW(network.parameters(), lr=3e-3)
    losses = []
    for batch in DataLoader(Subset(dataset, range(120)), batch_size=4):
        query, target, _, support = prepare_episodes(batch)
        loss = loss_function(encoding(query, network, **support), target)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert np.mean(losses[-5:]) < 0.85 * np.mean(losses[:5])
