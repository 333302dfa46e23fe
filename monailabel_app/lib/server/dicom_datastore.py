"""Studies on a DICOMweb server, used like a folder of studies.

Defects of MONAI Label 0.8.5: only CT is listed, and what was listed is believed for two hours, so that a fresh label
stays unseen; two requests for one new series read each other's half-finished download; a label that came from the
server has no names and is found by its own series instead of its image's; and an image's name may be any path.
The first two were reported as https://github.com/Project-MONAI/MONAILabel/issues/945 and
https://github.com/Project-MONAI/MONAILabel/issues/944; both are still the defaults.
"""

import logging
import re
import tempfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from threading import RLock
from typing import Any

import monailabel.endpoints.infer
import monailabel.interfaces.app
import numpy as np
from fastapi import BackgroundTasks
from monailabel.datastore.dicom import DICOMWebDatastore
from monailabel.datastore.utils.convert import dicom_to_nifti
from monailabel.interfaces.datastore import DefaultLabelTag
from monailabel.interfaces.exception import ImageNotFoundException
from monailabel.utils.others.generic import remove_file

from lib.server.dicom_server import DicomServer
from lib.server.folder_datastore import FolderDatastore
from lib.server.patching import patch, patch_class
from lib.server.segmentation_objects import read_segmentation, write_segmentation
from lib.server.series_tags import SeriesPlace, kind_of_series, place_of_series
from lib.server.uploads import check_label_map
from protoseg.data.io.volumes import read_image, write_label_map
from protoseg.errors import InputError

__all__ = ["DicomDatastore", "patch_dicom_datastore"]

FINAL = DefaultLabelTag.FINAL.value
UID = re.compile(r"[0-9.]{1,64}")

logger = logging.getLogger(__name__)


