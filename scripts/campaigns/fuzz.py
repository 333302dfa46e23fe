"""Damaged files: each is read rightly or refused in one sentence that names it; nothing else may happen."""

from __future__ import annotations

import faulthandler
import multiprocessing
import os
import resource
import tempfile
import traceback
import zlib
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from campaigns.scan import label_map, scan, write_nifti
from campaigns.targets import SMALL, TARGETS
from protoseg.api import Segmenter
from protoseg.errors import InputError
from protoseg.ops.volume import Volume

__all__ = ["Tally", "fuzz"]

SECONDS = 20.0  # that one file may take before it counts as a hang
MEMORY = 2 * 2**30  # bytes that a tiny file may ask for
NO_MEMORY = ("Unable to allocate", "bad_alloc", "Failed to allocate", "can't allocate memory", "MemoryError")
ANSWERED, REFUSED = "answered", "refused"
SEGMENTED = 4  # of so many scans that were read, one is segmented


@dataclass
class Tally:
    """The outcomes of the files of one kind."""

    tried: int = 0
    answered: int = 0
    refused: int = 0
    findings: Counter[str] = field(default_factory=Counter)
    examples: dict[str, int] = field(default_factory=dict)  # finding -> number of the first such file

    def add(self, number: int, outcome: str) -> None:
        """Count a file."""
        self.tried += 1
        if outcome == ANSWERED:
            self.answered += 1
        elif outcome == REFUSED:
            self.refused += 1
        else:
            self.findings[outcome] += 1
            self.examples.setdefault(outcome, number)

    def update(self, other: Tally) -> None:
        """Count the files of another tally, too."""
        self.tried += other.tried
        self.answered += other.answered
        self.refused += other.refused
        self.findings += other.findings
        self.examples = other.examples | self.examples


def fuzz(kind: str, numbers: range, seed: int) -> Tally:
    """Damage a file of one kind in so many ways, each decided by its number, and read each.

    They are read in a process of its own, with little memory, which is started again after a crash or a hang.
    """
    tally, left = Tally(), numbers
    while left:
        for outcome in _outcomes(kind, left, seed):
            tally.add(left[0], outcome)
            left = left[1:]
    return tally


def _outcomes(kind: str, numbers: range, seed: int) -> Iterator[str]:
    """Give the outcomes of files until the process is done, or crashes or hangs, which is its last outcome."""
    processes = multiprocessing.get_context("fork")  # saves importing everything again
    ours, theirs = processes.Pipe(duplex=False)
    process = processes.Process(target=_read_all, args=(kind, numbers, seed, theirs), daemon=True)
    process.start()
    theirs.close()
    try:
        for number in numbers:
            # The first one waits for the good file to be made, too.
            if not ours.poll(SECONDS * (3 if number == numbers[0] else 1)):
                yield "hang"
                return
            try:
                outcome = ours.recv()
            except EOFError:
                process.join()
                yield f"crash with status {process.exitcode}"
                return
            if isinstance(outcome, Exception):
                raise outcome
            yield outcome
    finally:
        process.kill()
        process.join()


def _read_all(kind: str, numbers: range, seed: int, results: Connection) -> None:
    """Make a good file, damage it in every way and send what became of each; an exception if the good one fails."""
    faulthandler.disable()
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)  # libraries tell of each damage
    target = TARGETS[kind]
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder) / "case"
        place.mkdir()
        try:
            segmenter = _segmenter(Path(folder) / "support")
            file = target.make(place)
            content = file.read_bytes()
            _check(target.read(file), file, segmenter)
        except Exception as error:
            results.send(error)
            return
        _limit_memory()
        before = _files(place)
        for number in numbers:
            random = np.random.default_rng((seed, zlib.crc32(kind.encode()), number))
            file.write_bytes(target.mutate(content, random))
            check = partial(_check, file=file, segmenter=None if number % SEGMENTED else segmenter)
            outcome = _outcome(partial(target.read, file), check, (str(place), file.name, *target.names))
            results.send(outcome if _files(place) == before else "other files were written")


def _segmenter(folder: Path) -> Segmenter:
    segmenter = Segmenter.from_pretrained(**SMALL)
    return segmenter.add_support(
        write_nifti(folder / "a.nii.gz", scan(1)), write_nifti(folder / "labels.nii.gz", label_map())
    )


def _files(folder: Path) -> list[Path]:
    return sorted(folder.rglob("*"))


def _limit_memory() -> None:
    pages = int(Path("/proc/self/statm").read_text(encoding="utf-8").split()[0])
    limit = pages * os.sysconf("SC_PAGESIZE") + MEMORY
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))


def _outcome(read: Callable[[], Any], check: Callable[[Any], None], names: Sequence[str]) -> str:
    """Tell the outcome of reading a file; an error must tell one of its names."""
    try:
        check(read())
    except InputError as error:
        if _asks_for_memory(error):
            return f"memory: {_place(error)}"
        if not any(name in str(error) for name in names):
            return f"the file is not named: {_place(error)}"
        return REFUSED
    except AssertionError as error:
        return f"accepted: {error}"
    except BaseException as error:
        if _asks_for_memory(error):
            return f"memory: {_place(error)}"
        return f"{type(error).__name__}: {_place(error)}"
    return ANSWERED


def _asks_for_memory(error: BaseException | None) -> bool:
    while error is not None:
        if isinstance(error, MemoryError) or any(words in str(error) for words in NO_MEMORY):
            return True
        error = error.__cause__ or error.__context__
    return False


def _place(error: BaseException) -> str:
    """The innermost function of the product on the way to an error."""
    ours = [frame for frame in traceback.extract_tb(error.__traceback__) if "protoseg" in Path(frame.filename).parts]
    return f"{Path(ours[-1].filename).name}, {ours[-1].name}" if ours else "outside of the product"


def _check(found: Any, file: Path, segmenter: Segmenter | None) -> None:
    """Refuse, by AssertionError, an answer that makes no sense; a scan is segmented, too."""
    if not isinstance(found, Volume):
        return
    assert found.numel() <= 2**26, "more voxels than the file can hold"
    affine = np.asarray(found.affine, float)
    spacing = np.linalg.norm(affine[:3, :3], axis=0)
    assert np.isfinite(affine).all() and (spacing >= 1e-6).all() and (spacing <= 1e4).all(), "nonsensical spacing"
    assert np.abs(affine[:3, 3]).max() <= 1e7, "nonsensical place"
    assert bool(Tensor.isfinite(found.as_tensor()).all()), "voxels that are not finite"
    if segmenter is None or "label_values" in found.meta:
        return
    result = segmenter.segment(found, name=str(file))
    assert result.label_map.shape == tuple(found.shape[1:]), "a label map of another size"
    assert set(np.unique(result.label_map)) <= {0, 1, 2}, "labels that are none"
    result.report()
