"""Labels as people have them: named segments, a mask a structure, a mask a channel, DICOM SEG and RTSTRUCT."""

import copy
import re
from pathlib import Path

import highdicom
import nibabel
import numpy as np
import pydicom
import pytest
import SimpleITK
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from overlapping_labels import AFFINE, OVERLAP, SHAPE, boxes, check, drawn, label_map, rtstruct
from pydicom.sr.codedict import codes
from pydicom.uid import generate_uid

from protoseg.data.io.dicom_export import write_series
from protoseg.data.io.grids import align_labels, parse_label_names
from protoseg.data.io.label_sources.masks import NamedMask, combine_masks, unique_names
from protoseg.data.io.volumes import read_image, read_labels
from protoseg.errors import InputError


@pytest.fixture
def image(tmp_path: Path) -> Path:
    """A NIfTI of the scan."""
    voxels = np.random.default_rng(0).integers(-1000, 1000, SHAPE, dtype=np.int16)
    nibabel.save(nibabel.Nifti1Image(voxels, AFFINE), tmp_path / "image.nii.gz")
    return tmp_path / "image.nii.gz"


@pytest.fixture
def series(tmp_path: Path, image: Path) -> Path:
    """The same scan as a DICOM series."""
    write_series(tmp_path / "series", image, patient="Doe^Anna")
    return tmp_path / "series"


def dicom_seg(path: Path, series: Path, masks: dict[str, np.ndarray], *, fractional: bool = False) -> Path:
    """Write a DICOM SEG of a series, as other programs do: frames without a segment are left out."""
    sources = sorted((pydicom.dcmread(file) for file in series.iterdir()), key=lambda d: d.InstanceNumber)
    scan = read_image(series)
    onto = nibabel.Nifti1Image(np.zeros(SHAPE, np.uint8), AFFINE)
    back = nibabel.orientations.ornt_transform(
        nibabel.io_orientation(onto.affine), nibabel.io_orientation(scan.affine.numpy())
    )
    turned = {name: nibabel.orientations.apply_orientation(mask.astype(np.uint8), back) for name, mask in masks.items()}
    stacked = np.stack(
        [mask.transpose(2, 1, 0) for mask in turned.values()], axis=-1
    )  # slices, rows, columns, segments
    nearest = [
        float(np.dot(d.ImagePositionPatient, np.cross(*np.reshape(d.ImageOrientationPatient, (2, 3))))) for d in sources
    ]
    sources = [sources[index] for index in np.argsort(nearest)]
    segments = [
        highdicom.seg.SegmentDescription(
            number, name, codes.SCT.Organ, codes.SCT.Organ, highdicom.seg.SegmentAlgorithmTypeValues.MANUAL
        )
        for number, name in enumerate(masks, start=1)
    ]
    written = highdicom.seg.Segmentation(
        sources,
        stacked.astype(float) * 0.7 if fractional else stacked.astype(np.uint8),
        "FRACTIONAL" if fractional else "BINARY",
        segments,
        generate_uid(),
        1,
        generate_uid(),
        1,
        "protoseg",
        "tests",
        "1",
        "1",
    )
    written.save_as(path)
    return path


@pytest.mark.parametrize("fractional", [False, True])
@pytest.mark.parametrize("place", ["segmentation.dcm", "no_suffix", "folder/1.dcm"])
def test_dicom_seg(
    tmp_path: Path, series: Path, fractional: bool, place: str, caplog: pytest.LogCaptureFixture
) -> None:
    file = tmp_path / place
    file.parent.mkdir(exist_ok=True)
    dicom_seg(file, series, boxes(), fractional=fractional)
    path = file.parent if place.startswith("folder") else file
    check(path, series)
    # The writer of the test file tells what it does, too, where another test has raised the level.
    ours = [record.getMessage() for record in caplog.records if record.name.startswith("protoseg")]
    assert ours == [OVERLAP.format(file)]


def test_dicom_seg_on_the_same_scan_as_nifti(tmp_path: Path, series: Path, image: Path) -> None:
    check(dicom_seg(tmp_path / "a.dcm", series, boxes()), image)


def test_dicom_seg_of_one_slice_and_without_a_spacing(tmp_path: Path, series: Path) -> None:
    one = {"kidney": boxes()["kidney"].copy()}
    one["kidney"][..., 3:] = False
    path = dicom_seg(tmp_path / "a.dcm", series, one)
    dataset = pydicom.dcmread(path)
    del dataset.SharedFunctionalGroupsSequence[0].PixelMeasuresSequence[0].SpacingBetweenSlices
    dataset.save_as(path)
    scan = read_image(series)
    assert int((align_labels(read_labels(path), scan) > 0).sum()) == one["kidney"].sum()