class DicomDatastore(DICOMWebDatastore, FolderDatastore):
    """`DICOMWebDatastore` whose lists are fresh and whose labels are read as they were written.

    An image is a series, its name the SeriesInstanceUID. Its final label is the newest DICOM SEG that refers to it.
    """

    def __init__(self, *arguments: Any, **options: Any):
        self._fetching: dict[str, RLock] = {}
        self._unreadable: set[str] = set()  # SEG series
        self._kinds: dict[str, str] = {}
        super().__init__(*arguments, **options)
        self._server = DicomServer(self._client, by_frame=self._fetch_by_frame)

    def list_images(self) -> list[str]:
        """List the CT and MR series on the DICOM server."""
        filters = dict(self._search_filter)
        modality = filters.pop("Modality", "CT")
        modalities = ("CT", "MR") if modality == "CT" else (modality,)  # "CT" is MONAI Label's default
        return [series for m in modalities for series in self._server.list_series(**filters, Modality=m)]

    def get_labeled_images(self, label_tag: str | None = None, labels: list[str] | None = None) -> list[str]:
        """List the series with a final label."""
        self.sync()
        return FolderDatastore.get_labeled_images(self)

    def get_unlabeled_images(self, label_tag: str | None = None, labels: list[str] | None = None) -> list[str]:
        """List the series without a final label."""
        labelled = set(self.get_labeled_images())
        return [image for image in self.list_images() if image not in labelled]

    def datalist(self, full_path: bool = True) -> list[dict[str, Any]]:
        """List the pairs of an image's file and its final label's."""
        self.sync()
        return FolderDatastore.datalist(self, full_path)

    def status(self) -> dict[str, Any]:
        """Count images and labels; labels that `sync` has not fetched yet do not count, and are not waited for."""
        tags = Counter(tag for entry in self._datastore.objects.values() for tag in entry.labels)
        completed = FolderDatastore.get_labeled_images(self)
        return {"total": len(self.list_images()), "completed": len(completed), "label_tags": dict(tags)}

    def get_image_uri(self, image_id: str) -> str:
        """Return the path of a series as NIfTI, fetched if it is not here yet.

        Raises:
            ImageNotFoundException: the DICOM server has no such CT or MR series.
            InputError: the series cannot be read as a volume.
        """
        if not UID.fullmatch(image_id):
            raise ImageNotFoundException(f"There is no series {image_id!r}; expected a SeriesInstanceUID.")
        with self._reserved(image_id):
            if image_id not in self._datastore.objects:
                self._fetch_image(image_id)
            return FolderDatastore.get_image_uri(self, image_id)

    def _fetch_image(self, image_id: str) -> None:
        if image_id not in self.list_images():
            raise ImageNotFoundException(f"There is no CT or MR series {image_id!r} on {self.name()}.")
        if not self._series_folder(image_id).exists():
            self._server.download(image_id, self._series_folder(image_id))
        converted = Path(dicom_to_nifti(str(self._series_folder(image_id))))
        try:
            FolderDatastore.add_image(self, image_id, str(converted), self._dicom_info(image_id))
        finally:
            converted.unlink()

    def _reserved(self, image_id: str) -> RLock:
        return self._fetching.setdefault(image_id, RLock())  # in one step, unlike a `defaultdict`

    def _series_folder(self, image_id: str) -> Path:
        return Path(self._datastore.image_path()) / image_id

    def series_kind(self, image_id: str) -> str:
        """Tell the kind of a series that was fetched; empty if it was not, or its tags do not tell."""
        if not UID.fullmatch(image_id) or not self._series_folder(image_id).is_dir():
            return ""
        if image_id not in self._kinds:
            self._kinds[image_id] = kind_of_series(self._series_folder(image_id))
        return self._kinds[image_id]

    def series_place(self, image_id: str) -> SeriesPlace:
        """Tell where a series belongs; it is fetched if it is not here yet.

        Raises:
            ImageNotFoundException: the DICOM server has no such series.
        """
        self.get_image_uri(image_id)
        return place_of_series(self._series_folder(image_id))

    def get_label_uri(self, label_id: str, label_tag: str, image_id: str = "") -> str:
        """Return the path of an image's label as NIfTI, "" if it has none; a label is named like its image."""
        if label_tag == FINAL:
            self.sync()
        return FolderDatastore.get_label_uri(self, image_id or label_id, label_tag)

    def save_label(
        self, image_id: str, label_filename: str, label_tag: str, label_info: dict[str, Any], label_id: str = ""
    ) -> str:
        """Store a label map (a file, or a viewer's raw voxels, .bin) of a series; a final one as DICOM SEG, too.

        Raises:
            ImageNotFoundException: the DICOM server has no such series.
            InputError: the label map or its names cannot be used, see `check_label_map` and `write_segmentation`.
            StaleLabelError: see `check_drawn_on`; then nothing is sent to the DICOM server.
        """
        image = self.get_image_uri(image_id)
        label_info = dict(label_info or {})
        if label_info.get("drawn_on") is not None:
            self.sync()
        with self._reserved(image_id), tempfile.TemporaryDirectory() as folder:
            label_map = Path(folder) / "labels.nii.gz"
            if label_filename.endswith(".bin"):
                _write_raw_labels(label_map, Path(label_filename), image)
            else:
                labels = check_label_map(label_filename, image, empty=label_tag != FINAL)
                write_label_map(label_map, labels, read_image(image))
            if label_tag == FINAL:
                self.check_drawn_on(image_id, str(label_map), label_info)
                series = self._upload_label(image_id, label_map, label_info)
                known = self.get_image_info(image_id)
                label_info |= {key: known.get(key) for key in ("Modality", "PatientID", "StudyInstanceUID")}
                label_info["SeriesInstanceUID"] = series
            return FolderDatastore.save_label(self, image_id, str(label_map), label_tag, label_info)

    def _upload_label(self, image_id: str, label_map: Path, label_info: dict[str, Any]) -> str:
        names, newest = label_info.get("label_info"), self._server.newest_time(image_id)
        segmentation = Path(write_segmentation(self._series_folder(image_id), label_map, names, after=newest))
        try:
            return self._server.upload(segmentation)
        finally:
            segmentation.unlink()

    def remove_image(self, image_id: str) -> None:
        """Refuse: DICOMweb cannot delete."""
        raise InputError(f"The series {image_id} cannot be removed from here. Delete it on the DICOM server.")

    def remove_label(self, label_id: str, label_tag: str) -> None:
        """Remove a label that is here only; a final one is on the DICOM server, and DICOMweb cannot delete."""
        if label_tag == FINAL:
            raise InputError(
                f"The label of {label_id} cannot be removed from here. Delete its SEG on the DICOM server."
            )
        FolderDatastore.remove_label(self, label_id, label_tag)

    def undo_first_label(self, image_id: str, label_info: dict[str, Any]) -> None:
        """Refuse: DICOMweb cannot delete."""
        raise InputError(f"{image_id} had no label before this one. Delete its example in the library instead.")

    def sync(self) -> None:
        """Fetch final labels that are new on the DICOM server, and forget those that are gone from it."""
        newest = self._server.newest_segmentations()
        images = set(self.list_images())
        for image_id, series in newest.items():
            if image_id in images and series not in self._unreadable:
                self._fetch_label(image_id, series)
        for image_id in FolderDatastore.get_labeled_images(self):
            if image_id not in newest:
                self._forget_label(image_id)

    def _forget_label(self, image_id: str) -> None:
        with self._reserved(image_id):
            if image_id not in self._server.newest_segmentations():  # none was stored since they were listed
                FolderDatastore.remove_label(self, image_id, FINAL)

    def _fetch_label(self, image_id: str, series: str) -> None:
        with self._reserved(image_id):
            label = self._datastore.label(image_id, FINAL)
            if label is not None and label.info.get("SeriesInstanceUID") == series:
                return
            if self._server.newest_segmentations().get(image_id) != series:  # one was stored since they were listed
                return
            image = self.get_image_uri(image_id)
            with tempfile.TemporaryDirectory(dir=self._datastore_path, prefix=".incoming") as scratch:
                files, label_map = Path(scratch) / series, Path(scratch) / "labels.nii.gz"
                self._server.download(series, files)
                try:
                    scan = read_image(image)
                    labels, names = read_segmentation(next(files.iterdir()), scan)
                    write_label_map(label_map, labels, scan)
                    info = {**self._dicom_info(series), "label_info": names}
                    FolderDatastore.save_label(self, image_id, str(label_map), FINAL, info)
                except InputError as error:
                    logger.warning("The segmentation %s of %s is passed over: %s", series, image_id, error)
                    self._unreadable.add(series)


