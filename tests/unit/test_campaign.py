"""A bounded part of scripts/campaign: the harness finds what is planted, and nothing else."""

import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "scripts"))

from campaigns import fuzz as fuzzing
from campaigns import runs
from campaigns.disks import DiskTally, fill_disks
from campaigns.fuzz import Tally, fuzz
from campaigns.kills import KillTally, kill_again_and_again
from campaigns.mutations import mutate_bytes, mutate_gzip, mutate_json, mutate_safetensors
from campaigns.report import tables, write_part
from campaigns.targets import TARGETS, Target
from campaigns.works import WORKS, Work

from protoseg.errors import InputError
from protoseg.files import replacing

# Reading them costs milliseconds; the others are in the whole campaign.
FAST = ("NIfTI, gzip", "NRRD", "MetaImage", "PNG", "TIFF", "label NRRD of Slicer", "DICOM RTSTRUCT", "dataset.json")
FAST += ("suite index", "overrides")


@pytest.mark.parametrize("kind", FAST)
def test_damaged_files_are_read_or_refused(kind: str) -> None:
    tally = fuzz(kind, range(12), seed=0)
    assert tally.tried == tally.answered + tally.refused == 12, tally.findings


def test_a_seed_damages_in_the_same_way() -> None:
    for mutate, content in (
        (mutate_bytes, bytes(500)),
        (mutate_gzip, b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff\x03\x00\x00\x00\x00\x00\x00\x00\x00\x00"),
        (mutate_json, b'{"a": [1, {"b": "c"}]}'),
        (mutate_safetensors, (2).to_bytes(8, "little") + b"{}"),
    ):
        one, same, other = ([mutate(content, np.random.default_rng((s, k))) for k in range(20)] for s in (0, 0, 1))
        assert one == same != other
        assert any(changed != content for changed in one)


def planted(outcome: str) -> Target:
    """A kind of file that is read into an outcome once its first byte is another."""

    def make(folder: Path) -> Path:
        (folder / "a.bin").write_bytes(b"good")
        return folder / "a.bin"

    def read(file: Path) -> None:
        if file.read_bytes() == b"good":
            return
        if outcome == "crash":
            import os

            os.abort()
        if outcome == "write":
            (file.parent / "other").touch()
        if outcome == "hang":
            import time

            time.sleep(60)
        if outcome == "memory":
            bytearray(2**33)
        if outcome == "error":
            raise KeyError("x")
        if outcome == "unnamed":
            raise InputError("something is wrong")
        raise InputError(f"{file} is damaged")

    return Target(make, read, lambda _, __: b"bad")


@pytest.mark.parametrize(
    ("outcome", "found"),
    [
        ("crash", "crash with status -6"),
        ("write", "other files were written"),
        ("hang", "hang"),
        ("memory", "memory: outside of the product"),
        ("error", "KeyError: outside of the product"),
        ("unnamed", "the file is not named: outside of the product"),
    ],
)
def test_every_kind_of_finding_is_found(monkeypatch: pytest.MonkeyPatch, outcome: str, found: str) -> None:
    monkeypatch.setitem(TARGETS, "planted", planted(outcome))
    monkeypatch.setattr(fuzzing, "_segmenter", lambda folder: None)
    monkeypatch.setattr(fuzzing, "SECONDS", 0.7 if outcome == "hang" else 20.0)
    tally = fuzz("planted", range(2), seed=0)
    assert tally.tried == 2
    assert tally.findings[found] >= 1, tally.findings


@pytest.mark.parametrize("name", ["preparation"])
def test_killed_work_goes_on_where_it_was(name: str) -> None:
    tally = kill_again_and_again(name, 4, seed=0)
    assert (tally.tried, tally.findings) == (4, Counter())
    assert tally.killed >= 2, "those that are killed as they write"


@pytest.mark.parametrize("name", ["preparation"])
def test_full_disks_leave_nothing_half_written(name: str) -> None:
    tally = fill_disks(name, 3)
    assert tally.findings == Counter()
    assert tally.refused >= 2


def careless(source: Path, place: Path) -> None:
    """Write a file in two parts, where it belongs."""
    place.mkdir(exist_ok=True)
    with (place / "a.txt").open("w") as file:
        file.write("one")
        file.flush()
        (place / "b.txt").write_text("between")
        file.write("two")


def careful(source: Path, place: Path) -> None:
    with replacing(place / "a.txt") as unfinished:
        unfinished.write_text("onetwo")


@pytest.mark.parametrize(("run", "bad"), [(careless, True), (careful, False)])
def test_work_that_writes_carelessly_is_found_out(monkeypatch: pytest.MonkeyPatch, run: object, bad: bool) -> None:
    monkeypatch.setitem(WORKS, "planted", Work(lambda source: source.mkdir(), run, ("a.txt",)))  # type: ignore[arg-type]
    found = fill_disks("planted", 3).findings
    assert ("a.txt is not whole" in found) == bad
    assert any(name.startswith("status 1, not one sentence") for name in found) == bad


def test_the_page_keeps_what_stands_before_the_tables(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    begin, end = (f"<!-- files: {what} of what scripts/campaign --report writes -->\n" for what in ("begin", "end"))
    page.write_text(f"# Mine\n{begin}old\n{end}## Also mine\n", encoding="utf-8")
    files = {"NIfTI": Tally(3, 1, 1, Counter({"hang": 1}), {"hang": 2})}
    text = tables("scripts/campaign", files, {"training": KillTally(2, 2)}, {"training": DiskTally(4, 3)})
    write_part(page, "files", text)
    written = page.read_text(encoding="utf-8")
    assert written == f"# Mine\n{begin}{text}{end}## Also mine\n"
    assert "| NIfTI | 3 | 1 | 1 | 1 |" in written
    assert "- NIfTI: hang: 1" in written
    with pytest.raises(ValueError, match="has no lines"):
        write_part(page, "server", text)


def test_a_run_that_fails_undisturbed_is_no_finding(tmp_path: Path) -> None:
    def fail(source: Path, place: Path) -> None:
        raise ValueError

    with pytest.raises(RuntimeError, match="fails without being disturbed: status 1"):
        runs.undisturbed(Work(lambda _: None, fail, ()), tmp_path / "source", tmp_path / "place")
