"""Colonoscopy pictures with polyps: Kvasir-SEG, CVC-300, CVC-ClinicDB, CVC-ColonDB, ETIS-LaribPolypDB.

Each set is a folder with `images` and `masks`; two layouts of several sets are common:

    <set>/images, <set>/masks, and perhaps <set>/split.txt (the names under the lines train, val and test)
    TrainDataset/images, TrainDataset/masks, TestDataset/<set>/images, TestDataset/<set>/masks
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import torch

from protoseg.data.io.grids import align_labels
from protoseg.data.io.pictures import PICTURE_SUFFIXES
from protoseg.data.io.volumes import read_image
from protoseg.data.preparation.folds import as_listed, divide
from protoseg.data.preparation.scans import Case, DataSet, LabelledScan, SourceScan, gray_picture, natural_order
from protoseg.errors import InputError
from protoseg.ops.volume import Volume

__all__ = ["find_polyps"]

FOLDERS = (("images", "masks"), ("image", "mask"), ("Original", "Ground Truth"))
ONLY_FOR_TESTS = ("cvc-300", "cvc-colondb", "etis", "etis-laribpolypdb")  # as published (PraNet, arXiv 2006.11392)
SECTIONS = {"train": "training", "val": "validation", "test": "test"}
WHITE_ABOVE = 127.5


def find_polyps(source: Path) -> DataSet:
    """Find the pictures of all sets in a folder, each with the section that it belongs to.

    The section is that of `split.txt`, or of TrainDataset and TestDataset. Without these, CVC-300, CVC-ColonDB and
    ETIS are for tests, and so is the last tenth of any other set: neighboring frames of a video show the same polyp,
    so that a random tenth would not be new.

    Raises:
        InputError: no set is there, all are for tests, or a picture has no mask or two.
    """
    folders = [folder for folder in (source, *sorted(source.rglob("*"))) if folder.is_dir() and _parts(folder)]
    if not folders:
        raise InputError(
            f"{source}: found no folder with images and masks, expected such as Kvasir/images and Kvasir/masks. "
            "Give the folder that holds the sets."
        )
    scans = [scan for folder in folders for scan in _set(folder)]
    if not any(scan.section == "training" for scan in scans):
        raise InputError(
            f"{source}: all {len(scans)} pictures are for tests, expected some to train on and to take the support "
            "from. Put a set such as Kvasir or CVC-ClinicDB beside them."
        )
    return DataSet("polyps", source, "picture", {"polyp": 1}, scans, _read, _arrange)


def _parts(folder: Path) -> tuple[Path, Path] | None:
    """Find the folder of the images and the folder of the masks of a set."""
    found = (((folder / images), (folder / masks)) for images, masks in FOLDERS)
    return next((parts for parts in found if all(part.is_dir() for part in parts)), None)


def _set(folder: Path) -> list[SourceScan]:
    parts = _parts(folder)
    assert parts is not None
    images, masks = (_pictures(part) for part in parts)
    name_of_set = folder.absolute().name
    masks_by_name = {mask.stem: mask for mask in masks}
    without = [image for image in images if image.stem not in masks_by_name]
    if without or len(masks) != len(images):
        example = f", such as {without[0].name}" if without else ""
        raise InputError(
            f"{folder}: found {len(images)} images, {len(masks)} masks, and {len(without)} images without a mask of "
            f"the same name{example}; expected one mask an image. Get a fresh copy."
        )
    sections = _sections(folder, [image.stem for image in images])
    return [
        SourceScan(f"{name_of_set}_{image.stem}", image, masks_by_name[image.stem], sections[image.stem])
        for image in images
        if image.stem in sections
    ]


def _pictures(folder: Path) -> list[Path]:
    return natural_order(path for path in folder.iterdir() if path.suffix.lower() in PICTURE_SUFFIXES)


def _sections(folder: Path, names: list[str]) -> dict[str, str]:
    """Give the section of each picture; pictures that a `split.txt` does not name are left out."""
    if (folder / "split.txt").exists():
        return _read_split((folder / "split.txt").read_text(encoding="utf-8").splitlines())
    if folder.name == "TrainDataset":
        return dict.fromkeys(names, "training")
    if folder.parent.name == "TestDataset" or folder.name.lower() in ONLY_FOR_TESTS:
        return dict.fromkeys(names, "test")
    trained_on = len(names) - len(names) // 10
    return {name: "training" if index < trained_on else "test" for index, name in enumerate(names)}


def _read_split(lines: Iterable[str]) -> dict[str, str]:
    sections, section = {}, None
    for line in (line.strip() for line in lines):
        if line.rstrip(":") in SECTIONS:
            section = SECTIONS[line.rstrip(":")]
        elif line and section:
            sections[line] = section
    return sections


def _arrange(scans: Sequence[SourceScan], cases: Sequence[Case]) -> dict[str, list[Case]]:
    """Arrange the sections: the first training picture supports all tests, and each set's under "test_<set>"."""
    listed = as_listed(scans, cases)
    support, *training = listed["training"]
    sections = divide(training, support, listed.get("test", []))
    if "validation" in listed:
        sections["validation"] = [support, *listed["validation"]]
    for scan, case in zip(scans, cases):
        if scan.section == "test":
            sections.setdefault(f"test_{_set_of(scan)}", [support]).append(case)
    return sections


def _set_of(scan: SourceScan) -> str:
    return scan.image.absolute().parent.parent.name


def _read(scan: SourceScan) -> LabelledScan:
    assert scan.label is not None
    image = read_image(scan.image)
    gray = len(image) == 1
    rgb = Volume.at(image.expand(3, *image.shape[1:]), image.affine, image.meta) if gray else image
    mask = torch.from_numpy(gray_picture(scan.label) > WHITE_ABOVE)[None, ..., None].to(torch.int16)
    meta = {"filename_or_obj": str(scan.label), "kind": "picture"}
    return LabelledScan(rgb, align_labels(Volume.at(mask, image.affine, meta), image))
