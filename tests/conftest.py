"""Tiny data sets in the very layouts that the public ones are distributed in, and coarse synthetic subjects."""

import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
import SimpleITK
from hypothesis import settings
from PIL import Image

from protoseg.data.pretraining import streamed_pairs
from protoseg.synthesis import people, person_slices, planes, stream

settings.register_profile("fixed", derandomize=True)  # the same examples in every run
settings.load_profile("fixed")

EDGE, SLICES = 50, 8
LPS = np.diag([-1.6, -1.6, 7.7, 1.0])  # mm
MR_GRAY = {"liver": 63, "right_kidney": 126, "left_kidney": 189, "spleen": 252}
BTCV_VALUES = {"liver": 6, "right_kidney": 2, "left_kidney": 3, "spleen": 1}
Writer = Callable[..., Path]


def abdomen(number: int) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """HU (X, Y, Z), axes L, P, S, of a body of 70 mm x 60 mm, and the masks of four organs; each number another."""
    x, y, z = np.ogrid[:EDGE, :EDGE, :SLICES]
    random = np.random.default_rng(number)
    shift = random.integers(0, 3, size=2)

    def box(left: int, front: int, width: int, depth: int, lowest: int, highest: int) -> np.ndarray:
        i, j = x - left - shift[0], y - front - shift[1]
        return (i >= 0) & (i < width) & (j >= 0) & (j < depth) & (z >= lowest) & (z <= highest)

    organs = {
        "liver": box(7, 14, 14, 11, 2, 6),
        "spleen": box(33, 16, 8, 9, 3, 6),
        "right_kidney": box(12, 28, 7, 8, 1, 4),
        "left_kidney": box(30, 28, 7, 8, 1, 4),
    }
    body = ((x - 24.5) / 22) ** 2 + ((y - 24.5) / 19) ** 2 + 0 * z < 1
    image = np.where(body, 20.0, -1000.0) + random.normal(0, 4, size=body.shape)
    for organ, brightness in zip(organs, (110, 150, 190, 190)):
        image[organs[organ]] += brightness - 20
    return image.round().astype(np.int16), organs


def drawn(organs: dict[str, np.ndarray], values: dict[str, int]) -> np.ndarray:
    """Label map (X, Y, Z) of organs with the values of their names; those without a value are left out."""
    labels = np.zeros((EDGE, EDGE, SLICES), np.uint8)
    for name, value in values.items():
        labels[organs[name]] = value
    return labels


def dicom_series(folder: Path, volume: np.ndarray, names: Sequence[str], modality: str) -> Path:
    """One file a slice of a volume (X, Y, Z), axes L, P, S; the first name is the slice nearest to the head."""
    folder.mkdir(parents=True)
    writer = SimpleITK.ImageFileWriter()
    writer.KeepOriginalImageUIDOn()
    for index, name in zip(reversed(range(volume.shape[2])), names, strict=True):
        image = SimpleITK.GetImageFromArray(volume[:, :, index].T[None])
        image.SetSpacing((1.6, 1.6, 1.0))
        position = f"0\\0\\{7.7 * index:.3f}"
        tags = {"0008|0060": modality, "0020|000e": "1.2.3", "0020|0032": position, "0018|0050": "7.7"}
        for tag, value in {**tags, "0020|0037": "1\\0\\0\\0\\1\\0"}.items():
            image.SetMetaData(tag, value)
        writer.SetFileName(str(folder / name))
        writer.Execute(image)
    return folder


def drawings(folder: Path, labels: np.ndarray, names: Sequence[str]) -> None:
    """One PNG a slice of a label map (X, Y, Z); the first name is the slice nearest to the head."""
    folder.mkdir(parents=True, exist_ok=True)
    for index, name in zip(reversed(range(labels.shape[2])), names, strict=True):
        Image.fromarray(np.ascontiguousarray(labels[:, :, index].T)).save(folder / name)


def nifti(path: Path, voxels: np.ndarray) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    nibabel.save(nibabel.Nifti1Image(voxels, LPS), path)
    return path


@pytest.fixture(scope="session")
def real_scans() -> Path:
    """Folder of two CT scans, which are not part of the repository, and their label maps."""
    folder = os.environ.get("PROTOSEG_REAL_SCANS")
    if not folder:
        pytest.skip("PROTOSEG_REAL_SCANS names no folder with ct_a.nii.gz, ct_dicom and their label maps")
    return Path(folder).resolve()


