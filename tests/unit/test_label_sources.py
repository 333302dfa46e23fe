"""Labels as people have them: named segments, a mask a structure, a mask a channel, DICOM SEG and RTSTRUCT."""

import copy
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
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.sequence import Sequence
from pydicom.sr.codedict import codes
from pydicom.uid import ExplicitVRLittleEndian, RTStructureSetStorage, generate_uid

from protoseg.data.io.dicom_export import write_series
from protoseg.data.io.grids import align_labels, parse_label_names
from protoseg.data.io.label_sources.masks import NamedMask, combine_masks, unique_names
from protoseg.data.io.volumes import read_image, read_labels
from protoseg.errors import InputError

SHAPE = (16, 18, 6)
AFFINE = np.array([[-2.0, 0, 0, 40], [0, -1.6, -1.5, 30], [0, -1.2, 2.0, -20], [0, 0, 0, 1]])  # oblique, mm


def boxes() -> dict[str, np.ndarray]:
    """Liver, with a tumor in it, and a kidney; slices 0 and 5 are empty, and so is slice 3 for the kidney."""
    masks = {name: np.zeros(SHAPE, bool) for name in ("liver", "tumor", "kidney")}
    masks["liver"][2:9, 3:12, 1:5] = True
    masks["tumor"][4:6, 5:9, 2:4] = True
    masks["kidney"][11:14, 4:8, [1, 2, 4]] = True
    return masks


def label_map() -> np.ndarray:
    """Liver 1, tumor 2, kidney 3, the tumor over the liver."""
    masks = boxes()
    return np.select([masks["tumor"], masks["liver"], masks["kidney"]], [2, 1, 3]).astype(np.int16)


NAMES = {"liver": 1, "tumor": 2, "kidney": 3}
OVERLAP = "{}: structures overlap, and a voxel counts for the smallest of them: tumor over liver (16 voxels)."


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


def check(path: Path, image: Path, names: dict[str, int] = NAMES) -> None:
    """The labels lie on the image as they were drawn, and have their names."""
    scan = read_image(image)
    labels = align_labels(read_labels(path, scan), scan)
    own = labels.meta["label_names"]
    assert own.keys() == names.keys()
    assert parse_label_names(None, labels, str(path)) == own
    turned = nibabel.as_closest_canonical(nibabel.Nifti1Image(labels[0].numpy(), labels.affine.numpy()))
    drawn = nibabel.as_closest_canonical(nibabel.Nifti1Image(label_map(), AFFINE))
    for name, value in own.items():
        np.testing.assert_array_equal(np.asarray(turned.dataobj) == value, np.asarray(drawn.dataobj) == NAMES[name])


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


def outline(mask: np.ndarray, index: int) -> list[np.ndarray]:
    """Corners of the rectangle of a slice, a third of a voxel outside the centers: none falls on a center."""
    x, y = (np.flatnonzero(mask[..., index].any(axis=axis)) for axis in (1, 0))
    if not len(x):
        return []
    low, high = (x[0] - 0.33, y[0] - 0.33), (x[-1] + 0.33, y[-1] + 0.33)
    corners = [(low[0], low[1]), (high[0], low[1]), (high[0], high[1]), (low[0], high[1])]
    return [np.array([(*corner, index) for corner in corners])]


def rtstruct(
    path: Path, contours: dict[str, list[np.ndarray]], kind: str = "CLOSED_PLANAR", leave_out: str = ""
) -> Path:
    """Write a structure set of contours in voxel indices (N, 3)."""
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = RTStructureSetStorage, generate_uid()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset = FileDataset(str(path), {}, file_meta=meta, preamble=b"\0" * 128)
    dataset.is_little_endian, dataset.is_implicit_VR = True, False
    dataset.Modality = "RTSTRUCT"
    rois, drawn = [], []
    for number, (name, points) in enumerate(contours.items(), start=7):
        roi, sequence = Dataset(), Dataset()
        roi.ROINumber, roi.ROIName, sequence.ReferencedROINumber = number, name, number
        sequence.ContourSequence = Sequence()
        for each in points:
            lps = (each @ AFFINE[:3, :3].T + AFFINE[:3, 3]) * [-1, -1, 1]
            contour = Dataset()
            contour.ContourGeometricType, contour.NumberOfContourPoints = kind, len(each)
            contour.ContourData = [f"{value:.4f}" for value in lps.ravel()]
            sequence.ContourSequence.append(contour)
        rois.append(roi)
        drawn.append(sequence)
    dataset.StructureSetROISequence, dataset.ROIContourSequence = Sequence(rois), Sequence(drawn)
    if leave_out:
        delattr(dataset, leave_out)
    dataset.save_as(path)
    return path


