"""What scripts/campaign found: files that are damaged in ways that once ended in anything but one sentence."""

import gzip
import json
import math
import struct
import zlib
from collections.abc import Callable
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
import SimpleITK
import torch
from PIL import Image
from pydicom import Dataset
from pydicom.dataset import FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian
from torch import nn

from protoseg.data.io.datalists import load_datalist
from protoseg.data.io.label_sources.slicer import read_slicer_segmentation
from protoseg.data.io.volumes import read_image, read_labels
from protoseg.data.preprocessing.resampling import square_size
from protoseg.data.support.loading import read_support, save_support
from protoseg.engine.support import SliceOrigin, SupportSet
from protoseg.errors import InputError
from protoseg.labels import LabelSet
from protoseg.networks.header import read_header
from protoseg.networks.weights import load_weights
from protoseg.ops.volume import Volume
from protoseg.workflows.engine_parts import open_engine
from protoseg.workflows.suite.index import read_index

RAMP = np.arange(10 * 9 * 4, dtype=np.int16).reshape(10, 9, 4)


@pytest.mark.parametrize(
    "affine",
    [
        np.diag([1e12, 1e12, 1e12, 1]),
        np.diag([1e-9, 1e-9, 1e-9, 1]),
        np.diag([1e-3, 1, 100, 1]),
        np.array([[1, 0, 0, 1e9], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]]),
    ],
    ids=["huge", "tiny", "thread", "far away"],
)
def test_a_place_that_no_scanner_writes_is_refused(tmp_path: Path, affine: np.ndarray) -> None:
    nibabel.save(nibabel.Nifti1Image(RAMP, affine), tmp_path / "a.nii")
    with pytest.raises(InputError, match=r"a\.nii: its voxels are .* the header is damaged|The header is damaged"):
        read_image(tmp_path / "a.nii")


@pytest.mark.parametrize("read", [read_image, read_labels])
def test_a_volume_without_voxels_is_refused(tmp_path: Path, read: Callable[[Path], Volume]) -> None:
    nibabel.save(nibabel.Nifti1Image(RAMP[:, :, :0], np.eye(4)), tmp_path / "a.nii")
    with pytest.raises(InputError, match=r"a\.nii holds no voxels: it has 10 x 9 x 0"):
        read(tmp_path / "a.nii")


@pytest.mark.parametrize("suffix", [".nii", ".nii.gz"])
def test_a_header_that_promises_more_than_a_file_can_hold_costs_no_memory(tmp_path: Path, suffix: str) -> None:
    file = tmp_path / f"a{suffix}"
    nibabel.save(nibabel.Nifti1Image(RAMP, np.eye(4)), file)
    content = gzip.decompress(file.read_bytes()) if suffix == ".nii.gz" else file.read_bytes()
    content = content[:42] + np.array([30_000, 30_000, 30_000], "<i2").tobytes() + content[48:]
    file.write_bytes(gzip.compress(content) if suffix == ".nii.gz" else content)
    with pytest.raises(InputError, match="its header promises 54000000000000 bytes of voxels, and the file has"):
        read_image(file)


def test_a_picture_that_promises_more_than_it_can_hold_costs_no_memory(tmp_path: Path) -> None:
    file = tmp_path / "a.png"
    Image.fromarray(np.arange(100, dtype=np.uint8).reshape(10, 10)).save(file)
    content = file.read_bytes()
    head = b"IHDR" + struct.pack(">II", 9_000, 9_000) + content[24:29]
    file.write_bytes(content[:12] + head + struct.pack(">I", zlib.crc32(head)) + content[33:])
    with pytest.raises(InputError, match="its header promises 10125000 bytes of voxels, and the file has"):
        read_image(file)


def test_pixels_that_would_make_a_slice_endless_are_refused() -> None:
    image = Volume.at(torch.zeros(1, 512, 512, 1), np.diag([0.1, 100, 1, 1]), {"filename_or_obj": "a.nii"})
    with pytest.raises(InputError, match=r"a\.nii: its pixels are 0\.1 x 100 mm large; .* 512 x 512000 a slice"):
        square_size(image)


@pytest.mark.parametrize(("key", "value"), [("LabelValue", "one"), ("Layer", "x"), ("Layer", "7")])
def test_a_segment_that_is_described_by_nonsense(tmp_path: Path, key: str, value: str) -> None:
    image = SimpleITK.GetImageFromArray(np.zeros((4, 9, 10, 2), np.uint8), isVector=True)
    for name, text in ({"LabelValue": "1", "Name": "liver", "Layer": "0"} | {key: value}).items():
        image.SetMetaData(f"Segment0_{name}", text)
    file = tmp_path / "a.seg.nrrd"
    SimpleITK.WriteImage(image, str(file))
    with pytest.raises(InputError, match=r"a\.seg\.nrrd: "):
        read_slicer_segmentation(file)


