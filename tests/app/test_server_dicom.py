"""Label maps as DICOM SEG: names, codes, colors, and back again."""

import shutil
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import SimpleITK

from protoseg.data.io.dicom_export import write_series
from protoseg.data.io.segment_values import keep_label_value
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
    np.testing.assert_array_equal(read[0].numpy().T, voxels)
    assert read_info == [{"name": names[value], "idx": value} for value in sorted(boxes)]
    dataset = pydicom.dcmread(file)
    Path(file).unlink()
    assert dataset.ReferencedSeriesSequence[0].SeriesInstanceUID == uid
    assert [s.SegmentNumber for s in dataset.SegmentSequence] == list(range(1, len(boxes) + 1))


def test_segments_are_coded_by_their_names_and_colored_by_their_values(dicom, series, tmp_path):
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


def of_another_writer(segment):
    segment.remove_private_tags()


def of_one_name_and_value(segment):
    segment.SegmentLabel = "lesion"
    keep_label_value(segment, 7)


@pytest.mark.parametrize(
    ("change", "names"),
    [(of_another_writer, ("label_5", "label_9")), (of_one_name_and_value, ("lesion", "lesion 2"))],
)
def test_segments_without_values_of_their_own_have_their_numbers(dicom, series, tmp_path, change, names):
    folder, image, _ = series
    voxels = label_map(image, tmp_path / "labels.nii.gz", (5, 9))
    file = dicom.write_segmentation(folder, tmp_path / "labels.nii.gz", None)
    dataset = pydicom.dcmread(file)
    for segment in dataset.SegmentSequence:
        change(segment)
    dataset.save_as(file)
    read, info = dicom.read_segmentation(file, image)
    Path(file).unlink()
    assert info == [{"name": names[0], "idx": 1}, {"name": names[1], "idx": 2}]
    np.testing.assert_array_equal(read[0].numpy().T, np.searchsorted([0, 5, 9], voxels))


def test_what_dicom_cannot_hold_is_refused(dicom, series, tmp_path):
    folder, image, _ = series
    label_map(image, tmp_path / "labels.nii.gz", ())
    with pytest.raises(InputError, match="The label map is empty"):
        dicom.write_segmentation(folder, tmp_path / "labels.nii.gz", None)
    label_map(image, tmp_path / "labels.nii.gz", (1,))
    with pytest.raises(InputError, match="dcmqi cannot write the label map as DICOM SEG"):
        dicom.write_segmentation(tmp_path, tmp_path / "labels.nii.gz", None)
    with pytest.raises(InputError, match="of modality CT, expected labels: SEG"):
        dicom.read_segmentation(folder / "0001.dcm", image)


class Listing:
    """A DICOMweb server with two SEG of one image: one with a date, and one that its writer did not date."""

    dates = {"1.1": ("20200101", "120000"), "1.2": None}  # noqa: RUF012

    def search_for_series(self, search_filters):
        series = [search_filters["SeriesInstanceUID"]] if "SeriesInstanceUID" in search_filters else self.dates
        return [self._json(SeriesInstanceUID=one, StudyInstanceUID="1") for one in series]

    def retrieve_series_metadata(self, study, series):
        dates = dict(zip(("ContentDate", "ContentTime"), self.dates[series] or (), strict=False))
        image = pydicom.Dataset()
        image.SeriesInstanceUID = "1.9"
        return [self._json(ReferencedSeriesSequence=[image], **dates)]

    def _json(self, **values):
        dataset = pydicom.Dataset()
        for name, value in values.items():
            setattr(dataset, name, value)
        return dataset.to_json_dict()


def test_a_segmentation_without_a_date_is_older_than_one_with(dicom):
    from lib.server.dicom_server import DicomServer

    server = DicomServer(Listing(), by_frame=False)
    assert server.newest_segmentations() == {"1.9": "1.1"}
    assert server.newest_time("1.9") == "20200101 120000"


class Archive:
    """Stands for a DICOM server with one CT series."""

    def __init__(self, folder, uid):
        self.folder, self.uid, self.stored = folder, uid, []

    def list_series(self, **filters):
        return [self.uid] if filters["Modality"] == "CT" else []

    def newest_segmentations(self):
        return {self.uid: max(self.stored, key=lambda one: one[2])[0]} if self.stored else {}

    def newest_time(self, image):
        assert image == self.uid
        return max((made for *_, made in self.stored), default="")

    def download(self, series, folder):
        assert series == self.uid
        shutil.copytree(self.folder, folder)

    def upload(self, file):
        dataset = pydicom.dcmread(file)
        labels = [str(s.SegmentLabel) for s in dataset.SegmentSequence]
        self.stored.append((str(dataset.SeriesInstanceUID), labels, f"{dataset.ContentDate} {dataset.ContentTime}"))
        return self.stored[-1][0]