def drawn() -> dict[str, list[np.ndarray]]:
    return {name: [c for index in range(6) for c in outline(mask, index)] for name, mask in boxes().items()}


def test_rtstruct(tmp_path: Path, image: Path, series: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = rtstruct(tmp_path / "a.dcm", {**drawn(), "isocenter": []})
    check(path, image)
    check(path, series)
    assert caplog.messages == [OVERLAP.format(path)] * 2


def test_contours_within_each_other_are_holes(tmp_path: Path, image: Path) -> None:
    contours = drawn()
    path = rtstruct(tmp_path / "a.dcm", {"liver": contours["liver"] + contours["tumor"]})
    found = read_labels(path, image)[0].numpy() > 0
    np.testing.assert_array_equal(found, boxes()["liver"] & ~boxes()["tumor"])


def test_contours_between_slices_belong_to_the_nearest(tmp_path: Path, image: Path) -> None:
    fine = [c + np.array([0, 0, shift]) for c in drawn()["liver"] for shift in (-0.4, 0.1, 0.4)]
    found = read_labels(rtstruct(tmp_path / "a.dcm", {"liver": fine}), image)[0].numpy() > 0
    np.testing.assert_array_equal(found, boxes()["liver"])


def test_a_circle_has_the_area_of_a_circle(tmp_path: Path, image: Path) -> None:
    angles = np.linspace(0, 2 * np.pi, 90, endpoint=False)
    circle = np.stack([7.3 + 5.2 * np.cos(angles), 8.1 + 5.2 * np.sin(angles), np.full(90, 2.0)], axis=1)
    found = read_labels(rtstruct(tmp_path / "a.dcm", {"circle": [circle]}), image)[0].numpy() > 0
    x, y = np.mgrid[: SHAPE[0], : SHAPE[1]]
    np.testing.assert_array_equal(found[..., 2], np.hypot(x - 7.3, y - 8.1) < 5.2)


BAD_STRUCTURES = {
    "no contours": (
        lambda p: rtstruct(p, {"liver": []}),
        "{path}: this structure set has no closed contours. Give one in which structures are drawn.",
    ),
    "points only": (
        lambda p: rtstruct(p, drawn(), "POINT"),
        "{path}: this structure set has no closed contours. Give one in which structures are drawn.",
    ),
    "other slices": (
        lambda p: rtstruct(p, {"liver": [c @ [[1, 0, 0.3], [0, 1, 0], [0.3, 0.3, 1]] for c in drawn()["liver"]]}),
        "{path}: the contours are not drawn on the slices of the image. Give the image that they were drawn on.",
    ),
    "elsewhere": (
        lambda p: rtstruct(p, {"liver": [c + 100 for c in drawn()["liver"]]}),
        "{path}: none of its contours lies on the image. Give the image that they were drawn on.",
    ),
}


@pytest.mark.parametrize("case", BAD_STRUCTURES)
def test_structure_sets_that_cannot_be_used(tmp_path: Path, image: Path, case: str) -> None:
    make, message = BAD_STRUCTURES[case]
    path = make(tmp_path / "a.dcm")
    with pytest.raises(InputError) as error:
        read_labels(path, image)
    assert str(error.value) == message.format(path=path)


def test_contours_need_their_image(tmp_path: Path) -> None:
    path = rtstruct(tmp_path / "a.dcm", drawn())
    with pytest.raises(InputError) as error:
        read_labels(path)
    assert str(error.value) == (
        f"{path} holds contours, which have no voxels of their own. Give the image that they belong to."
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