def test_dicom_seg_without_a_place_is_refused(tmp_path: Path, series: Path) -> None:
    path = dicom_seg(tmp_path / "a.dcm", series, boxes())
    dataset = pydicom.dcmread(path)
    for frame in dataset.PerFrameFunctionalGroupsSequence:
        del frame.PlanePositionSequence
    dataset.save_as(path)
    with pytest.raises(InputError) as error:
        read_labels(path)
    assert str(error.value) == (
        f"{path}: the frames of this DICOM SEG have no place in the patient, expected the segments of a CT or "
        "MR series."
    )


def test_a_damaged_dicom_object_is_refused(tmp_path: Path, image: Path) -> None:
    path = rtstruct(tmp_path / "a.dcm", drawn(), leave_out="ROIContourSequence")
    with pytest.raises(InputError, match=r"a\.dcm cannot be read as DICOM SEG or RTSTRUCT: .*ROIContourSequence"):
        read_labels(path, image)


def slicer(path: Path, layers: list[np.ndarray], segments: list[tuple[str, int, int]]) -> Path:
    """Write layers (X, Y, Z) as 3D Slicer does; segments are name, value, layer."""
    components = [SimpleITK.GetImageFromArray(layer.T.astype(np.uint8)) for layer in layers]
    image = components[0] if len(components) == 1 else SimpleITK.Compose(components)
    lps = np.diag([-1, -1, 1, 1]) @ AFFINE
    spacing = np.linalg.norm(lps[:3, :3], axis=0)
    image.SetSpacing(spacing.tolist())
    image.SetDirection((lps[:3, :3] / spacing).ravel().tolist())
    image.SetOrigin(lps[:3, 3].tolist())
    for number, (name, value, layer) in enumerate(segments):
        for key, text in {"ID": f"Segment_{number}", "Name": name, "LabelValue": value, "Layer": layer}.items():
            image.SetMetaData(f"Segment{number}_{key}", str(text))
    SimpleITK.WriteImage(image, str(path))
    return path


def test_a_slicer_segmentation(tmp_path: Path, image: Path) -> None:
    segments = [("liver", 1, 0), ("tumor", 2, 0), ("kidney", 3, 0), ("spleen", 9, 0)]
    check(slicer(tmp_path / "a.seg.nrrd", [label_map()], segments), image)


def test_a_slicer_segmentation_with_layers(tmp_path: Path, image: Path, caplog: pytest.LogCaptureFixture) -> None:
    masks = boxes()
    layers = [masks["liver"] + 2 * masks["kidney"], masks["tumor"]]
    path = slicer(tmp_path / "a.seg.nrrd", layers, [("liver", 1, 0), ("tumor", 1, 1), ("kidney", 2, 0)])
    check(path, image)
    assert caplog.messages == [OVERLAP.format(path)]


def test_a_value_without_a_segment_keeps_its_number(tmp_path: Path) -> None:
    labels = read_labels(slicer(tmp_path / "a.seg.nrrd", [label_map()], [("liver", 1, 0), ("kidney", 3, 0)]))
    assert parse_label_names(None, labels, "a") == {"liver": 1, "label_2": 2, "kidney": 3}


def test_labels_are_chosen_by_their_own_names(tmp_path: Path) -> None:
    labels = read_labels(slicer(tmp_path / "a.seg.nrrd", [label_map()], [("liver", 1, 0), ("kidney", 3, 0)]))
    assert parse_label_names(["kidney"], labels, "a") == {"kidney": 3}
    assert parse_label_names('["kidney", "liver"]', labels, "a") == {"kidney": 3, "liver": 1}
    with pytest.raises(InputError) as error:
        parse_label_names(["Liver"], labels, "a")
    assert str(error.value) == (
        "a: no label has the name 'Liver'; the names found are liver, kidney. Correct label_names."
    )
    with pytest.raises(InputError) as error:
        parse_label_names(["Liver"], labels.as_tensor(), "a")
    assert str(error.value) == (
        'a does not name its labels, so label_names must tell their values. Write it like {"liver": 1}.'
    )


