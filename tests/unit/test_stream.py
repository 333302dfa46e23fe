"""Streams of subjects: pure in seed and episode, each slot for so long, and what had its time is deleted."""

from pathlib import Path

import numpy as np
import pytest

from protoseg.synthesis import stream
from protoseg.synthesis.people import BLOCKS
from protoseg.synthesis.stream import KINDS, SubjectStream

pytestmark = pytest.mark.usefixtures("coarse_stream")


def open_stream(folder: Path, kind: str = "skin", *, slots: int = 3, renewal: int = 30, seed: int = 0) -> SubjectStream:
    return SubjectStream(kind, slots=slots, renewal=renewal, folder=folder, seed=seed)


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_is_painted_and_kept(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    maps = np.array(open_stream(tmp_path, kind).maps(1, 10))
    assert maps.dtype == np.uint8 and maps.shape[-1 if kind in BLOCKS else 1] == 4
    monkeypatch.setattr(SubjectStream, "_paint", lambda *_: pytest.fail("painted again"))
    np.testing.assert_array_equal(open_stream(tmp_path, kind).maps(1, 10), maps)


def test_who_is_in_a_slot_depends_on_seed_and_episode_only(tmp_path: Path) -> None:
    there = open_stream(tmp_path / "a")
    for episode in (0, 100, 7):
        there.maps(2, episode)
    np.testing.assert_array_equal(there.maps(2, 7), open_stream(tmp_path / "b").maps(2, 7))
    assert (there.maps(2, 7) != open_stream(tmp_path / "b", seed=1).maps(2, 7)).any()
    assert (there.maps(2, 7) != there.maps(1, 7)).any()


def test_slots_change_in_turn_and_each_after_its_time(tmp_path: Path) -> None:
    pool = open_stream(tmp_path)
    versions = np.array([[pool._tenant(slot, episode).version for episode in range(60)] for slot in range(3)])
    changes = [np.flatnonzero(np.diff(row)).tolist() for row in versions]
    assert changes == [[29], [19, 49], [9, 39]]


def test_the_last_but_one_is_deleted_when_the_next_arrives(tmp_path: Path) -> None:
    pool = open_stream(tmp_path, "cells", slots=1)
    for episode in range(0, 150, 15):
        for member in range(stream.MEMBERS):
            pool.maps(0, episode, member)
    assert len(list(tmp_path.glob("*.npy"))) == 2 * stream.MEMBERS


def test_members_of_a_world_share_its_seed(tmp_path: Path) -> None:
    pool = open_stream(tmp_path, "shapes")
    first, second = (set(np.unique(pool.maps(0, 0, member)[:, 0]).tolist()) for member in (0, 1))
    stranger = set(np.unique(pool.maps(1, 0)[:, 0]).tolist())
    assert len(first & second) > len(first & stranger)


def test_places_are_found_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    places = open_stream(tmp_path, "abdomen").places(0, 0)
    monkeypatch.setattr(stream, "find_places", lambda *_: pytest.fail("looked for again"))
    again = open_stream(tmp_path, "abdomen").places(0, 0)
    assert places.centres.keys() == again.centres.keys()
    assert (places.upper > places.lower).all()
