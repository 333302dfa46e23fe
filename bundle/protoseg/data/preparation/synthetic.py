"""A data set of synthetic scans on disk: NIfTI files and the list of them."""

import json
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
from nibabel.orientations import axcodes2ornt, io_orientation, ornt_transform
from numpy.typing import NDArray
from tqdm import tqdm

from protoseg.engine.slice_axes import Plane
from protoseg.errors import InputError
from protoseg.files import PathLike, remove_unfinished, replacing, write_json
from protoseg.synthesis.anatomy import SyntheticScan, synthesise
from protoseg.synthesis.anatomy.regions import REGIONS
from protoseg.synthesis.anatomy.scan import check_request

__all__ = ["write_dataset"]

SECTIONS = ("training", "validation", "test")
RECIPE = "synthesis.json"  # settings that the folder's scans were made with
# Scanners differ in how they store a volume, and so do these files: columns, rows and slices of the plane.
ORIENTATIONS: dict[Plane, tuple[str, ...]] = {
    "axial": ("LPS", "RAS", "LAS"),
    "coronal": ("LIP", "RSA", "LSP"),
    "sagittal": ("PIL", "ASR", "PSL"),
}
COLUMNS_ROWS_SLICES: dict[Plane, tuple[int, int, int]] = {  # axes x, y and z along which they run
    "axial": (0, 1, 2),
    "coronal": (0, 2, 1),
    "sagittal": (1, 2, 0),
}


def write_dataset(
    folder: PathLike,
    *,
    training: int = 16,
    validation: int = 4,
    test: int = 4,
    seed: int = 0,
    region: str = "abdomen",
    contrast: str = "ct",
    plane: Plane = "axial",
    shape: tuple[int, int, int] = (160, 160, 40),
    spacing: tuple[float, float, float] = (2.4, 2.4, 6.0),
) -> Path:
    """Write `images/<id>.nii.gz`, `labels/<id>.nii.gz` and, last, `dataset.json`, whose path is returned.

    Shape and spacing are those of columns, rows and slices of the plane in which the scans are acquired. Other
    arguments are those of `synthesise`. CT is int16 in HU, MR float32, labels uint8 with the region's values.
    The scans are stored in three orientations in turn. What an earlier, stopped run has finished is kept, and a larger
    number of scans extends the folder; a file appears whole or not at all.

    Raises:
        InputError: the folder holds another data set, no scan is asked for, or a parameter is unusable.
    """
    counts = dict(zip(SECTIONS, (training, validation, test)))
    if min(counts.values()) < 0 or not sum(counts.values()):
        raise InputError(f"The numbers of scans are {counts}; expected at least one scan and none below 0.")
    if plane not in ORIENTATIONS:
        raise InputError(f"plane is {plane!r}; expected one of {', '.join(ORIENTATIONS)}.")
    check_request(region, contrast, shape, spacing)
    folder = Path(folder)
    recipe = {"seed": seed, "region": region, "contrast": contrast, "shape": list(shape), "spacing": list(spacing)}
    recipe |= {} if plane == "axial" else {"plane": plane}
    grid = {"shape": _along_body(shape, plane), "spacing": _along_body(spacing, plane)}
    _claim(folder, recipe)
    cases: dict[str, list[dict[str, str]]] = {section: [] for section in SECTIONS}
    jobs = [(section, number) for section in SECTIONS for number in range(counts[section])]
    for section, number in tqdm(jobs, desc=f"synthetic {region} scans, {contrast}", unit="scan"):
        name = f"{section}_{number:03d}.nii.gz"
        case = {"image": f"images/{name}", "label": f"labels/{name}"}
        if not all((folder / path).exists() for path in case.values()):
            person = np.random.SeedSequence([seed, SECTIONS.index(section), number]).generate_state(1)
            scan = synthesise(int(person[0]), region=region, contrast=contrast, **grid)
            _write_scan(folder, case, scan, stored=ORIENTATIONS[plane][number % 3], integers=contrast == "ct")
        cases[section].append(case)
    dataset = {
        "name": f"synthetic {region} ({contrast})",
        "description": "Drawn by protoseg: no patient was ever scanned for it. The labels are exact.",
        "modality": "ct" if contrast == "ct" else "mr",
        "labels": {str(value): organ for organ, value in REGIONS[region].labels.items()},
        **cases,
    }
    write_json(folder / "dataset.json", dataset)
    return folder / "dataset.json"


def _along_body(values: tuple[Any, Any, Any], plane: Plane) -> tuple[Any, Any, Any]:
    """Turn values of columns, rows and slices into those of x, y and z."""
    x, y, z = (values[COLUMNS_ROWS_SLICES[plane].index(axis)] for axis in range(3))
    return x, y, z


def _claim(folder: Path, recipe: dict[str, Any]) -> None:
    """Claim the folder for this recipe, or refuse."""
    if (folder / RECIPE).exists():
        found = json.loads((folder / RECIPE).read_text(encoding="utf-8"))
        if found != recipe:
            raise InputError(
                f"{folder} holds synthetic scans made with {found}, not with {recipe}. "
                "Choose another folder, or delete this one."
            )
    elif (folder / "dataset.json").exists() or (folder / "images").exists():
        raise InputError(f"{folder} holds a data set that was not made here. Choose another folder.")
    write_json(folder / RECIPE, recipe)


def _write_scan(folder: Path, case: dict[str, str], scan: SyntheticScan, *, stored: str, integers: bool) -> None:
    image = scan.image.astype(np.int16) if integers else scan.image
    for voxels, target in ((image, case["image"]), (scan.labels, case["label"])):
        file = folder / target
        remove_unfinished(file.parent, {file.name})  # left by a killed run
        with replacing(file) as unfinished:
            _nifti(voxels, scan.affine, stored).to_filename(unfinished)


def _nifti(voxels: NDArray, affine: NDArray[np.float64], stored: str) -> nib.Nifti1Image:
    picture = nib.Nifti1Image(voxels, affine)
    picture.header.set_xyzt_units("mm")
    turned = picture.as_reoriented(ornt_transform(io_orientation(affine), axcodes2ornt(tuple(stored))))
    turned.set_qform(turned.affine, code="scanner")
    turned.set_sform(turned.affine, code="scanner")
    return turned