@pytest.fixture(scope="session")
def write_chaos() -> Writer:
    """Write CHAOS: MR in three sequences for each patient of `mr`, CT for each of `ct`; give the folder."""

    def write(folder: Path, *, mr: Sequence[str] = (), ct: Sequence[str] = ()) -> Path:
        numbers = range(1, SLICES + 1)
        for patient in mr:
            image, organs = abdomen(int(patient))
            signal, ground_truth = np.clip(image + 100, 0, None).astype(np.int16), drawn(organs, MR_GRAY)
            t2, t1 = (folder / "Train_Sets" / "MR" / patient / sequence for sequence in ("T2SPIR", "T1DUAL"))
            dicom_series(t2 / "DICOM_anon", signal, [f"IMG-0002-{n:05}.dcm" for n in numbers], "MR")
            drawings(t2 / "Ground", ground_truth, [f"IMG-0002-{n:05}.png" for n in numbers])
            dicom_series(t1 / "DICOM_anon/InPhase", signal, [f"IMG-0004-{2 * n:05}.dcm" for n in numbers], "MR")
            dicom_series(
                t1 / "DICOM_anon/OutPhase", signal // 2, [f"IMG-0004-{2 * n - 1:05}.dcm" for n in numbers], "MR"
            )
            drawings(t1 / "Ground", ground_truth, [f"IMG-0004-{2 * n:05}.png" for n in numbers])
        for patient in ct:
            image, organs = abdomen(int(patient))
            scan = folder / "Train_Sets" / "CT" / patient
            dicom_series(scan / "DICOM_anon", image, [f"i{n:04},0000b.dcm" for n in range(SLICES)], "CT")
            drawings(scan / "Ground", drawn(organs, {"liver": 255}), [f"liver_GT_{n:03}.png" for n in range(SLICES)])
        return folder

    return write


@pytest.fixture(scope="session")
def write_btcv() -> Writer:
    """Write BTCV scans with these numbers; give the folder."""

    def write(folder: Path, numbers: Sequence[int]) -> Path:
        training = folder / "RawData" / "Training"
        for number in numbers:
            image, organs = abdomen(number)
            nifti(training / "img" / f"img{number:04}.nii.gz", image)
            nifti(training / "label" / f"label{number:04}.nii.gz", drawn(organs, BTCV_VALUES))
        return folder

    return write


@pytest.fixture(scope="session")
def write_polyps() -> Writer:
    """Write pictures with one polyp each, and their masks, of a set of which the folder is given."""

    def write(
        folder: Path, count: int, *, image: str = ".jpg", mask: str = ".png", parts: str = "images masks"
    ) -> Path:
        images, masks = (folder / part for part in parts.split())
        images.mkdir(parents=True)
        masks.mkdir()
        y, x = np.ogrid[:60, :80]
        for number in range(1, count + 1):
            random = np.random.default_rng(number)
            polyp = (x - 30 - random.integers(20)) ** 2 + (y - 20 - random.integers(20)) ** 2 < 144
            color = np.where(polyp[..., None], (200, 90, 80), (120, 60, 50)) + random.normal(0, 4, (60, 80, 3))
            Image.fromarray(color.clip(0, 255).astype(np.uint8)).save(images / f"{number}{image}")
            Image.fromarray((polyp * 255).astype(np.uint8)).save(masks / f"{number}{mask}")
        return folder

    return write


@pytest.fixture(scope="session")
def write_listed() -> Writer:
    """Write four scans, NIfTI, NRRD, MHA and DICOM, the last with label values of its own; give the JSON list."""

    def write(folder: Path) -> Path:
        values = {"liver": 1, "spleen": 2}
        cases: list[dict[str, Any]] = []
        for number, suffix in enumerate((".nii.gz", ".nrrd", ".mha", ""), start=1):
            image, organs = abdomen(number)
            own = values if suffix else {"liver": 7, "spleen": 5}
            names = [f"scan_{number}{suffix}", f"organs_{number}{suffix or '.nii'}"]
            for name, voxels in zip(names, (image, drawn(organs, own))):
                if suffix in (".nrrd", ".mha"):
                    stored = SimpleITK.GetImageFromArray(voxels.T)
                    stored.SetSpacing((1.6, 1.6, 7.7))
                    folder.mkdir(exist_ok=True)
                    SimpleITK.WriteImage(stored, str(folder / name))
                elif "." in name:
                    nifti(folder / name, voxels)
                else:
                    dicom_series(folder / name, voxels, [f"{n}.dcm" for n in range(SLICES)], "CT")
            cases.append({"image": names[0], "label": names[1], **({} if suffix else {"labels": own})})
        (folder / "list.json").write_text(json.dumps({"labels": values, "scans": cases}))
        return folder / "list.json"

    return write


@pytest.fixture(scope="module")
def coarse_stream() -> Iterator[int]:
    """Make streamed subjects coarse, so that they are painted in a moment; gives the edge of their slices."""
    frame = 72
    coarse = {name: block._replace(voxel=4 * block.voxel) for name, block in people.BLOCKS.items()}
    worlds = {name: partial(paint.func, **_smaller(paint.keywords, frame)) for name, paint in stream.WORLDS.items()}
    with pytest.MonkeyPatch.context() as patch:
        for module in (person_slices, planes, stream, streamed_pairs):
            patch.setattr(module, "FRAME", frame)
        patch.setattr(person_slices, "PIXEL", 6.0)
        for name in coarse:
            patch.setitem(people.BLOCKS, name, coarse[name])
        for name in worlds:
            patch.setitem(stream.WORLDS, name, worlds[name])
        yield frame


def _smaller(keywords: Mapping[str, Any], frame: int) -> dict[str, Any]:
    return {key: (frame, frame) if isinstance(value, tuple) else frame for key, value in keywords.items()}
