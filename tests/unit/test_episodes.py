"""Episodes are pure in seed and index, aligned, and never come from an excluded slice."""

import itertools
from pathlib import Path

import numpy as np
import pytest
import torch
from episode_scans import LOAD, SIZE, SLICES, episodes, write_scan
from hypothesis import given, settings
from hypothesis import strategies as st
from monai.transforms import Compose, Identityd, RandAffined
from torch.utils.data import DataLoader

from protoseg.data.episodes import prepared_scans
from protoseg.data.episodes.episodes import SuperpixelEpisodes
from protoseg.data.episodes.prepared_scans import ScanPreparation, prepare_scans
from protoseg.data.episodes.sampling import EpisodeSampler


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("scans")


@pytest.fixture(scope="module")
def data(folder: Path) -> list[dict[str, str]]:
    return [write_scan(folder, "first", 20), write_scan(folder, "second", 60)]


def opened(data: list[dict[str, str]], folder: Path) -> list[np.ndarray]:
    preparation = ScanPreparation(LOAD, folder / "cache", image_size=SIZE, threshold=1e-4, min_size=800)
    return [scan.superpixels() for scan in prepare_scans(data, preparation)]


def same(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[key], other[key]) for key in one)


def test_shapes_and_types(data: list[dict[str, str]], folder: Path) -> None:
    dataset = episodes(data, folder, shots=2)
    episode = dataset[0]
    assert {key: tuple(value.shape) for key, value in episode.items()} == {
        "support_images": (2, 3, SIZE, SIZE),
        "support_masks": (2, SIZE, SIZE),
        "query_image": (3, SIZE, SIZE),
        "query_mask": (SIZE, SIZE),
    }
    for value in episode.values():
        assert type(value) is torch.Tensor
        assert value.dtype == torch.float32
    assert episode["query_mask"].unique().tolist() == [0, 1]
    assert len(dataset) == sum(len(np.unique(map_)) - 1 for scan in opened(data, folder) for map_ in scan)


@settings(deadline=None, max_examples=15)
@given(seed=st.integers(0, 2**31), index=st.integers(0, 2**40), between=st.integers(0, 100))
def test_episode_depends_on_seed_and_index_only(
    data: list[dict[str, str]], folder: Path, seed: int, index: int, between: int
) -> None:
    dataset = episodes(data, folder, seed=seed)
    first = dataset[index]
    dataset[between]
    np.random.seed(between)  # noqa: NPY002 - the global state must not matter
    torch.manual_seed(between)
    assert same(first, dataset[index])
    assert same(first, episodes(data, folder, seed=seed, cache_bytes=0)[index])


def test_other_indices_and_seeds_give_other_episodes(data: list[dict[str, str]], folder: Path) -> None:
    dataset = episodes(data, folder)
    assert not same(dataset[0], dataset[1])
    assert not same(dataset[0], episodes(data, folder, seed=1)[0])
    assert not torch.equal(dataset[0]["query_image"], dataset[0]["support_images"][0])


@pytest.mark.parametrize("workers", [0, 2])
def test_batches_do_not_depend_on_workers(data: list[dict[str, str]], folder: Path, workers: int) -> None:
    dataset = episodes(data, folder)
    loader = DataLoader(dataset, batch_size=3, sampler=EpisodeSampler(first=6), num_workers=workers)
    for step, batch in enumerate(itertools.islice(loader, 2), start=2):
        for row in range(3):
            assert same({key: value[row] for key, value in batch.items()}, dataset[3 * step + row])


