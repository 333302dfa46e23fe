"""In memory the cache keeps to its bound, on disk it survives bad files; fingerprints tell parameters."""

import functools
import operator
import pickle
import re
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from monai.transforms import Compose, NormalizeIntensityd, RandGaussianNoised, ScaleIntensityRanged

from protoseg.ops.disk_cache import array_file, cached_array
from protoseg.ops.hashing import fingerprint, source_state
from protoseg.ops.lru import LRUCache


def item(key: int) -> np.ndarray:
    return np.full(key, key, dtype=np.uint8)  # `key` bytes


@settings(deadline=None, max_examples=30)
@given(bound=st.integers(0, 40), keys=st.lists(st.integers(1, 30), max_size=40))
def test_never_exceeds_its_bound_and_always_gives_the_right_data(bound: int, keys: list[int]) -> None:
    cache = LRUCache(bound)
    for key in keys:
        np.testing.assert_array_equal(cache.get(key, lambda key=key: item(key)), item(key))
        assert cache.nbytes <= bound
        assert cache.nbytes == sum(kept.nbytes for kept in cache._items.values())


def test_drops_what_was_used_least_recently() -> None:
    made: list[str] = []

    def get(key: str) -> None:
        cache.get(key, lambda: made.append(key) or np.zeros(4, dtype=np.uint8))  # type: ignore[func-returns-value]

    cache = LRUCache(8)
    for key in ("a", "b", "a", "c", "a", "b"):
        get(key)
    assert made == ["a", "b", "c", "b"]


def test_an_item_above_the_bound_is_returned_but_not_kept() -> None:
    cache = LRUCache(3)
    assert cache.get("large", lambda: torch.zeros(4, dtype=torch.uint8)).shape == (4,)
    assert cache.nbytes == 0
    assert cache.get("large", lambda: torch.ones(4, dtype=torch.uint8)).sum() == 4


def test_threads_may_share_it() -> None:
    cache = LRUCache(50)
    with ThreadPoolExecutor(8) as pool:
        keys = [1 + number % 30 for number in range(2000)]
        found = list(pool.map(lambda key: cache.get(key, lambda: item(key)).tolist(), keys))
    assert found == [item(key).tolist() for key in keys]
    assert cache.nbytes == sum(kept.nbytes for kept in cache._items.values()) <= 50


def test_starts_empty_in_another_process() -> None:
    cache = LRUCache(10)
    cache.get("a", lambda: item(5))
    other = pickle.loads(pickle.dumps(cache))
    assert (other.max_bytes, other.nbytes) == (10, 0)


def never() -> np.ndarray:
    raise AssertionError("made again")


def test_array_is_made_once_and_memory_mapped(tmp_path: Path) -> None:
    array = np.arange(6, dtype=np.float16).reshape(2, 3)
    cached_array(tmp_path / "new folder", "key", lambda: array)
    again = cached_array(tmp_path / "new folder", "key", never)
    assert isinstance(again, np.memmap)
    assert not again.flags.writeable
    np.testing.assert_array_equal(again, array)


def test_empty_array_is_kept(tmp_path: Path) -> None:
    cached_array(tmp_path, "key", lambda: np.empty((0, 2), dtype=np.int64))
    assert cached_array(tmp_path, "key", never).shape == (0, 2)


@pytest.mark.parametrize("damage", [b"", b"no array", None], ids=["empty", "other format", "cut short"])
def test_unreadable_file_is_made_again(tmp_path: Path, damage: bytes | None) -> None:
    cached_array(tmp_path, "key", lambda: np.arange(100))
    file = array_file(tmp_path, "key")
    file.write_bytes(file.read_bytes()[:300] if damage is None else damage)
    np.testing.assert_array_equal(cached_array(tmp_path, "key", lambda: np.arange(100)), np.arange(100))
    np.testing.assert_array_equal(cached_array(tmp_path, "key", never), np.arange(100))


def test_failed_write_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full_disk(*_: object) -> None:
        raise OSError("No space left on device")

    monkeypatch.setattr(np, "save", full_disk)
    with pytest.raises(OSError, match="No space left"):
        cached_array(tmp_path, "key", lambda: np.arange(3))
    assert list(tmp_path.iterdir()) == []


def test_source_state_leaves_out_a_file_that_goes_while_it_looks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "stays").write_text("x")
    (tmp_path / "goes").write_text("x")
    look = Path.stat
    seen: list[Path] = []

    def going(file: Path, **how: bool) -> object:
        seen.append(file)
        if file.name == "goes" and seen.count(file) > 1:  # it was there a moment ago
            raise FileNotFoundError(file)
        return look(file, **how)

    monkeypatch.setattr(Path, "stat", going)
    assert [Path(file).name for file, *_ in source_state(tmp_path)] == ["stays"]


