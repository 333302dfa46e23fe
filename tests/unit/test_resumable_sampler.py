"""A list of queries that processes share: each is drawn once, and again when its process was killed."""

import json
import multiprocessing
import os
import signal

import pytest
from torch.utils.data import DataLoader

from protoseg.errors import InputError
from protoseg.workflows import shared_work
from protoseg.workflows.handlers.skip_unreadable import SkipUnreadable
from protoseg.workflows.resumable_sampler import ResumableSampler

SETTINGS = {"support_selection": "nearest", "refiner": None}
CASES = [{"image": f"{name}.nii.gz"} for name in "abc"]


@pytest.fixture
def start(tmp_path):
    def make(**options):
        return ResumableSampler(CASES, tmp_path, **{"settings": SETTINGS, "resume": True, **options})

    return make


def report(folder, name, settings=SETTINGS, query=None):
    content = {"query": query or f"{name}.nii.gz", "labels": {}, "settings": settings}
    (folder / f"{name}_seg.json").write_text(json.dumps(content))


def test_every_query_is_drawn_unless_a_run_is_resumed(start, tmp_path):
    report(tmp_path, "b")
    assert list(start(resume=False)) == [0, 1, 2]
    assert len(start(resume=False)) == 3
    assert [file.name for file in tmp_path.iterdir()] == ["b_seg.json"]
    assert list(start()) == [0, 2]


def test_a_report_that_was_cut_short_is_no_report(start, tmp_path):
    (tmp_path / "a_seg.json").write_text('{"query": "a.nii')
    assert list(start()) == [0, 1, 2]


def test_what_a_killed_process_was_writing_is_removed_when_its_query_is_drawn(start, tmp_path):
    begun = [tmp_path / f".{32 * digit}.{name}_seg.nii.gz" for digit, name in ("1a", "2b")]
    for file in begun:
        file.touch()
    drawn = iter(start())
    assert next(drawn) == 0
    assert [file.exists() for file in begun] == [False, True]


@pytest.mark.parametrize(
    ("found", "told"),
    [
        ({"settings": {"support_selection": "all", "refiner": None}}, "support_selection was 'all', now 'nearest'"),
        ({"settings": {}}, "support_selection was None, now 'nearest'"),
        ({"query": "of_another_folder/a.nii.gz"}, "query was 'of_another_folder/a.nii.gz', now 'a.nii.gz'"),
    ],
)
def test_results_of_another_run_are_refused(start, tmp_path, found, told):
    report(tmp_path, "a", **found)
    with pytest.raises(InputError) as caught:
        list(start())
    assert str(caught.value) == (
        f"{tmp_path / 'a_seg.json'} is not of this run: {told}. Resume with what it was made of, choose another "
        "output_dir, or delete the old results."
    )


def test_a_file_system_without_locks_is_refused(start, tmp_path, monkeypatch):
    def no_locks(*_, **__):
        raise OSError(37, "No locks available")

    monkeypatch.setattr(shared_work.FileLock, "acquire", no_locks)
    with pytest.raises(InputError, match="is on a file system without locks \\(No locks available\\)"):
        list(start())


def draw_and_wait(queries, told):
    told.send(next(iter(queries)))
    signal.pause()


@pytest.fixture
def other(start):
    """Another process, which drew the first query and is at it."""
    context = multiprocessing.get_context("fork")
    told, tells = context.Pipe(duplex=False)
    process = context.Process(target=draw_and_wait, args=(start(), tells))
    process.start()
    assert told.recv() == 0
    yield process
    process.kill()
    process.join()


def test_a_query_is_drawn_by_one_process_and_after_its_death_by_another(start, other, monkeypatch):
    waited = []

    def wait(_):
        waited.append(list(drawn))
        os.kill(other.pid, signal.SIGKILL)
        other.join()

    monkeypatch.setattr(shared_work.time, "sleep", wait)
    drawn = []
    for index in start():
        drawn.append(index)
    assert drawn == [1, 2, 0]
    assert waited == [[1, 2]]


def test_a_query_that_another_process_has_done_is_not_drawn(start, other, tmp_path, monkeypatch):
    monkeypatch.setattr(shared_work.time, "sleep", lambda _: report(tmp_path, "a"))
    assert list(start()) == [1, 2]


class Unreadable:
    def __len__(self):
        return len(CASES)

    def __getitem__(self, index):
        if index == 1:
            raise InputError("b is broken.")
        return index


def draw_all(queries, told):
    told.send(list(queries))


def test_a_query_that_cannot_be_read_is_left_to_others(start, tmp_path):
    queries = start()
    scans = SkipUnreadable(DataLoader(Unreadable(), batch_size=1, sampler=queries), queries)
    read = iter(scans)
    assert [int(next(read)), int(next(read))] == [0, 2]
    report(tmp_path, "a")
    report(tmp_path, "c")
    context = multiprocessing.get_context("fork")
    told, tells = context.Pipe(duplex=False)
    process = context.Process(target=draw_all, args=(start(), tells))
    process.start()
    assert told.recv() == [1]
    process.join()
    assert list(read) == [] and len(scans.failures) == 1