def test_metadata_that_is_no_text_is_passed_over(tmp_path: Path) -> None:
    image = SimpleITK.GetImageFromArray(np.ones((4, 9, 10), np.uint8))
    image.SetMetaData("Segment0_LabelValue", "1")
    image.SetMetaData("comment_xx", "y")
    file = tmp_path / "a.seg.nrrd"
    SimpleITK.WriteImage(image, str(file))
    file.write_bytes(file.read_bytes().replace(b"comment_xx", b"comment_\xff\xfe"))
    assert read_slicer_segmentation(file).names == {"label_1": 1}


def test_a_length_of_gigabytes_in_a_dicom_object_costs_no_memory(tmp_path: Path, monkeypatch) -> None:
    """pydicom asks a file for as many bytes as an element says that it has."""
    dataset, meta = Dataset(), FileMetaDataset()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    meta.MediaStorageSOPClassUID = meta.MediaStorageSOPInstanceUID = "1.2.3"
    dataset.file_meta, dataset.is_little_endian, dataset.is_implicit_VR = meta, True, False
    dataset.Modality = "SEG"
    dataset.save_as(tmp_path / "a.dcm", write_like_original=False)
    with (tmp_path / "a.dcm").open("ab") as file:
        file.write(b"\xe0\x7f\x10\x00OB\x00\x00\xf0\xff\xff\xff")  # pixels of 4 GB
    asked = []
    read = BytesIO.read

    class Watched(BytesIO):
        def read(self, size: int | None = -1) -> bytes:
            asked.append(size or 0)
            return read(self, size)

    monkeypatch.setattr("protoseg.data.io.label_sources.source.BytesIO", Watched)
    with pytest.raises(InputError, match=r"a\.dcm cannot be read as DICOM SEG"):
        read_labels(tmp_path / "a.dcm")
    assert max(asked) > 2**31, "of bytes in memory, which are as many as there are"


CASES = [{"id": name, "image": f"{name}.nii"} for name in "ab"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"folds": [{"training": ["a", "nobody"]}]}, "fold 0 names 'nobody', and no case has this id"),
        ({"folds": [{"training": ["a", ["b"]]}]}, "fold 0 names ['b'], and no case has this id"),
        ({"folds": ["x"]}, "fold 0 is 'x', expected ids like"),
        ({"folds": [{"training": 1}]}, "fold 0 is {'training': 1}, expected ids like"),
        ({"folds": {"training": ["a"]}}, "it has no folds"),
        ({"training": [{"id": ["a"], "image": "a.nii"}]}, "fold 0 names 'a', and no case has this id"),
        ({"training": [{"id": "a", "image": "x" * 5000}, CASES[1]]}, "does not exist"),
        ({"training": [{"id": "a", "image": "a\0.nii"}, CASES[1]]}, "does not exist"),
        ({"training": [{"id": "a", "image": "a.nii", "label": 7}, CASES[1]]}, "found the label 7"),
    ],
)
def test_a_list_of_cases_that_makes_no_sense(tmp_path: Path, change: dict[str, Any], message: str) -> None:
    for case in CASES:
        (tmp_path / case["image"]).touch()
    content = {"training": CASES, "folds": [{"training": ["a", "b"]}], **change}
    (tmp_path / "dataset.json").write_text(json.dumps(content), encoding="utf-8")
    with pytest.raises(InputError) as error:
        load_datalist(tmp_path / "dataset.json", "training", fold=0)
    assert str(error.value).startswith(f"{tmp_path / 'dataset.json'}: ")
    assert message in str(error.value)


def test_a_value_of_hundreds_of_digits_is_no_label() -> None:
    with pytest.raises(InputError, match="labels: found the name 'liver' with the value 1000"):
        LabelSet.parse({"liver": 10**400}, "labels")


@pytest.mark.parametrize("change", [{"pairs": 1}, {"todo": "x"}, {"todo": {"a": 1}}, {"read_as": ["ct"]}])
def test_an_index_whose_lists_are_none(tmp_path: Path, change: dict[str, Any]) -> None:
    pairs = [{"image": f"{name}.nii", "label": "l.nii"} for name in "ab"]
    content = [{"name": "all", "labels": {"liver": 1}, "pairs": pairs} | change]
    (tmp_path / "index.json").write_text(json.dumps(content), encoding="utf-8")
    with pytest.raises(InputError, match=r"index\.json: all.*: found "):
        read_index(tmp_path / "index.json")


@pytest.mark.parametrize("read", [read_index, lambda file: load_datalist(file, "training")])
def test_json_that_is_nested_without_end(tmp_path: Path, read: Callable[[Path], Any]) -> None:
    (tmp_path / "a.json").write_text("[" * 100_000, encoding="utf-8")
    with pytest.raises(InputError, match=r"a\.json is not a JSON file"):
        read(tmp_path / "a.json")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"\xff\xfe\x00", "{file} cannot be read as YAML or JSON: "),
        (b"a: [", "{file} cannot be read as YAML or JSON: "),
        (b"a: \x07", "{file} cannot be read as YAML or JSON: "),
        (b"modality", "{file} holds 'modality', expected entries like modality: CT."),
        (b"refiner#nothing#radius: 1", "{file}: there is no entry 'refiner#nothing#radius' to set."),
        (
            b"refiner: {_target_: protoseg.engine.refiners.guided.GuidedRefiner, radus: 1}",
            "entry refiner cannot be used",
        ),
        (
            b"refiner: {_target_: protoseg.engine.refiners.guided.GuidedRefiner, radius: x}",
            "entry refiner cannot be used",
        ),
        (b"refiner: {_target_: protoseg.engine.refiners.guided.Guided}", "entry refiner cannot be used"),
        (b"refiner: $1 +", "entry refiner cannot be used: SyntaxError"),
        (b"refiner: $nothing", "entry refiner cannot be used: NameError"),
    ],
)
def test_a_config_that_makes_no_sense(tmp_path: Path, content: bytes, message: str) -> None:
    file = tmp_path / "mine.yaml"
    file.write_bytes(content)
    with pytest.raises(InputError) as error:
        open_engine(("inference.yaml", file), {"shipped_weights": None, "image_size": 64})
    assert message.format(file=file) in str(error.value)


