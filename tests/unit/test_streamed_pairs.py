"""Streamed pairs are pure in seed and index, show the same structures on both sides, and teach an encoder."""

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from monai.bundle import ConfigParser
from torch.utils.data import DataLoader, Subset, default_collate

from protoseg.data.pretraining.imaging import image_pairs
from protoseg.data.pretraining.streamed_pairs import StreamedPairs
from protoseg.errors import InputError
from protoseg.losses.contrastive_pair import ContrastivePairLoss
from protoseg.losses.matching import PairEncoding
from protoseg.networks.alpnet import ALPNet
from protoseg.networks.fpn import FPNEncoder
from protoseg.synthesis.contrast_pairs import PROTOCOLS
from protoseg.synthesis.person_slices import ORIENTATIONS, PersonSlices
from protoseg.synthesis.stream import KINDS
from protoseg.synthesis.subjects import STRUCTURES

SIZE = 64
SETTINGS = {
    "slots": {"abdomen": 3, "heart": 2, "shapes": 2, "cells": 1, "branches": 1, "skin": 2},
    "renewal": 10**9,
    "protocols": {"ct": 0.4, "weighted": 0.3, "arbitrary": 0.3},
    "planes": {"axial": 0.5, "coronal": 0.13, "sagittal": 0.13, "oblique": 0.24},
    "image_size": SIZE,
    "seed": 5,
}


