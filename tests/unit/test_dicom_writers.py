"""DICOM SEG and RTSTRUCT, as this project's readers and independent ones read them."""

import json
import shutil
import subprocess
from pathlib import Path

import highdicom
import numpy as np
import pydicom
import pytest
import SimpleITK
from dicom_series import NAMES, SERIES, SHAPE, Writer, affine_of, edit, label_map, series_of
from numpy.typing import NDArray

import protoseg
from protoseg.data.io.dicom import LPS_TO_RAS, slice_files
from protoseg.data.io.grids import align_labels, parse_label_names
from protoseg.data.io.label_files import write_labels
from protoseg.data.io.label_writers.dicom_seg import write_dicom_seg
from protoseg.data.io.label_writers.rtstruct import write_rtstruct
from protoseg.data.io.volumes import read_image, read_labels
from protoseg.errors import InputError

PRESENT = {"liver": 2, "kidney_left": 7, "Läsion 1": 200}


WEIGHTS = "0123456789abcdef"


@pytest.fixture(params=SERIES)
def series(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    return SERIES[request.param](tmp_path / "series")


@pytest.fixture
def axial(tmp_path: Path) -> Path:
    return series_of(tmp_path / "series")


def labels_on(series: Path) -> NDArray[np.uint8]:
    count = len(list(series.iterdir()))
    return label_map() if count == SHAPE[2] else label_map()[..., 2:3]


def write(writer: Writer, path: Path, series: Path, names: dict[str, int] = NAMES) -> pydicom.Dataset:
    writer(path, labels_on(series), affine_of(series), names, series, weights=WEIGHTS)
    return pydicom.dcmread(path)


def present(series: Path) -> dict[str, int]:
    values = set(np.unique(labels_on(series)).tolist())
    return {name: value for name, value in PRESENT.items() if value in values}


def on_grid(mask: SimpleITK.Image, series: Path) -> NDArray[np.bool_]:
    """Look an ITK mask up at the voxels (X, Y, Z) of the series."""
    grid = SimpleITK.GetImageFromArray(labels_on(series).T)
    affine = LPS_TO_RAS @ affine_of(series)
    spacing = np.linalg.norm(affine[:3, :3], axis=0)
    grid.SetSpacing(spacing.tolist())
    grid.SetDirection((affine[:3, :3] / spacing).ravel().tolist())
    grid.SetOrigin(affine[:3, 3].tolist())
    found = SimpleITK.Resample(mask, grid, SimpleITK.Transform(), SimpleITK.sitkNearestNeighbor, 0)
    return SimpleITK.GetArrayFromImage(found).T > 0


@pytest.mark.parametrize("writer", [write_dicom_seg, write_rtstruct])
def test_the_labels_come_back(tmp_path: Path, series: Path, writer: Writer) -> None:
    write(writer, tmp_path / "labels.dcm", series)
    scan = read_image(series)
    found = align_labels(read_labels(tmp_path / "labels.dcm", scan), scan)
    assert list(found.meta["label_names"]) == list(present(series))
    for name, value in parse_label_names(None, found, "labels").items():
        np.testing.assert_array_equal(found[0].numpy() == value, labels_on(series) == NAMES[name])
    if writer is write_dicom_seg:
        assert found.meta["label_names"] == present(series)


def test_highdicom_finds_each_slice_by_its_source(tmp_path: Path, series: Path) -> None:
    write(write_dicom_seg, tmp_path / "seg.dcm", series)
    read = highdicom.seg.segread(tmp_path / "seg.dcm")
    uids = [pydicom.dcmread(file, stop_before_pixels=True).SOPInstanceUID for file in slice_files(series)]
    found = read.get_pixels_by_source_instance(
        uids, combine_segments=True, assert_missing_frames_are_empty=True, ignore_spatial_locations=False
    )
    numbers = np.zeros(256, int)
    numbers[list(present(series).values())] = np.arange(len(present(series))) + 1
    np.testing.assert_array_equal(found, numbers[labels_on(series)].transpose(2, 1, 0))


def test_pydicom_seg_reads_the_segments(tmp_path: Path, series: Path) -> None:
    pydicom_seg = pytest.importorskip("pydicom_seg")
    dataset = write(write_dicom_seg, tmp_path / "seg.dcm", series)
    read = pydicom_seg.SegmentReader().read(dataset)
    for segment in dataset.SegmentSequence:
        mask = on_grid(read.segment_image(segment.SegmentNumber), series)
        np.testing.assert_array_equal(mask, labels_on(series) == NAMES[segment.SegmentLabel])


def test_dcmqi_reads_the_segments(tmp_path: Path, series: Path) -> None:
    dcmqi = pytest.importorskip("dcmqi")
    write(write_dicom_seg, tmp_path / "seg.dcm", series)
    program = str(Path(dcmqi.__file__).parent / "bin" / "segimage2itkimage")
    (tmp_path / "read").mkdir()
    options = ["--outputDirectory", str(tmp_path / "read"), "--outputType", "nrrd", "--prefix", "s"]
    command = [program, "--inputDICOM", str(tmp_path / "seg.dcm"), *options]
    subprocess.run(command, check=True, capture_output=True)
    described = json.loads((tmp_path / "read" / "s-meta.json").read_text(encoding="utf-8"))["segmentAttributes"]
    segments = [segment for group in described for segment in group]
    assert [segment["SegmentLabel"] for segment in segments] == list(present(series))
    for segment in segments:
        mask = on_grid(SimpleITK.ReadImage(str(tmp_path / "read" / f"s-{segment['labelID']}.nrrd")), series)
        np.testing.assert_array_equal(mask, labels_on(series) == NAMES[segment["SegmentLabel"]])
        assert segment["SegmentAlgorithmName"] == "protoseg"
    kidney = next(segment for segment in segments if segment["SegmentLabel"] == "kidney_left")
    assert kidney["SegmentedPropertyTypeCodeSequence"]["CodeValue"] == "64033007"
    assert kidney["SegmentedPropertyTypeModifierCodeSequence"]["CodeMeaning"] == "Left"
    assert kidney["recommendedDisplayRGBValue"] == [185, 102, 83]


@pytest.mark.parametrize("writer", [write_dicom_seg, write_rtstruct])
def test_a_tilted_gantry(tmp_path: Path, axial: Path, writer: Writer) -> None:
    """Each slice lies a row beside the one below it."""

    def shift(dataset: pydicom.Dataset) -> None:
        dataset.ImagePositionPatient[1] += 1.1 * (dataset.InstanceNumber - 1)

    edit(axial, shift)
    dataset = write(writer, tmp_path / "labels.dcm", axial)
    scan = read_image(axial)
    found = align_labels(read_labels(tmp_path / "labels.dcm", scan), scan)
    for name, value in found.meta["label_names"].items():
        np.testing.assert_array_equal(found[0].numpy() == value, label_map() == NAMES[name])
    if writer is write_dicom_seg:
        assert dataset.SharedFunctionalGroupsSequence[0].PixelMeasuresSequence[0].SpacingBetweenSlices == 3


@pytest.mark.parametrize("writer", [write_dicom_seg, write_rtstruct])
def test_dciodvfy_finds_no_error(tmp_path: Path, series: Path, writer: Writer) -> None:
    if shutil.which("dciodvfy") is None:
        pytest.skip("dciodvfy, of Debian's dicom3tools, is not installed")
    write(writer, tmp_path / "labels.dcm", series)
    run = subprocess.run(["dciodvfy", str(tmp_path / "labels.dcm")], capture_output=True, text=True, check=False)
    said = (run.stdout + run.stderr).splitlines()
    assert {"Segmentation", "RTStructureSet"} & set(said)
    assert [line for line in said if "Error" in line] == []


def test_the_algorithm_and_the_source_are_told(tmp_path: Path, axial: Path) -> None:
    source = pydicom.dcmread(slice_files(axial)[0])
    seg = write(write_dicom_seg, tmp_path / "seg.dcm", axial)
    algorithm = seg.SegmentSequence[0].SegmentationAlgorithmIdentificationSequence[0]
    assert (algorithm.AlgorithmName, algorithm.AlgorithmVersion) == ("protoseg", protoseg.__version__)
    assert algorithm.AlgorithmParameters == f"weights={WEIGHTS}"
    assert (seg.SegmentationType, seg.SeriesNumber) == ("BINARY", 300)
    rtstruct = write(write_rtstruct, tmp_path / "rt.dcm", axial)
    rois = rtstruct.StructureSetROISequence
    assert [(roi.ROINumber, roi.ROIName) for roi in rois] == [(2, "liver"), (7, "kidney_left"), (200, "Läsion 1")]
    assert rois[0].ROIGenerationDescription == f"protoseg {protoseg.__version__}, weights {WEIGHTS}"
    assert rtstruct.ROIContourSequence[1].ROIDisplayColor == [185, 102, 83]
    for dataset in (seg, rtstruct):
        assert dataset.SeriesInstanceUID != source.SeriesInstanceUID
        for key in ("PatientName", "PatientID", "StudyInstanceUID", "FrameOfReferenceUID"):
            assert dataset[key].value == source[key].value


def test_contours_are_closed_planar_and_on_the_slice_that_they_name(tmp_path: Path) -> None:
    series = SERIES["oblique"](tmp_path / "series")
    slices = {d.SOPInstanceUID: d for d in map(pydicom.dcmread, slice_files(series))}
    rtstruct = write(write_rtstruct, tmp_path / "rt.dcm", series)
    (frame,) = rtstruct.ReferencedFrameOfReferenceSequence
    referenced = frame.RTReferencedStudySequence[0].RTReferencedSeriesSequence[0].ContourImageSequence
    assert [item.ReferencedSOPInstanceUID for item in referenced] == list(slices)
    for structure in rtstruct.ROIContourSequence:
        for contour in structure.ContourSequence:
            source = slices[contour.ContourImageSequence[0].ReferencedSOPInstanceUID]
            normal = np.cross(*np.reshape(source.ImageOrientationPatient, (2, 3)).astype(float))
            places = np.reshape(contour.ContourData, (-1, 3)).astype(float)
            assert contour.ContourGeometricType == "CLOSED_PLANAR"
            assert len(places) == contour.NumberOfContourPoints
            assert np.abs((places - np.array(source.ImagePositionPatient, float)) @ normal).max() < 1e-3


def test_anonymized_headers_and_foreign_names(tmp_path: Path, axial: Path) -> None:
    def anonymize(dataset: pydicom.Dataset) -> None:
        for key in ("PatientID", "StudyID", "StudyDate", "StudyTime", "AccessionNumber", "SliceThickness"):
            delattr(dataset, key)
        del dataset.FrameOfReferenceUID, dataset.SpacingBetweenSlices, dataset.PatientBirthDate
        dataset.SpecificCharacterSet = "ISO_IR 100"
        dataset.PatientName = "Müller^Anna"

    edit(axial, anonymize)
    names = {"liver\\left": 2, "L" * 80: 7, "\u80bf\u7624": 200}
    seg = write(write_dicom_seg, tmp_path / "seg.dcm", axial, names)
    rtstruct = write(write_rtstruct, tmp_path / "rt.dcm", axial, names)
    expected = ["liver/left", "L" * 64, "\u80bf\u7624"]
    assert [segment.SegmentLabel for segment in seg.SegmentSequence] == expected
    assert [roi.ROIName for roi in rtstruct.StructureSetROISequence] == expected
    assert str(seg.PatientName) == str(rtstruct.PatientName) == "Müller^Anna"
    assert seg.FrameOfReferenceUID == rtstruct.FrameOfReferenceUID
    assert seg.SharedFunctionalGroupsSequence[0].PixelMeasuresSequence[0].SpacingBetweenSlices == 3


def test_a_value_without_a_name_is_named_after_it(tmp_path: Path, axial: Path) -> None:
    seg = write(write_dicom_seg, tmp_path / "seg.dcm", axial, {"liver": 2})
    assert [segment.SegmentLabel for segment in seg.SegmentSequence] == ["liver", "label_7", "label_200"]


def test_two_segments_of_one_value_are_told_apart_by_their_numbers(tmp_path: Path, axial: Path) -> None:
    seg = write(write_dicom_seg, tmp_path / "seg.dcm", axial)
    seg.SegmentSequence[1].private_block(0x0063, "PROTOSEG")[0x01].value = 2
    seg.save_as(tmp_path / "seg.dcm")
    assert read_labels(tmp_path / "seg.dcm").meta["label_names"] == {"liver": 1, "kidney_left": 2, "Läsion 1": 3}


def test_labels_are_written_by_the_ending_of_the_name(tmp_path: Path, axial: Path) -> None:
    scan = read_image(axial)
    for suffix, modality in ((".seg.dcm", "SEG"), (".rtstruct.dcm", "RTSTRUCT")):
        path = tmp_path / f"anna{suffix}"
        write_labels(path, label_map(), scan, labels=NAMES, weights=WEIGHTS)
        assert pydicom.dcmread(path).Modality == modality
    inside = axial / "anna.seg.dcm"
    with pytest.raises(InputError) as error:
        write_labels(inside, label_map(), scan, labels=NAMES)
    assert str(error.value) == (
        f"{inside} would be in the folder of the series that it refers to. Choose another folder."
    )