def test_names_from_a_dataset_json(tmp_path: Path) -> None:
    """As nnU-Net writes it."""
    (tmp_path / "dataset.json").write_text('{"labels": {"background": 0, "liver": 1, "kidney": 3}}', encoding="utf-8")
    labels = read_labels(slicer(tmp_path / "a.nrrd", [label_map()], []))
    assert parse_label_names(str(tmp_path / "dataset.json"), labels, "a") == {"liver": 1, "kidney": 3}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A mask a structure, as TotalSegmentator writes them: those that were not found are empty."""
    folder = tmp_path / "segmentations"
    folder.mkdir()
    for name, mask in {**boxes(), "spleen": np.zeros(SHAPE, bool)}.items():
        nibabel.save(nibabel.Nifti1Image(mask.astype(np.uint8), AFFINE), folder / f"{name}.nii.gz")
    (folder / "statistics.json").write_text("{}", encoding="utf-8")
    return folder


def test_a_folder_of_masks(folder: Path, image: Path, caplog: pytest.LogCaptureFixture) -> None:
    check(folder, image)
    assert read_labels(folder).meta["label_names"] == {"kidney": 1, "liver": 2, "tumor": 4}
    assert caplog.messages == [OVERLAP.format(folder)] * 2


def test_a_folder_with_an_image_among_the_masks_is_refused(folder: Path, image: Path) -> None:
    (folder / "ct.nii.gz").write_bytes(image.read_bytes())
    with pytest.raises(
        InputError, match=r"ct\.nii\.gz holds the values -1000, .* \.\.\., expected a mask: a folder of labels"
    ):
        read_labels(folder)


def test_two_masks_of_one_name_are_refused(folder: Path) -> None:
    (folder / "liver.nii").write_bytes(b"")
    message = f"{folder} holds liver.nii and liver.nii.gz, expected one mask of 'liver'. Keep one of them."
    with pytest.raises(InputError, match=f"^{re.escape(message)}$"):
        read_labels(folder)


def test_masks_of_two_scans_are_refused(folder: Path) -> None:
    nibabel.save(nibabel.Nifti1Image(np.zeros(SHAPE, np.uint8), np.eye(4)), folder / "tumor.nii.gz")
    with pytest.raises(InputError) as error:
        read_labels(folder)
    assert str(error.value) == (
        f"{folder / 'tumor.nii.gz'} lies on another grid than {folder / 'kidney.nii.gz'}, expected the masks of one "
        "scan. Keep the masks of one scan in a folder."
    )


@pytest.mark.parametrize("background", [False, True])
@pytest.mark.parametrize("five", [False, True])
def test_a_mask_a_channel(tmp_path: Path, image: Path, background: bool, five: bool) -> None:
    labels = label_map()
    channels = np.stack([labels == value for value in range(0 if background else 1, 4)], axis=-1)
    stored = channels[:, :, :, None] if five else channels
    nibabel.save(nibabel.Nifti1Image(stored.astype(np.uint8), AFFINE), tmp_path / "a.nii.gz")
    found = align_labels(read_labels(tmp_path / "a.nii.gz"), read_image(image))
    np.testing.assert_array_equal(found[0], labels)
    assert parse_label_names(None, found, "a") == {"label_1": 1, "label_2": 2, "label_3": 3}


@given(arrays(bool, st.tuples(st.integers(1, 6), st.just(5), st.just(4), st.just(3))))
def test_where_masks_overlap_the_smallest_counts(masks: np.ndarray) -> None:
    found = combine_masks([NamedMask(str(n), n, mask) for n, mask in enumerate(masks, start=1)], "a")
    sizes = masks.sum(axis=(1, 2, 3))
    assert ((found > 0) == masks.any(axis=0)).all()
    for place in zip(*np.nonzero(found)):
        there = np.flatnonzero(masks[(slice(None), *place)])
        assert found[place] - 1 in there
        assert sizes[found[place] - 1] == sizes[there].min()


def test_names_that_occur_again_are_numbered() -> None:
    assert unique_names(["lesion", "liver", "lesion", "lesion"]) == ["lesion", "liver", "lesion 2", "lesion 3"]


def test_the_same_object_twice_in_a_folder_is_no_label(tmp_path: Path, series: Path) -> None:
    (tmp_path / "two").mkdir()
    for name in ("1.dcm", "2.dcm"):
        dicom_seg(tmp_path / "two" / name, series, copy.deepcopy(boxes()))
    with pytest.raises(InputError):
        read_labels(tmp_path / "two")