@pytest.fixture
def datastore(dicom, series, tmp_path):
    """A datastore on an `Archive`."""
    from lib.server.dicom_datastore import DicomDatastore

    folder, _, uid = series
    meta = {"0020000E": {"vr": "UI", "Value": [uid]}, "00080060": {"vr": "CS", "Value": ["CT"]}}
    client = SimpleNamespace(base_url="http://pacs", search_for_series=lambda **_: [meta])
    made = DicomDatastore(client, {"Modality": "CT"}, cache_path=str(tmp_path / "cache"))
    made._server = Archive(folder, uid)
    return made


def test_a_series_that_several_ask_for_at_once_is_fetched_once(dicom, series, request, monkeypatch):
    from lib.server import dicom_datastore

    def slow_lock():
        time.sleep(0.05)
        return threading.RLock()

    monkeypatch.setattr(dicom_datastore, "RLock", slow_lock)
    datastore, fetched = request.getfixturevalue("datastore"), []
    fetch = datastore._fetch_image
    monkeypatch.setattr(datastore, "_fetch_image", lambda image: fetched.append(image) or fetch(image))
    with ThreadPoolExecutor(2) as clients:
        paths = list(clients.map(datastore.get_image_uri, [series[2]] * 2))
    assert (len(fetched), len(set(paths))) == (1, 1)


@pytest.mark.parametrize("labels_before", [0, 1])
def test_a_label_that_is_stored_while_others_list_is_neither_lost_nor_replaced(
    datastore, series, tmp_path, monkeypatch, labels_before
):
    _, image, uid = series
    label_map(image, tmp_path / "labels.nii.gz", (1,))

    def save(name):
        info = {"label_info": [{"name": name, "idx": 1}], "user": "anna"}
        datastore.save_label(uid, str(tmp_path / "labels.nii.gz"), "final", info)

    def list_images():  # which `sync` does after it has listed the labels
        monkeypatch.setattr(datastore, "list_images", lambda: [uid])
        save("newer")
        return [uid]

    for _ in range(labels_before):
        save("older")
    monkeypatch.setattr(datastore, "list_images", list_images)
    datastore.sync()
    info = datastore.get_label_info(uid, "final")
    assert (info["user"], info["label_info"][0]["name"]) == ("anna", "newer")
    assert len(datastore.versions.of(uid)) == labels_before


def test_submits_to_a_dicom_server_are_versions_too(dicom, datastore, series, tmp_path, monkeypatch):
    from lib.server.submissions import StaleLabelError
    from lib.sessions.submits import Submits

    _, image, uid = series
    archive, submits = datastore._server, Submits(datastore)

    def save(name, **said):
        label_map(image, tmp_path / "labels.nii.gz", (1,))
        info = {"label_info": [{"name": name, "idx": 1}], "user": "anna", **said}
        datastore.save_label(uid, str(tmp_path / "labels.nii.gz"), "final", info)
        return datastore.label_version(uid).version

    first = save("liver", drawn_on="")
    second = save("spleen", drawn_on=first)
    with pytest.raises(StaleLabelError, match="was labelled by anna") as refused:
        save("lesion", drawn_on=first)
    assert [labels for _, labels, _ in archive.stored] == [["liver"], ["spleen"]], "what is refused is not sent"
    assert submits.conflict(uid, refused.value)["changes"] == [
        {"label": "lesion", "drawn_on": 0, "current": 0, "yours": 1500},
        {"label": "liver", "drawn_on": 1500, "current": 0, "yours": 0},
        {"label": "spleen", "drawn_on": 0, "current": 1500, "yours": 0},
    ]
    assert submits.undo(uid, second) is True
    assert (datastore.label_version(uid).version, archive.stored[-1][1]) == (first, ["liver"])
    assert datastore.get_label_info(uid, "final")["SeriesInstanceUID"] == archive.stored[-1][0], "its new DICOM SEG"
    with pytest.raises(InputError, match="had no label before this one"):
        submits.undo(uid, None)
    assert submits.redo(uid, None) is True
    assert (datastore.label_version(uid).version, len(archive.stored)) == (second, 4)
    assert submits.restore(submits.find(uid, refused.value.refused), "bob") is True
    assert (archive.stored[-1][1], submits.versions(uid)[0].info["restored_by"]) == (["lesion"], "bob")
    datastore.sync()
    assert submits.versions(uid)[0].version not in (first, second), "what was stored here is not fetched again"
    assert datastore.series_kind(uid).startswith("CT")
    with monkeypatch.context() as set_back:
        set_back.setattr(dicom, "datetime", type("Clock", (datetime,), {"now": lambda: datetime(2001, 1, 1)}))
        last = save("stomach")
    datastore.sync()
    assert datastore.label_version(uid).version == last, "though its clock says that it is older than the others"