def test_an_override_of_what_has_no_entries() -> None:
    with pytest.raises(InputError, match="entry output_dir#edge cannot be used"):
        open_engine(("inference.yaml",), {"shipped_weights": None, "output_dir#edge": 64})


GOOD = SupportSet(
    labels=LabelSet({"liver": 1}),
    images=torch.zeros(1, 3, 16, 16),
    masks=torch.ones(1, 16, 16, dtype=torch.uint8),
    components={"liver": 1},
    origins=(SliceOrigin("a.nii", 3),),
    slice_axes=((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0)),
    known=torch.ones(1, 1, dtype=torch.bool),
)


@pytest.mark.parametrize(
    ("change", "what"),
    [
        ({"labels": {"liver": 0}}, "labels"),
        ({"labels": {"liver": 1, "spleen": 1}}, "labels"),
        ({"labels": ["liver"]}, "labels"),
        ({"images": torch.full((1, 3, 16, 16), torch.nan)}, "images"),
        ({"images": torch.full((1, 3, 16, 16), 1e30)}, "images"),
        ({"images": torch.zeros(1, 3, 16, 8)}, "images"),
        ({"masks": torch.ones(2, 16, 16, dtype=torch.uint8)}, "masks"),
        ({"masks": torch.full((1, 16, 16), 2, dtype=torch.uint8)}, "labels of the masks"),
        ({"components": {"spleen": 1}}, "components of the labels"),
        ({"origins": ()}, "origins"),
        ({"origins": (SliceOrigin(1, 2),)}, "origins"),
        ({"origins": (SliceOrigin("a.nii", -1),)}, "origins"),
        ({"preprocessing": 1}, "preprocessing"),
        ({"slice_axes": ((1.0, 0.0, 0.0),) * 3}, "slice_axes"),
        ({"slice_axes": ((9.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0))}, "slice_axes"),
        ({"slice_axes": ((10**400, 0, 0), (0, 1, 0), (0, 0, 1))}, "slice_axes"),
        ({"known": torch.ones(2, 1, dtype=torch.bool)}, "known"),
    ],
)
def test_a_support_that_makes_no_sense(tmp_path: Path, change: dict[str, Any], what: str) -> None:
    file = tmp_path / "s.safetensors"
    save_support(file, GOOD)
    assert read_support(file).labels == {"liver": 1}
    save_support(file, replace(GOOD, **change))
    with pytest.raises(InputError) as error:
        read_support(file)
    assert str(error.value) == f"{file} is damaged: what it says of its {what} makes no sense. Save the support again."


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("encoder", 1),
        ("members", []),
        ("members", [{"channels": 16, "widths": [8, 8, 8]}]),
        ("members", [{"channels": 16, "widths": [8, 8, 8, 8, -8]}]),
        ("image_size", 0),
        ("image_size", 10**9),
        ("image_size", "64"),
        ("scale", float("nan")),
        ("scale", None),
        ("scale", True),
        ("rejection_threshold", "x"),
        ("rejection_threshold", 2),
    ],
)
def test_a_header_of_weights_that_makes_no_sense(tmp_path: Path, name: str, value: Any) -> None:
    good = {"encoder": "FPNEncoder", "image_size": 64, "scale": 30.0, "rejection_threshold": None}
    torch.save({"network": {}, "header": good}, tmp_path / "w.pt")
    assert read_header(tmp_path / "w.pt") == good
    torch.save({"network": {}, "header": good | {name: value}}, tmp_path / "w.pt")
    with pytest.raises(InputError, match=rf"w\.pt says that its {name} is "):
        read_header(tmp_path / "w.pt")


@pytest.mark.parametrize("number", [math.nan, -math.inf, 3e38])
def test_numbers_that_no_weight_has_are_refused(tmp_path: Path, number: float) -> None:
    file, linear = tmp_path / "model.pt", nn.Linear(3, 2)
    torch.save({"weight": torch.ones(2, 3), "bias": torch.tensor([0.0, number])}, file)
    with pytest.raises(InputError) as error:
        load_weights(linear, file)
    assert str(error.value) == (
        f"{file} has NaN, infinity or a number beyond 1e+06 in bias, as no trained network has: the file is damaged, "
        "or the training that wrote it has diverged. Fetch it again, or give other weights."
    )
    assert (linear.weight != 1).any(), "nothing is loaded"