def _write_raw_labels(label_map: Path, raw: Path, image: str) -> None:
    """Write a viewer's label map, one byte a voxel with x running fastest, on the grid of its image."""
    scan = read_image(image)
    labels = np.fromfile(raw, np.uint8)
    if labels.size != scan[0].numel():
        raise InputError(f"The label map has {labels.size} voxels, expected the image's {scan[0].numel()}.")
    write_label_map(label_map, labels.reshape(scan.shape[1:], order="F"), scan)


def patch_dicom_datastore() -> None:
    """Let apps use a `DicomDatastore`, and inference with `output=dicom_seg` write its kind of segmentation."""
    patch_class(
        monailabel.interfaces.app,
        "DICOMWebDatastore",
        DicomDatastore,
        defect="series are listed once in two hours, and labels of the server come without names",
    )
    infer = monailabel.endpoints.infer
    patch(
        infer,
        "nifti_to_dicom_seg",
        lambda original: write_segmentation,
        takes="series_dir label label_info file_ext use_itk",
        defect="a DICOM SEG is written that no reader can give its labels' names back",
    )
    patch(
        infer,
        "send_response",
        _also_removing_dicom_seg,
        takes="datastore result output background_tasks",
        defect="the file of a DICOM SEG stays behind in the folder of temporary files",
    )


def _also_removing_dicom_seg(original: Callable[..., Any]) -> Callable[..., Any]:
    def send_response(datastore: Any, result: dict[str, Any], output: str, background_tasks: BackgroundTasks) -> Any:
        background_tasks.add_task(remove_file, result.get("dicom_seg"))
        return original(datastore, result, output, background_tasks)

    return send_response
