"""A list of queries: those that are left to do, when a run goes on."""

import json

import pytest

from protoseg.errors import InputError
from protoseg.workflows import resumable_sampler
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
    (folder / f"{name}_seg.nii.gz").touch()


def test_every_query_is_drawn_unless_a_run_is_resumed(start, tmp_path):
    report(tmp_path, "b")
    assert list(start(resume=False)) == [0, 1, 2]
    assert len(start(resume=False)) == 3
    assert {file.name for file in tmp_path.iterdir()} == {"b_seg.json", "b_seg.nii.gz"}
    assert list(start()) == [0, 2]


def test_a_report_that_was_cut_short_is_no_report(start, tmp_path):
    (tmp_path / "a_seg.json").write_text('{"query": "a.nii')
    assert list(start()) == [0, 1, 2]


def test_what_killed_processes_were_writing_is_removed_and_nothing_of_other_runs(start, tmp_path):
    begun = [tmp_path / f".{32 * digit}.{name}_seg.nii.gz" for digit, name in ("1a", "2b", "3z")]
    for file in begun:
        file.touch()
    list(start())
    assert [file.exists() for file in begun] == [False, False, True]


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


def test_processes_of_torchrun_share_the_queries(start, tmp_path, monkeypatch):
    monkeypatch.setattr(resumable_sampler.distributed, "is_initialized", lambda: True)
    monkeypatch.setattr(resumable_sampler.distributed, "get_world_size", lambda: 2)
    drawn = {}
    for rank in range(2):
        monkeypatch.setattr(resumable_sampler.distributed, "get_rank", lambda rank=rank: rank)
        drawn[rank] = list(start(resume=False)), list(start())
    assert drawn == {0: ([0, 2], [0, 2]), 1: ([1], [1])}
    report(tmp_path, "c")  # by the first, while the second begins: its share stays what it is
    assert list(start()) == [1]
