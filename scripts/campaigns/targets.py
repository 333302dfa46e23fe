"""The kinds of files that the product reads: how to make a small good one, damage it, and read it."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK
import torch
from PIL import Image

from campaigns.mutations import Random, mutate_bytes, mutate_gzip, mutate_json, mutate_safetensors, mutate_values
from campaigns.scan import label_map, scan, write_nifti, write_series
from protoseg.api import Segmenter
from protoseg.data.io.datalists import label_names, load_datalist, section_names
from protoseg.data.io.label_files import write_labels
from protoseg.data.io.volumes import read_image, read_labels
from protoseg.networks.header import make_header
from protoseg.ops.volume import Volume
from protoseg.workflows.engine_parts import open_engine
from protoseg.workflows.suite.index import read_index

__all__ = ["SMALL", "TARGETS", "Target"]

SMALL = {  # options of a network of a few thousand weights
    "image_size": 64,
    "precision": "float32",
    "shipped_weights": None,
    "encoder#encoder#channels": 16,
    "encoder#encoder#widths": [8, 16, 16, 16, 16],
    "device": "cpu",
}


@dataclass(frozen=True)
class Target:
    """One kind of file.

    Args:
        make: function that writes a good file, and what belongs to it, into an empty folder, and gives the file to
            damage.
        read: function that reads what `make` wrote, with the file damaged.
        mutate: function that damages the file's content.
        names: names that an error may tell instead of the file's.
    """

    make: Callable[[Path], Path]
    read: Callable[[Path], Any]
    mutate: Callable[[bytes, Random], bytes] = mutate_bytes
    names: tuple[str, ...] = ()


def _itk(name: str, *, compress: bool = False, voxels: Callable[[], np.ndarray] = scan) -> Callable[[Path], Path]:
    def make(folder: Path) -> Path:
        image = SimpleITK.GetImageFromArray(voxels().T)
        image.SetSpacing((10.0, 10.0, 10.0))
        SimpleITK.WriteImage(image, str(folder / name), useCompression=compress)
        return folder / name

    return make


def _nifti(name: str, voxels: Callable[[], np.ndarray] = scan) -> Callable[[Path], Path]:
    return lambda folder: write_nifti(folder / name, voxels())


def _picture(name: str, mode: str, **options: Any) -> Callable[[Path], Path]:
    def make(folder: Path) -> Path:
        gray = Image.fromarray((scan()[:, :, 1].T.clip(-50, 200) + 50).astype(np.uint8))
        gray.convert(mode).save(folder / name, **options)
        return folder / name

    return make


def _series(folder: Path) -> Path:
    return write_series(folder / "ct", scan()) / "0002.dcm"


def _label_picture(folder: Path) -> Path:
    Image.fromarray(label_map()[:, :, 1].T.copy()).save(folder / "labels.png")
    return folder / "labels.png"


def _mask_folder(folder: Path) -> Path:
    write_nifti(folder / "masks" / "liver.nii.gz", (label_map() == 1).astype(np.uint8))
    return write_nifti(folder / "masks" / "spleen.nii.gz", (label_map() == 2).astype(np.uint8))


def _slicer(folder: Path) -> Path:
    image = SimpleITK.GetImageFromArray(label_map().T)
    for number, name in enumerate(("liver", "spleen")):
        image.SetMetaData(f"Segment{number}_LabelValue", str(number + 1))
        image.SetMetaData(f"Segment{number}_Name", name)
    SimpleITK.WriteImage(image, str(folder / "labels.seg.nrrd"))
    return folder / "labels.seg.nrrd"


def _dicom_labels(name: str) -> Callable[[Path], Path]:
    def make(folder: Path) -> Path:
        image = read_image(write_series(folder / "ct", scan()))
        write_labels(folder / name, label_map(), image, labels={"liver": 1, "spleen": 2})
        return folder / name

    return make


def _read_image(file: Path) -> Volume:
    return read_image(file)


def _read_image_folder(file: Path) -> Volume:
    return read_image(file.parent)


def _read_drawn(file: Path) -> Volume:
    return read_labels(file, file.parent / "ct")


def _support(folder: Path) -> Path:
    segmenter = Segmenter.from_pretrained(**SMALL)
    segmenter.add_support(write_nifti(folder / "a.nii.gz", scan()), write_nifti(folder / "l.nii.gz", label_map()))
    segmenter.save_support(folder / "support.safetensors")
    return folder / "support.safetensors"


def _read_support(file: Path) -> Any:
    segmenter = Segmenter.from_pretrained(**SMALL).load_support(file)
    return segmenter.segment(file.parent / "a.nii.gz").report()


def _weights(name: str) -> Callable[[Path], Path]:
    def make(folder: Path) -> Path:
        from safetensors.torch import save_file

        network = open_engine(("inference.yaml",), SMALL).network
        header = make_header(network, image_size=64) | {"rejection_threshold": 0.1, "recipe": "none", "licence": "none"}
        if name.endswith(".pt"):
            torch.save({"network": network.state_dict(), "header": header}, folder / name)
        else:
            state = {key: tensor.contiguous() for key, tensor in network.state_dict().items()}
            save_file(state, folder / name, metadata={"header": json.dumps(header)})
        write_nifti(folder / "a.nii", scan())
        write_nifti(folder / "l.nii", label_map())
        return folder / name

    return make


def _read_weights(file: Path) -> Any:
    segmenter = Segmenter.from_pretrained(file, **{name: SMALL[name] for name in SMALL if name != "image_size"})
    segmenter.add_support(file.parent / "a.nii", file.parent / "l.nii")
    return segmenter.segment(file.parent / "a.nii").report()


def _cases(folder: Path) -> list[dict[str, str]]:
    write_nifti(folder / "labels.nii.gz", label_map())
    for name in "abc":
        write_nifti(folder / f"{name}.nii.gz", scan())
    return [{"id": name, "image": f"{name}.nii.gz", "label": "labels.nii.gz"} for name in "abc"]


def _datalist(folder: Path) -> Path:
    cases, file = _cases(folder), folder / "dataset.json"
    folds = [{"training": ["a", "b"], "validation": ["c"]}]
    content = {"labels": {"1": "liver", "2": "spleen"}, "training": cases, "test": ["a.nii.gz"], "folds": folds}
    file.write_text(json.dumps(content), encoding="utf-8")
    return file


def _read_datalist(file: Path) -> Any:
    for section in section_names(file):
        load_datalist(file, section, segmented=section == "training")
    return label_names(file), load_datalist(file, "training", fold=0)


def _index(folder: Path) -> Path:
    cases, file = _cases(folder), folder / "index.json"
    for case in cases:
        case["subject"] = case.pop("id")
    shared = {"modality": "CT", "region": "abdomen", "dim": "3D", "labels": {"liver": 1, "spleen": 2}}
    todo = [[cases[0], cases[1]], [cases[:2], cases[2]]]
    sets = [{"name": "all", "pairs": cases, **shared}, {"name": "chosen", "todo": todo, **shared}]
    file.write_text(json.dumps(sets), encoding="utf-8")
    return file


def _config(folder: Path) -> Path:
    file = folder / "mine.yaml"
    file.write_text(
        "modality: CT\nplane: axial\nrefiner:\n  _target_: protoseg.engine.refiners.guided.GuidedRefiner\n"
        "  radius: 4.0 # mm\n  strength: 0.03\n  min_dice: 0.3\n",
        encoding="utf-8",
    )
    return file


def _overrides(folder: Path) -> Path:
    file = folder / "overrides.json"
    chosen = {"modality": "CT", "plane": "axial", "support_selection": "all", "contrast": "auto", "image_size": 64}
    file.write_text(json.dumps({**chosen, "refiner#radius": 3.0}), encoding="utf-8")
    return file


def _read_overrides(file: Path) -> Any:
    content = json.loads(file.read_text(encoding="utf-8"))
    return open_engine(("inference.yaml", "refiners/guided.yaml"), {**SMALL, **content})


# What the config and the overrides set; an error about a value names its entry.
ENTRIES = (
    "modality",
    "plane",
    "refiner",
    "radius",
    "strength",
    "min_dice",
    "support_selection",
    "contrast",
    "image_size",
)
IMAGES: dict[str, Target] = {
    "NIfTI": Target(_nifti("a.nii"), _read_image),
    "NIfTI, gzip": Target(_nifti("a.nii.gz"), _read_image, mutate_gzip),
    "NRRD": Target(_itk("a.nrrd"), _read_image),
    "NRRD, gzip": Target(_itk("a.nrrd", compress=True), _read_image),
    "NRRD, detached": Target(_itk("a.nhdr"), _read_image),
    "MetaImage": Target(_itk("a.mha"), _read_image),
    "MetaImage, zlib": Target(_itk("a.mha", compress=True), _read_image),
    "MetaImage, detached": Target(_itk("a.mhd"), _read_image),
    "DICOM series": Target(_series, _read_image_folder),
    "PNG": Target(_picture("a.png", "L"), _read_image),
    "PNG, palette": Target(_picture("a.png", "P"), _read_image),
    "PNG, color": Target(_picture("a.png", "RGBA"), _read_image),
    "JPEG": Target(_picture("a.jpg", "RGB"), _read_image),
    "TIFF": Target(_picture("a.tif", "L"), _read_image),
    "TIFF, LZW": Target(_picture("a.tif", "RGB", compression="tiff_lzw"), _read_image),
    "BMP": Target(_picture("a.bmp", "L"), _read_image),
}
LABELS: dict[str, Target] = {
    "label NIfTI": Target(_nifti("labels.nii.gz", label_map), read_labels, mutate_gzip),
    "label NRRD of Slicer": Target(_slicer, read_labels),
    "label PNG": Target(_label_picture, read_labels),
    "mask folder": Target(_mask_folder, lambda file: read_labels(file.parent), mutate_gzip),
    "DICOM SEG": Target(_dicom_labels("labels.seg.dcm"), _read_drawn),
    "DICOM RTSTRUCT": Target(_dicom_labels("labels.rtstruct.dcm"), _read_drawn),
}
OTHERS: dict[str, Target] = {
    "support file": Target(_support, _read_support, mutate_safetensors),
    "checkpoint, PyTorch": Target(_weights("w.pt"), _read_weights),
    "checkpoint, safetensors": Target(_weights("w.safetensors"), _read_weights, mutate_safetensors),
    "dataset.json": Target(_datalist, _read_datalist, mutate_json),
    "suite index": Target(_index, read_index, mutate_json),
    "config": Target(_config, lambda file: open_engine(("inference.yaml", file), SMALL), names=ENTRIES),
    "overrides": Target(_overrides, _read_overrides, mutate_values, names=(*ENTRIES, "--")),
}
TARGETS: dict[str, Target] = {**IMAGES, **LABELS, **OTHERS}