def test_source_state_tells_a_changed_file_and_covers_folders(tmp_path: Path) -> None:
    (tmp_path / "b.dcm").write_bytes(b"12")
    (tmp_path / "a.dcm").write_bytes(b"1")
    before = source_state(tmp_path)
    assert [(Path(path).name, size) for path, size, _ in before] == [("a.dcm", 1), ("b.dcm", 2)]
    (tmp_path / "a.dcm").write_bytes(b"123")
    assert source_state(tmp_path) != before
    assert source_state(tmp_path / "missing.nii.gz") == []


def windowed(low: float) -> Compose:
    return Compose(
        [
            ScaleIntensityRanged("image", low, 275, 0, 1, clip=True),
            RandGaussianNoised("image"),
            NormalizeIntensityd("image"),
        ]
    )


def test_fingerprint_tells_the_parameters_of_transforms_and_nothing_else() -> None:
    assert fingerprint(windowed(-125)) == fingerprint(windowed(-125).set_random_state(3))
    assert fingerprint(windowed(-125)) != fingerprint(windowed(-124))
    assert fingerprint(windowed(-125)) != fingerprint(Compose(windowed(-125).transforms[:2]))


def test_fingerprint_of_values_and_functions() -> None:
    assert fingerprint(1, [2.5, None], {"b": 1, "a": {3, 4}}) == "3076b458b40cc562"  # on every machine
    assert fingerprint(np.zeros(3)) != fingerprint(np.zeros(4))
    assert fingerprint(lambda x: x + 1) != fingerprint(lambda x: x + 2)
    assert fingerprint(lambda x: [y + 1 for y in x]) != fingerprint(lambda x: [y + 2 for y in x])
    assert fingerprint(lambda x, y=1: x + y) != fingerprint(lambda x, y=2: x + y)
    assert fingerprint(lambda x, *, y=1: x + y) != fingerprint(lambda x, *, y=2: x + y)
    assert fingerprint(np.float32(1)) != fingerprint(np.float32(2)) and fingerprint(np.int64(3)) == fingerprint(3)
    assert fingerprint(range(3), slice(1)) != fingerprint(range(4), slice(1)) != fingerprint(range(4), slice(2))
    assert fingerprint(operator.itemgetter(1)) != fingerprint(operator.itemgetter(2))
    assert fingerprint(torch.zeros(2, dtype=torch.bfloat16)) != fingerprint(torch.ones(2, dtype=torch.bfloat16))
    assert fingerprint(re.compile("a"), np.add) != fingerprint(re.compile("b"), np.add)
    assert fingerprint(np.add) != fingerprint(np.multiply)
    assert fingerprint(torch.Generator().manual_seed(1)) == fingerprint(torch.Generator().manual_seed(2))
    assert fingerprint(threading.Lock()) == fingerprint(threading.Lock())
    assert fingerprint(functools.partial(round, ndigits=1)) != fingerprint(functools.partial(round, ndigits=2))


def test_fingerprint_of_an_object_that_holds_itself() -> None:
    assert fingerprint(Cyclic()) == fingerprint(Cyclic())


class Cyclic:
    def __init__(self) -> None:
        self.myself = self


def test_what_a_killed_process_left_goes_when_its_array_is_made(tmp_path: Path) -> None:
    left, other = (tmp_path / f".{32 * 'a'}.{key}.npy" for key in ("key", "other"))
    for file in (left, other):
        file.write_bytes(b"half an array")
    cached_array(tmp_path, "key", lambda: item(3))
    assert not left.exists()
    assert other.exists(), "somebody may be writing it"


def test_a_slower_process_takes_the_array_of_the_faster_one(tmp_path: Path) -> None:
    def make_slowly() -> np.ndarray:
        return _Slow.of(item(3), lambda: cached_array(tmp_path, "key", lambda: item(3)))

    assert cached_array(tmp_path, "key", make_slowly).tolist() == [3, 3, 3]
    assert [file.name for file in tmp_path.iterdir()] == ["key.npy"]


class _Slow(np.ndarray):
    """An array while whose writing something else happens."""

    meanwhile: Callable[[], object]

    @classmethod
    def of(cls, array: np.ndarray, meanwhile: Callable[[], object]) -> np.ndarray:
        slow = array.view(cls)
        slow.meanwhile = meanwhile
        return slow

    def tofile(self, *arguments: Any) -> None:  # which np.save calls
        super().tofile(*arguments)
        self.meanwhile()