@pytest.fixture(scope="module")
def folder(coarse_stream: int, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("stream")


@pytest.fixture(scope="module")
def dataset(folder: Path) -> StreamedPairs:
    return StreamedPairs(cache_dir=folder, **SETTINGS)


def pairs(dataset: StreamedPairs, *indices: int) -> tuple:
    return image_pairs(default_collate([dataset[index] for index in indices]), "cpu")


def same(one: dict, other: dict) -> bool:
    slices, others = one["slices"], other["slices"]
    return one["seed"] == other["seed"] and all(torch.equal(slices[key], others[key]) for key in slices)


def test_shapes_and_types(dataset: StreamedPairs) -> None:
    query, labels, _, support = pairs(dataset, *range(6))
    assert query.shape == support["support_images"].shape == (6, 1, 3, SIZE, SIZE)
    assert labels.shape == (6, 1, SIZE, SIZE) and support["support_masks"].shape == (6, 1, 1, SIZE, SIZE)
    assert (query.dtype, labels.dtype) == (torch.float32, torch.int64)
    assert len(dataset) == 11


@settings(deadline=None, max_examples=20, derandomize=True)
@given(index=st.integers(0, 10**8))
def test_a_pair_depends_on_seed_and_index_only(folder: Path, dataset: StreamedPairs, index: int) -> None:
    again = StreamedPairs(cache_dir=folder, **SETTINGS)
    assert same(dataset[index], again[index])
    assert not same(dataset[index], dataset[index + 1])


def test_new_subjects_come_with_time(tmp_path: Path, coarse_stream: int) -> None:
    short = StreamedPairs(cache_dir=tmp_path, **{**SETTINGS, "slots": {"skin": 2}, "renewal": 10})
    seen = [{short.pools["skin"].maps(slot, episode).tobytes() for slot in range(2)} for episode in (0, 4, 12, 25)]
    assert len(set.union(*seen)) == 6  # the second after 5, 15 and 25 pairs, the first after 10 and 20
    assert len(seen[0] | seen[1]) == 2


@settings(deadline=None, max_examples=30, derandomize=True)
@given(index=st.integers(0, 10**6))
def test_every_image_is_finite_and_varies(dataset: StreamedPairs, index: int) -> None:
    query, labels, _, support = pairs(dataset, index)
    for image in (query, support["support_images"]):
        assert image.isfinite().all() and 0.05 < image.std() < 3
    assert max(labels.max(), support["support_masks"].max()) <= len(STRUCTURES)


def test_both_sides_show_structures_of_one_kind(dataset: StreamedPairs) -> None:
    alike = []
    for index in range(80):
        maps = dataset[index]["slices"]["maps"][:, 3].numpy()
        first, second = (set(np.unique(side).tolist()) - {0} for side in maps)
        alike.append(len(first & second) / max(1, min(len(first), len(second))))
    assert np.mean(alike) > 0.75


def test_people_are_cut_in_every_plane_and_close_up(dataset: StreamedPairs) -> None:
    how = {"planes": SETTINGS["planes"], "close": 0.4}
    people = PersonSlices(dataset.pools["abdomen"], 0, **how)
    drawn = [people.draw(np.random.default_rng(seed)) for seed in range(60)]
    assert 0.2 < np.mean([first.part for first, _ in drawn]) < 0.6
    for first, second in drawn:
        assert first.part == second.part
        for side in (first, second):
            assert side.body.bottom > side.body.top and side.body.right > side.body.left
            assert (side.maps[3] > 0).any()
    assert all(side.part for side in PersonSlices(dataset.pools["heart"], 0, **how).draw(np.random.default_rng(0)))


def test_the_first_pairs_are_drawn_at_three_quarters_of_the_size(folder: Path, coarse_stream: int) -> None:
    dataset = StreamedPairs(cache_dir=folder, **{**SETTINGS, "coarse_pairs": 4})
    assert [pairs(dataset, index)[0].shape[-1] for index in (3, 4)] == [48, 64]


@pytest.mark.parametrize(
    ("change", "found"),
    [
        ({"slots": {}}, "slots is empty"),
        ({"slots": {"abdomen": 1}}, "abdomen is 1; a pair takes two of them"),
        ({"slots": {"cells": 0}}, "cells is 0; .* ask for at least 1"),
        ({"slots": {"elbow": 3}}, "'elbow'; expected some of abdomen, "),
        ({"renewal": 0}, "renewal is 0 pairs; expected at least 1"),
        ({"shares": {"elbow": 0.5}}, r"shares are {'elbow': 0.5}; expected numbers from 0 for some of abdomen, "),
        ({"protocols": {"flair": 1.0}}, r"protocols are {'flair': 1.0}; expected numbers from 0 for some of ct, "),
        ({"protocols": {"ct": 0.5}}, "expected shares that add up to 1"),
        (
            {"planes": {"axial": 0.5, "tilted": 0.5}},
            "expected numbers from 0 for some of axial, coronal, sagittal, obl",
        ),
        ({"same_protocol": 0.8}, "same_protocol is 0.8; it must lie between 0 and 0.75"),
    ],
)
def test_unusable_requests_are_refused(tmp_path: Path, change: dict, found: str) -> None:
    with pytest.raises(InputError, match=found):
        StreamedPairs(cache_dir=tmp_path, **{**SETTINGS, **change})


def test_pairs_are_numbered_from_0(dataset: StreamedPairs) -> None:
    with pytest.raises(IndexError, match="numbered from 0, found -1"):
        dataset[-1]


def test_close_ups_and_planes_are_a_matter_of_shares(dataset: StreamedPairs) -> None:
    pool = dataset.pools["abdomen"]
    whole, close = (PersonSlices(pool, 0, planes={"axial": 1.0}, close=share) for share in (0.0, 1.0))
    for seed in range(10):
        assert not whole.draw(np.random.default_rng(seed))[0].part
        assert close.draw(np.random.default_rng(seed))[0].part


@pytest.mark.parametrize("last", [[], ["pretraining/cooldown.yaml"]])
def test_the_config_fits(last: list[str]) -> None:
    configs = Path(__file__).parents[2] / "bundle" / "configs"
    parser = ConfigParser()
    names = ["train.yaml", "pretrain.yaml", "pretraining/streamed.yaml", *last]
    parser.read_config([configs / name for name in names])
    values = {name: parser.get_parsed_content(name) for name in ("slots", "shares", "planes", "coarse_episodes")}
    values["protocols"] = parser.get_parsed_content("protocols")
    assert set(values["slots"]) == set(values["shares"]) == set(KINDS)
    assert last or sum(values["shares"].values()) == pytest.approx(1)
    assert set(values["planes"]) == set(ORIENTATIONS)
    assert sum(values["planes"].values()) == pytest.approx(1)
    assert set(values["protocols"]) == set(PROTOCOLS) and sum(values["protocols"].values()) == pytest.approx(1)
    assert values["coarse_episodes"] % parser.get_parsed_content("batch_size") == 0


def test_a_small_training_run_lowers_the_loss(dataset: StreamedPairs) -> None:
    torch.manual_seed(0)
    network = ALPNet(encoder=FPNEncoder(channels=16, widths=(8, 8, 16, 16, 16), coordinate_dropout=0.2))
    loss_function, encoding = ContrastivePairLoss(labels=len(STRUCTURES)), PairEncoding()
    optimizer = torch.optim.AdamW(network.parameters(), lr=3e-3)
    losses = []
    for batch in DataLoader(Subset(dataset, range(160)), batch_size=4):
        query, target, _, support = image_pairs(batch, "cpu")
        loss = loss_function(encoding(query, network, **support), target)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert np.mean(losses[-8:]) < 0.95 * np.mean(losses[:8])
