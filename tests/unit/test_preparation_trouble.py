"""Sources that cannot be used are refused with one sentence; a preparation that was stopped goes on where it was."""

import errno
import json
import os
import pickle
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import nibabel
import numpy as np
import pytest
from PIL import Image

from protoseg.data.preparation.btcv import find_btcv
from protoseg.data.preparation.chaos import find_chaos
from protoseg.data.preparation.folder_lock import claimed_folder
from protoseg.data.preparation.listed import find_listed
from protoseg.data.preparation.polyp import find_polyps
from protoseg.data.preparation.prepare import prepare
from protoseg.data.preparation.scans import DataSet
from protoseg.errors import InputError

T2 = Path("Train_Sets/MR/2/T2SPIR")
SMALL = {"size": 42, "border": 4}


def files(folder: Path) -> dict[str, bytes]:
    """Content of all files, by their paths in the folder; the lock remembers a process and is left out."""
    paths = (path for path in folder.rglob("*") if path.is_file() and path.name != ".lock")
    return {str(path.relative_to(folder)): path.read_bytes() for path in paths}


def refusal(work: Callable[[], object]) -> str:
    with pytest.raises(InputError) as caught:
        work()
    return str(caught.value)


@pytest.fixture(scope="module")
def chaos_source(write_chaos, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_chaos(tmp_path_factory.mktemp("chaos"), mr=["1", "2", "3"])


@pytest.fixture(scope="module")
def btcv_source(write_btcv, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_btcv(tmp_path_factory.mktemp("btcv"), [1, 2, 3])


@pytest.fixture(scope="module")
def prepared(btcv_source: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """What an uninterrupted preparation writes."""
    folder = tmp_path_factory.mktemp("whole") / "out"
    prepare(find_btcv(btcv_source, **SMALL), folder)
    return files(folder)


def cut_short(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:400])


def repainted(path: Path, value: int) -> None:
    grey = np.array(Image.open(path))
    grey[0, 0] = value
    Image.fromarray(grey).save(path)


BAD_CHAOS: dict[str, tuple[Callable[[Path], object], str]] = {
    "nothing there": (
        lambda f: shutil.rmtree(f / "Train_Sets"),
        "{f}: found no scans in Train_Sets/MR, expected Train_Sets/MR/<id>/T2SPIR/DICOM_anon. "
        "Give the folder that holds Train_Sets.",
    ),
    "sequence missing": (
        lambda f: shutil.rmtree(f / T2 / "DICOM_anon"),
        "{f}/Train_Sets/MR/2/T2SPIR/DICOM_anon does not exist, expected a folder of slices. Unpack the data set again.",
    ),
    "PNG missing": (
        lambda f: (f / T2 / "Ground/IMG-0002-00003.png").unlink(),
        "{f}/Train_Sets/MR/2/T2SPIR/Ground holds 7 PNG files and {f}/Train_Sets/MR/2/T2SPIR/DICOM_anon 8 DICOM slices, "
        "expected as many of one as of the other. Unpack the data set again.",
    ),
    "slice missing": (
        lambda f: [(f / T2 / name).unlink() for name in ("DICOM_anon/IMG-0002-00003.dcm", "Ground/IMG-0002-00003.png")],
        "{f}/Train_Sets/MR/2/T2SPIR/DICOM_anon: IMG-0002-00004.dcm and IMG-0002-00002.dcm are 15.4 mm apart, expected "
        "7.7 mm as between the other slices. Export the whole series again.",
    ),
    "slice cut short": (
        lambda f: cut_short(f / T2 / "DICOM_anon/IMG-0002-00003.dcm"),
        "{f}/Train_Sets/MR/2/T2SPIR/DICOM_anon/IMG-0002-00003.dcm is damaged or holds no pixels, expected a DICOM "
        "image. Take it out of the folder.",
    ),
    "unknown grey level": (
        lambda f: repainted(f / T2 / "Ground/IMG-0002-00003.png", 99),
        "{f}/Train_Sets/MR/2/T2SPIR/Ground/IMG-0002-00003.png: found the grey level 99, expected 0 or one of liver 55 "
        "to 70, right_kidney 110 to 135, left_kidney 175 to 200, spleen 240 to 255. Unpack the data set again.",
    ),
    "PNG of another size": (
        lambda f: Image.new("L", (40, 50)).save(f / T2 / "Ground/IMG-0002-00003.png"),
        "{f}/Train_Sets/MR/2/T2SPIR/Ground/IMG-0002-00003.png has 40 x 50 pixels and its slice IMG-0002-00003.dcm "
        "50 x 50, expected one size. Unpack the data set again.",
    ),
    "damaged PNG": (
        lambda f: (
            cut_short(f / T2 / "Ground/IMG-0002-00003.png") or (f / T2 / "Ground/IMG-0002-00003.png").write_bytes(b"x")
        ),
        "{f}/Train_Sets/MR/2/T2SPIR/Ground/IMG-0002-00003.png cannot be read: it is damaged or no picture. "
        "Get a fresh copy.",
    ),
    "two of one name": (
        lambda f: shutil.copytree(f / "Train_Sets/MR/2", f / "Train_Sets/MR/02"),
        "{f}: {f}/Train_Sets/MR/2/T2SPIR/DICOM_anon and {f}/Train_Sets/MR/02/T2SPIR/DICOM_anon would both be scan '2', "
        "expected one scan a name. Take one of them away, or rename it.",
    ),
}


@pytest.mark.parametrize(("spoil", "message"), BAD_CHAOS.values(), ids=list(BAD_CHAOS))
def test_refused_chaos(chaos_source: Path, tmp_path: Path, spoil: Callable[[Path], object], message: str) -> None:
    source = shutil.copytree(chaos_source, tmp_path / "chaos")
    spoil(source)
    found = refusal(lambda: prepare(find_chaos(source, size=64), tmp_path / "out"))
    assert found == message.format(f=source)
    assert not (tmp_path / "out/dataset.json").exists()
    assert {Path(name).stem for name in files(tmp_path / "out")} <= {"preparation", "1", "1.nii"}


def unlabelled(source: Path) -> str:
    (source / "RawData/Training/label/label0002.nii.gz").unlink()
    return (
        "{f}/RawData/Training/img/img0002.nii.gz has no label file label0002.nii.gz in {f}/RawData/Training/label. "
        "Unpack the data set again."
    )


def unknown_value(source: Path) -> str:
    path = source / "RawData/Training/label/label0002.nii.gz"
    labels = nibabel.load(path)
    nibabel.save(nibabel.Nifti1Image(np.full(labels.shape, 14, np.uint8), labels.affine), path)
    legend = ", ".join(f"{value} {name}" for name, value in find_btcv(source).labels.items())
    return f"{path}: found the label value 14, expected 0 or one of {legend}. " + (
        "Name it among the labels, or give the right label map."
    )


def twice(source: Path) -> str:
    images = source / "RawData/Training/img"
    shutil.copy(images / "img0002.nii.gz", images / "img0002.nii")
    return (
        "{f}: {f}/RawData/Training/img/img0002.nii and {f}/RawData/Training/img/img0002.nii.gz would both be scan "
        "'img0002', expected one scan a name. Take one of them away, or rename it."
    )


@pytest.mark.parametrize("spoil", [unlabelled, unknown_value, twice])
def test_refused_btcv(btcv_source: Path, tmp_path: Path, spoil: Callable[[Path], str]) -> None:
    source = shutil.copytree(btcv_source, tmp_path / "btcv")
    message = spoil(source)
    assert refusal(lambda: prepare(find_btcv(source, **SMALL), tmp_path / "out")) == message.format(f=source)
    assert not (tmp_path / "out/dataset.json").exists()


def test_refused_polyps(write_polyps, tmp_path: Path) -> None:
    assert refusal(lambda: find_polyps(tmp_path)) == (
        f"{tmp_path}: found no folder with images and masks, expected such as Kvasir/images and Kvasir/masks. "
        "Give the folder that holds the sets."
    )
    source = write_polyps(tmp_path / "CVC-300", 3)
    assert refusal(lambda: find_polyps(tmp_path)) == (
        f"{tmp_path}: all 3 pictures are for tests, expected some to train on and to take the support from. "
        "Put a set such as Kvasir or CVC-ClinicDB beside them."
    )
    (source / "masks/2.png").unlink()
    assert refusal(lambda: find_polyps(tmp_path)) == (
        f"{source}: found 3 images, 2 masks, and 1 images without a mask of the same name, such as 2.jpg; "
        "expected one mask an image. Get a fresh copy."
    )


@pytest.mark.parametrize("name", ["../a", "b/c", ".hidden"])
def test_an_id_that_is_no_file_name(write_listed, tmp_path: Path, name: str) -> None:
    path = write_listed(tmp_path / "mine")
    content = json.loads(path.read_text())
    content["scans"][0]["id"] = name
    path.write_text(json.dumps(content))
    assert refusal(lambda: prepare(find_listed(path), tmp_path / "out")) == (
        f"{path}: the id {name!r} of {path.parent}/scan_1.nii.gz is no file name. Give another id."
    )
    assert not (tmp_path / "out").exists()


REFUSED_LISTS = {
    "a.json": (
        '{"scans": [{"image": "none.nii"}]}',
        "{path}: scans[0]: the image {folder}/none.nii does not exist. Check dataset_dir and the path.",
    ),
    "b.json": (
        "[]",
        '{path}: found a list, expected an object like {{"training": [...]}}. Give a data set\'s JSON file.',
    ),
    "c.json": (
        '{"scans": [{"image": "a.nii", "label": "a.nii", "labels": {"spleen": 2}}], "labels": {"liver": 1}}',
        "{path}: {folder}/a.nii has the labels spleen, expected names among liver. "
        "Name them in the labels of the whole list too.",
    ),
    "d.csv": (
        "image,label\na.nii,a.nii\n",
        '{path}: a CSV list does not name its labels. Give label_names, like {{"liver": 1}}.',
    ),
    "e.csv": (
        "image\na.nii\nnone.nii\n",
        "{path}, line 3: the image {folder}/none.nii does not exist. Correct the path.",
    ),
    "f.csv": (
        "picture,label\na.nii,a.nii\n",
        "{path}: found 1 rows with the columns picture, label, expected a row a scan with the column image and any of "
        "label, section, id. Correct the first line.",
    ),
}


@pytest.mark.parametrize("name", REFUSED_LISTS)
def test_refused_list(tmp_path: Path, name: str) -> None:
    content, message = REFUSED_LISTS[name]
    (tmp_path / "a.nii").touch()
    (tmp_path / name).write_text(content)
    found = refusal(lambda: find_listed(tmp_path / name))
    assert found == message.format(path=tmp_path / name, folder=tmp_path)


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
            f"{tmp_path}: another preparation (process {os.getpid()}) is working here, expected to be the only one. "
            "Wait until it ends, or choose another folder."
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
    killed = subprocess.run([sys.executable, "-c", KILLED, btcv_source, tmp_path], capture_output=True, text=True)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert len([name for name in files(tmp_path) if "/." in name]) == 1  # what it was writing
    assert not (tmp_path / "dataset.json").exists()
    finished = (tmp_path / "images/img0001.nii.gz").stat().st_mtime_ns
    prepare(find_btcv(btcv_source, **SMALL), tmp_path)
    assert files(tmp_path) == prepared
    assert (tmp_path / "images/img0001.nii.gz").stat().st_mtime_ns == finished


SLEEPING = """
import os, sys, time
from pathlib import Path
from protoseg.data.parallel import map_in_processes

def work(file):
    Path(file).write_text(str(os.getpid()))
    time.sleep(600)

if __name__ == "__main__":
    map_in_processes(work, sys.argv[1:], workers=2, description="sleeping")
"""


def test_processes_end_with_a_killed_parent(tmp_path: Path) -> None:
    (tmp_path / "sleeping.py").write_text(SLEEPING)
    notes = [tmp_path / "first", tmp_path / "second"]
    parent = subprocess.Popen([sys.executable, tmp_path / "sleeping.py", *notes], stderr=subprocess.DEVNULL)
    try:
        wait_until(lambda: all(note.exists() and note.read_text() for note in notes))
    finally:
        parent.kill()
        parent.wait()
    wait_until(lambda: not any(is_running(int(note.read_text())) for note in notes))


def wait_until(done: Callable[[], bool], seconds: float = 120) -> None:
    end = time.monotonic() + seconds
    while not done():
        assert time.monotonic() < end
        time.sleep(0.05)


def is_running(process: int) -> bool:
    """Tell whether a process is there and has not ended as a zombie, which waits for its parent to ask."""
    status = Path(f"/proc/{process}/stat")
    return status.exists() and status.read_text().rpartition(")")[2].split()[0] != "Z"


def test_a_list_of_records_can_be_read_by_anyone(prepared: dict[str, bytes]) -> None:
    case = json.loads(prepared["dataset.json"])["training"][0]
    assert case["id"] == "img0003"
    assert sorted(case) == ["checksums", "id", "image", "label", "modality", "size", "spacing"]
    assert case["checksums"]["image"].startswith("sha256:")
