"""Label maps as DICOM SEG: names, codes, colours, and back again."""

from pathlib import Path

import numpy as np
import pytest
import SimpleITK

from protoseg.data.io.dicom_export import write_series
from protoseg.errors import InputError

pydicom = pytest.importorskip("pydicom")
APP = Path(__file__).parents[2] / "monailabel_app"


@pytest.fixture
def dicom(monkeypatch):
    monkeypatch.syspath_prepend(str(APP))
    from lib.server import segmentation_objects
    from lib.server.dcmqi import patch_dcmqi

    patch_dcmqi()
    return segmentation_objects


@pytest.fixture(scope="module")
def series(dataset, tmp_path_factory):
    """A person's DICOM series, and the same as NIfTI the way the server converts it."""
    folder = tmp_path_factory.mktemp("series")
    uid = write_series(folder / "dicom", dataset / "images" / "training_000.nii.gz", patient="person")
    reader = SimpleITK.ImageSeriesReader()
    reader.SetFileNames(reader.GetGDCMSeriesFileNames(str(folder / "dicom")))
    SimpleITK.WriteImage(reader.Execute(), str(folder / "image.nii.gz"))
    return folder / "dicom", folder / "image.nii.gz", uid


def label_map(image, path, boxes):
    """Boxes of label values on an image's grid; the slices at both ends stay empty."""
    grid = SimpleITK.ReadImage(str(image))
    voxels = np.zeros(grid.GetSize()[::-1], np.uint8)
    for place, value in enumerate(boxes):
        voxels[2 + place : 7 + place, 20:40, 10 + 20 * place : 25 + 20 * place] = value
    labels = SimpleITK.GetImageFromArray(voxels)
    labels.CopyInformation(grid)
    SimpleITK.WriteImage(labels, str(path))
    return voxels


@pytest.mark.parametrize("boxes", [(4,), (1, 2, 3), (7, 2, 200)])
def test_what_is_read_is_what_was_written(dicom, series, tmp_path, boxes):
    folder, image, uid = series
    voxels = label_map(image, tmp_path / "labels.nii.gz", boxes)
    names = {1: "spleen", 2: "Left kidney", 3: "kidney_right", 4: "liver", 7: "lesion 1", 200: "psoas"}
    info = [{"name": name, "idx": value} for value, name in names.items()]
    file = dicom.write_segmentation(folder, tmp_path / "labels.nii.gz", info)
    read, read_info = dicom.read_segmentation(file, image)
    np.testing.assert_array_equal(SimpleITK.GetArrayFromImage(read), voxels)
    assert read_info == [{"name": names[value], "idx": value} for value in sorted(boxes)]
    dataset = pydicom.dcmread(file)
    Path(file).unlink()
    assert dataset.ReferencedSeriesSequence[0].SeriesInstanceUID == uid
    assert [s.SegmentNumber for s in dataset.SegmentSequence] == list(range(1, len(boxes) + 1))


def test_segments_are_coded_by_their_names_and_coloured_by_their_values(dicom, series, tmp_path):
    folder, image, _ = series
    label_map(image, tmp_path / "labels.nii.gz", (1, 2, 3))
    info = [
        {"name": "kidney_right", "idx": 3},
        {"name": "lesion", "idx": 1},
        {"name": "Liver", "idx": 2, "color": [0] * 3},
    ]
    file = dicom.write_segmentation(folder, tmp_path / "labels.nii.gz", info)
    lesion, liver, kidney = pydicom.dcmread(file).SegmentSequence
    Path(file).unlink()

    def code(segment):
        return segment.SegmentedPropertyTypeCodeSequence[0].CodeValue

    assert [str(s.SegmentLabel) for s in (lesion, liver, kidney)] == ["lesion", "Liver", "kidney_right"]
    assert (code(lesion), code(liver), code(kidney)) == ("85756007", "10200004", "64033007")
    side = kidney.SegmentedPropertyTypeCodeSequence[0].SegmentedPropertyTypeModifierCodeSequence[0]
    assert (side.CodeValue, side.CodeMeaning) == ("24028007", "Right")
    assert list(liver.RecommendedDisplayCIELabValue) == [0, 32896, 32896]  # black: as the client said
    assert lesion.RecommendedDisplayCIELabValue != kidney.RecommendedDisplayCIELabValue


def test_names_without_values_are_numbered_as_they_come(dicom):
    assert dicom.named_values([{"name": "liver"}, {"name": "spleen"}]) == {1: {"name": "liver"}, 2: {"name": "spleen"}}
    assert dicom.named_values(None) == {}
    for wrong in (
        [{"idx": 1}],
        ["liver"],
        [{"name": "a", "idx": 1}, {"name": "b", "idx": 1}],
        [{"name": "a", "idx": "1"}],
    ):
        with pytest.raises(InputError, match="label_info"):
            dicom.named_values(wrong)


def test_segments_of_other_writers_keep_their_numbers(dicom, series, tmp_path):
    folder, image, _ = series
    voxels = label_map(image, tmp_path / "labels.nii.gz", (5, 9))
    file = dicom.write_segmentation(folder, tmp_path / "labels.nii.gz", None)
    dataset = pydicom.dcmread(file)
    for segment in dataset.SegmentSequence:
        segment.remove_private_tags()
    dataset.save_as(file)
    read, info = dicom.read_segmentation(file, image)
    Path(file).unlink()
    assert info == [{"name": "label_5", "idx": 1}, {"name": "label_9", "idx": 2}]
    np.testing.assert_array_equal(SimpleITK.GetArrayFromImage(read), np.searchsorted([0, 5, 9], voxels))


def test_what_dicom_cannot_hold_is_refused(dicom, series, tmp_path):
    folder, image, _ = series
    label_map(image, tmp_path / "labels.nii.gz", ())
    with pytest.raises(InputError, match="The label map is empty"):
        dicom.write_segmentation(folder, tmp_path / "labels.nii.gz", None)
    label_map(image, tmp_path / "labels.nii.gz", (1,))
    with pytest.raises(InputError, match="dcmqi cannot write the label map as DICOM SEG"):
        dicom.write_segmentation(tmp_path, tmp_path / "labels.nii.gz", None)
    with pytest.raises(InputError, match="cannot be read as DICOM SEG"):
        dicom.read_segmentation(folder / "0001.dcm", image)