def brightest(dataset: SuperpixelEpisodes, count: int) -> set[tuple[int, int]]:
    """Scan and slice of episodes without augmentation, told by the brightness of the body."""
    body = [int(dataset[index]["query_image"][0, SIZE // 2, SIZE // 2 + 2]) for index in range(count)]
    return {(0, value - 20) if value < 60 else (1, value - 60) for value in body}


UNCHANGED = Compose([Identityd(["image", "mask"])])


@pytest.mark.parametrize(
    ("excluded", "left"),
    [((), {0, 1, 2, 3, 4, 5}), ((1,), {3, 4, 5}), ((2,), {0, 1, 2, 4, 5}), ((1, 2), {4, 5})],
)
def test_slices_with_an_excluded_label_never_appear(
    data: list[dict[str, str]], folder: Path, excluded: tuple[int, ...], left: set[int]
) -> None:
    dataset = episodes(data, folder, augmentation=UNCHANGED, exclude_labels=excluded)
    assert brightest(dataset, 150) == {(scan, index) for scan in (0, 1) for index in left}


def test_excluded_labels_do_not_appear_in_a_neighbouring_channel(data: list[dict[str, str]], folder: Path) -> None:
    dataset = episodes(data, folder, augmentation=UNCHANGED, exclude_labels=(2,), adjacent_slices=True)
    centres = {tuple(dataset[index]["query_image"][:, SIZE // 2, SIZE // 2 + 2].int().tolist()) for index in range(80)}
    excluded = {20 + 3, 60 + 3}
    assert centres == {(20, 20, 21), (20, 21, 22), (24, 25, 25), (60, 60, 61), (60, 61, 62), (64, 65, 65)}
    assert not excluded & {value for channels in centres for value in channels}


def test_image_and_mask_stay_aligned(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An image that equals its superpixel shows where the mask belongs."""
    monkeypatch.setattr(prepared_scans, "superpixels", lambda slice_, **_: (slice_ > 0).astype(np.int16))
    volume = np.zeros((SIZE, SIZE, 2), dtype=np.float32)
    volume[20:40, 16:44] = 1
    np.save(tmp_path / "mask.npy", volume)
    dataset = episodes([{"image": str(tmp_path / "mask.npy")}], tmp_path, shots=2)
    for index in range(20):
        episode = dataset[index]
        images = torch.cat([episode["support_images"], episode["query_image"][None]])[:, 0] > 0.5
        masks = torch.cat([episode["support_masks"], episode["query_mask"][None]]) > 0
        for image, mask in zip(images, masks):
            assert 2 * (image & mask).sum() / (image.sum() + mask.sum()) > 0.95


def test_adjacent_slices_are_the_channels(data: list[dict[str, str]], folder: Path) -> None:
    dataset = episodes(data[:1], folder, augmentation=UNCHANGED, adjacent_slices=True)
    centres = {tuple(dataset[index]["query_image"][:, SIZE // 2, SIZE // 2 + 2].tolist()) for index in range(80)}
    assert centres == {(20, 20, 21), (20, 21, 22), (21, 22, 23), (22, 23, 24), (23, 24, 25), (24, 25, 25)}


def test_large_slices_use_superpixels_of_the_published_size(data: list[dict[str, str]], folder: Path) -> None:
    dataset = episodes(data[:1], folder, augmentation=UNCHANGED, image_size=512, min_size=400)
    episode = dataset[0]
    assert episode["query_image"].shape == (3, 512, 512)
    assert episode["query_mask"].shape == (512, 512)
    preparation = ScanPreparation(LOAD, folder=folder / "cache", image_size=512, threshold=1e-4)
    assert prepare_scans(data[:1], preparation)[0].superpixels().shape == (SLICES, 256, 256)
    assert (preparation.to_map_pixels(400), ScanPreparation(LOAD, folder, 128).to_map_pixels(400)) == (
        400,
        100,
    )


def test_smallest_superpixels_may_be_left_out(data: list[dict[str, str]], folder: Path) -> None:
    dataset = episodes(data, folder, augmentation=UNCHANGED, min_superpixel=1600)  # 100 pixels of 64 x 64
    assert 0 < len(dataset) < len(episodes(data, folder))
    assert min(int(dataset[index]["query_mask"].sum()) for index in range(50)) >= 100


def test_memory_keeps_to_its_bound(data: list[dict[str, str]], folder: Path) -> None:
    dataset = episodes(data, folder, cache_bytes=50_000)
    for index in range(20):
        dataset[index]
        assert 0 < dataset._cache.nbytes <= 50_000


def test_scans_are_prepared_once(data: list[dict[str, str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = episodes(data, tmp_path)[3]
    files = sorted(tmp_path.rglob("*.npy"))
    assert len(files) == 6  # slices, superpixels and areas of two scans

    def again(*_: object, **__: object) -> None:
        raise AssertionError("prepared again")

    monkeypatch.setattr(prepared_scans, "superpixels", again)
    monkeypatch.setattr(prepared_scans, "fit_slices", again)
    assert same(first, episodes(data, tmp_path)[3])
    with pytest.raises(AssertionError, match="prepared again"):
        episodes(data, tmp_path, min_size=900)


def test_scans_are_prepared_again_when_the_code_has_changed(
    data: list[dict[str, str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    episodes(data, tmp_path)
    monkeypatch.setattr(prepared_scans, "FORMAT", prepared_scans.FORMAT + 1)
    episodes(data, tmp_path)
    assert len(list(tmp_path.rglob("*.npy"))) == 12


def test_interrupted_preparation_goes_on(data: list[dict[str, str]], tmp_path: Path) -> None:
    broken = [*data, {"image": "missing.npy"}]
    with pytest.raises(Exception, match=r"missing\.npy|applying transform"):
        episodes(broken, tmp_path)
    made = {file: file.stat().st_mtime_ns for file in tmp_path.rglob("*.npy")}
    assert len(made) == 6
    episodes(data, tmp_path)
    assert {file: file.stat().st_mtime_ns for file in tmp_path.rglob("*.npy")} == made


@pytest.mark.slow  # every process imports torch and MONAI
def test_worker_processes_prepare_the_same(data: list[dict[str, str]], folder: Path, tmp_path: Path) -> None:
    parallel = episodes(data, tmp_path, workers=2)
    serial = episodes(data, folder)
    assert all(same(parallel[index], serial[index]) for index in range(3))


def test_vanished_mask_is_drawn_again(data: list[dict[str, str]], folder: Path) -> None:
    often = Compose(
        [RandAffined(["image", "mask"], prob=0.6, translate_range=[(500, 501), (500, 501)], padding_mode="zeros")]
    )
    dataset = episodes(data, folder, augmentation=often)
    for index in range(10):
        assert dataset[index]["query_mask"].any()
        assert dataset[index]["support_masks"].any()
        assert same(dataset[index], dataset[index])
