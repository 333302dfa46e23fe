"""Sources that cannot be used are refused with one sentence."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import nibabel
import numpy as np
import pytest
from PIL import Image
from small_sources import SMALL, cut_short, files, refusal

from protoseg.data.preparation.btcv import find_btcv
from protoseg.data.preparation.chaos import find_chaos
from protoseg.data.preparation.listed import find_listed
from protoseg.data.preparation.polyp import find_polyps
from protoseg.data.preparation.prepare import prepare

T2 = Path("Train_Sets/MR/2/T2SPIR")


def repainted(path: Path, value: int) -> None:
    gray = np.array(Image.open(path))
    gray[0, 0] = value
    Image.fromarray(gray).save(path)


BAD_CHAOS: dict[str, tuple[Callable[[Path], object], str]] = {
    "nothing there": (
        lambda f: shutil.rmtree(f / "Train_Sets"),
        "{f}: found no scans in Train_Sets/MR, expected Train_Sets/MR/<id>/T2SPIR/DICOM_anon. "
        "Give the folder that holds Train_Sets, or another --sequence.",
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
    "unknown gray level": (
        lambda f: repainted(f / T2 / "Ground/IMG-0002-00003.png", 99),
        "{f}/Train_Sets/MR/2/T2SPIR/Ground/IMG-0002-00003.png: found the gray level 99, expected 0 or one of liver 55 "
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
    content = json.loads(path.read_text(encoding="utf-8"))
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
        '{path}: a CSV list does not name its labels. Give --label_names, like {{"liver": 1}}.',
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
    "g.csv": (
        "image,label\n,\na.nii,\n\n  , \nnone.nii,\n",
        "{path}, line 6: the image {folder}/none.nii does not exist. Correct the path.",
    ),
    "h.csv": (
        "image,label\na.nii,\na.nii,,b.nii\n",
        "{path}, line 3: more cells than the first line names. Put a path with a comma in quotes.",
    ),
    "i.csv": (
        "image,label\n,\n",
        "{path}: found 0 rows with the columns image, label, expected a row a scan with the column image and any of "
        "label, section, id. Correct the first line.",
    ),
    "j.json": (
        '{"scans": [{"image": "a.nii", "label": "a.nii"}], "labels": {"background": 0, "whole": [1, 2], "core": 2}}',
        "{path}: labels: 'whole' is a region, the labels [1, 2], expected one value. Labels cannot overlap: "
        "leave the region out, or merge its labels in the label maps.",
    ),
}


@pytest.mark.parametrize("name", REFUSED_LISTS)
def test_refused_list(tmp_path: Path, name: str) -> None:
    content, message = REFUSED_LISTS[name]
    (tmp_path / "a.nii").touch()
    (tmp_path / name).write_text(content)
    found = refusal(lambda: find_listed(tmp_path / name))
    assert found == message.format(path=tmp_path / name, folder=tmp_path)
