"""A prepared folder is the same however often the work was stopped, and no other folder is touched."""

import errno
import json
import pickle
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import nibabel
import pytest
from small_sources import SMALL, cut_short, files, refusal

from protoseg.data.preparation.btcv import find_btcv
from protoseg.data.preparation.chaos import find_chaos
from protoseg.data.preparation.folder_lock import claimed_folder
from protoseg.data.preparation.listed import find_listed
from protoseg.data.preparation.polyp import find_polyps
from protoseg.data.preparation.prepare import prepare
from protoseg.data.preparation.scans import DataSet


@pytest.fixture(scope="module")
def prepared(btcv_source: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """What an uninterrupted preparation writes."""
    folder = tmp_path_factory.mktemp("whole") / "out"
    prepare(find_btcv(btcv_source, **SMALL), folder)
    return files(folder)


def test_a_second_run_changes_nothing(btcv_source: Path, tmp_path: Path, prepared: dict[str, bytes]) -> None:
    data_set = find_btcv(btcv_source, **SMALL)
    prepare(data_set, tmp_path)
    written = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.nii.gz")}
    prepare(data_set, tmp_path)
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.nii.gz")} == written
    assert files(tmp_path) == prepared


@pytest.mark.parametrize("spoil", [Path.unlink, cut_short])
def test_a_file_that_was_lost_or_damaged_is_made_again(
    btcv_source: Path, tmp_path: Path, prepared: dict[str, bytes], spoil: Callable[[Path], None]
) -> None:
    prepare(find_btcv(btcv_source, **SMALL), tmp_path)
    spoil(tmp_path / "images/img0002.nii.gz")
    prepare(find_btcv(btcv_source, **SMALL), tmp_path)
    assert files(tmp_path) == prepared


def test_a_source_that_changed_is_prepared_again(btcv_source: Path, tmp_path: Path) -> None:
    source = shutil.copytree(btcv_source, tmp_path / "btcv")
    prepare(find_btcv(source, **SMALL), tmp_path / "out")
    shutil.copy(source / "RawData/Training/label/label0001.nii.gz", source / "RawData/Training/label/label0002.nii.gz")
    prepare(find_btcv(source, **SMALL), tmp_path / "out")
    first, second = (tmp_path / f"out/labels/img000{number}.nii.gz" for number in (1, 2))
    assert first.read_bytes() == second.read_bytes()


def test_work_can_be_sent_to_other_processes(
    chaos_source: Path, btcv_source: Path, write_polyps, write_listed, tmp_path: Path
) -> None:
    found = [
        find_chaos(chaos_source, size=64),
        find_btcv(btcv_source, **SMALL),
        find_polyps(write_polyps(tmp_path / "Kvasir", 3)),
        find_listed(write_listed(tmp_path / "listed")),
    ]
    for number, data_set in enumerate(found):
        prepare(data_set, tmp_path / f"here_{number}")
        sent = pickle.loads(pickle.dumps(data_set))
        prepare(sent, tmp_path / f"there_{number}")
        assert files(tmp_path / f"here_{number}") == files(tmp_path / f"there_{number}")


def test_other_settings_need_another_folder(btcv_source: Path, tmp_path: Path) -> None:
    prepare(find_btcv(btcv_source, **SMALL), tmp_path)
    before = files(tmp_path)
    message = refusal(lambda: prepare(find_btcv(btcv_source, size=40, border=4), tmp_path))
    assert message.startswith(f"{tmp_path} holds scans prepared as {{'data_set': 'BTCV', ")
    assert message.endswith("'settings': {'size': 40, 'border': 4}}. Choose another folder, or delete this one.")
    assert files(tmp_path) == before


def test_a_folder_of_other_files_is_left_alone(btcv_source: Path, tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("dear")
    assert refusal(lambda: prepare(find_btcv(btcv_source, **SMALL), tmp_path)) == (
        f"{tmp_path} holds files that were not prepared here. Choose an empty or a new folder."
    )
    assert files(tmp_path) == {"thesis.txt": b"dear"}


def test_nothing_is_written_into_the_source(btcv_source: Path) -> None:
    before = files(btcv_source)
    folder = btcv_source / "prepared"
    assert refusal(lambda: prepare(find_btcv(btcv_source, **SMALL), folder)) == (
        f"{folder} lies in {btcv_source}, which is only read. Choose a folder outside of it."
    )
    assert files(btcv_source) == before


def test_two_at_once(btcv_source: Path, tmp_path: Path) -> None:
    data_set = find_btcv(btcv_source, **SMALL)
    with claimed_folder(tmp_path, recipe_of(data_set)):
        assert refusal(lambda: prepare(data_set, tmp_path)) == (
            f"{tmp_path}: another preparation is working here, expected to be the only one. Wait until it "
            "ends, or choose another folder."
        )
    prepare(data_set, tmp_path)


def recipe_of(data_set: DataSet) -> dict[str, object]:
    return {"data_set": data_set.name, "labels": dict(data_set.labels), "settings": dict(data_set.settings)}


@pytest.mark.parametrize("number", [errno.ENOSPC, None])
def test_full_disk(
    btcv_source: Path,
    tmp_path: Path,
    prepared: dict[str, bytes],
    monkeypatch: pytest.MonkeyPatch,
    number: int | None,
) -> None:
    save, saved = nibabel.save, []

    def save_half(image: nibabel.Nifti1Image, path: Path) -> None:
        saved.append(path)
        save(image, path)
        if len(saved) == 4:  # the label map of the second scan
            cut_short(path)
            raise OSError(number, "No space left on device") if number else OSError("16 requested and 0 written")

    data_set = find_btcv(btcv_source, **SMALL)
    with monkeypatch.context() as patched:
        patched.setattr(nibabel, "save", save_half)
        assert refusal(lambda: prepare(data_set, tmp_path)) == (
            f"{tmp_path}: the disk is full. Free some space and give the same command again: it goes on from here."
        )
    assert set(files(tmp_path)) == {
        *("preparation.json", "records/img0001.json"),
        *("images/img0001.nii.gz", "labels/img0001.nii.gz", "images/img0002.nii.gz"),
    }
    prepare(data_set, tmp_path)
    assert files(tmp_path) == prepared


KILLED = """
import os, signal, sys
from pathlib import Path
import nibabel
from protoseg.data.preparation.btcv import find_btcv
from protoseg.data.preparation.prepare import prepare

save, saved = nibabel.save, []

def save_half(image, path):
    saved.append(path)
    save(image, path)
    if len(saved) == 4:
        Path(path).write_bytes(Path(path).read_bytes()[:100])
        os.kill(os.getpid(), signal.SIGKILL)

nibabel.save = save_half
prepare(find_btcv(Path(sys.argv[1]), size=42, border=4), Path(sys.argv[2]))
"""


def test_killed_while_it_writes(btcv_source: Path, tmp_path: Path, prepared: dict[str, bytes]) -> None:
    command = [sys.executable, "-c", KILLED, btcv_source, tmp_path]
    killed = subprocess.run(command, capture_output=True, text=True, encoding="utf-8", check=False)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert len([name for name in files(tmp_path) if "/." in name]) == 1  # what it was writing
    assert not (tmp_path / "dataset.json").exists()
    finished = (tmp_path / "images/img0001.nii.gz").stat().st_mtime_ns
    prepare(find_btcv(btcv_source, **SMALL), tmp_path)
    assert files(tmp_path) == prepared
    assert (tmp_path / "images/img0001.nii.gz").stat().st_mtime_ns == finished


def test_a_list_of_records_can_be_read_by_anyone(prepared: dict[str, bytes]) -> None:
    case = json.loads(prepared["dataset.json"])["training"][0]
    assert case["id"] == "img0003"
    assert sorted(case) == ["checksums", "id", "image", "label", "modality", "size", "spacing"]
    assert case["checksums"]["image"].startswith("sha256:")
