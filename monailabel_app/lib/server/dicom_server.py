"""A DICOMweb server as a store of series: list, fetch and send, in words of SeriesInstanceUIDs."""

import os
import tempfile
import time
from pathlib import Path
from threading import RLock

from dicomweb_client import DICOMwebClient
from monailabel.datastore.utils.dicom import dicom_web_download_series, dicom_web_upload_dcm
from pydicom.dataset import Dataset

__all__ = ["DicomServer"]

LISTED_FOR_S = 2.0  # how old a list of series may be


class DicomServer:
    """The series on the server, listed at most every 2 s. Safe between threads.

    Args:
        client: connection to the server.
        by_frame: True to fetch pixels frame by frame, for servers that cannot send whole series.
    """

    def __init__(self, client: DICOMwebClient, *, by_frame: bool):
        self._client = client
        self._by_frame = by_frame
        self._lock = RLock()
        self._listed: dict[str, tuple[float, list[str]]] = {}
        self._segmentations: dict[str, tuple[str, str]] = {}  # of each SEG series: when it was made, and its image

    def list_series(self, **filters: str) -> list[str]:
        """List the series for which DICOM attributes have these values."""
        key = repr(sorted(filters.items()))
        with self._lock:
            listed_at, series = self._listed.get(key, (-LISTED_FOR_S, []))
            if time.monotonic() - listed_at >= LISTED_FOR_S:
                found = self._client.search_for_series(search_filters=filters)
                series = [str(Dataset.from_json(s).SeriesInstanceUID) for s in found]
                self._listed[key] = time.monotonic(), series
            return series

    def newest_segmentations(self) -> dict[str, str]:
        """Map each image's series to the newest SEG series that refers to it."""
        with self._lock:
            made = sorted((*self._describe(series), series) for series in self.list_series(Modality="SEG"))
            return {image: series for _, image, series in made if image}

    def newest_time(self, image: str) -> str:
        """Tell when the newest SEG of an image was made, as "YYYYMMDD hhmmss.ffffff"; empty where there is none."""
        with self._lock:
            made = (self._describe(series) for series in self.list_series(Modality="SEG"))
            return max((when for when, of in made if of == image), default="")

    def _describe(self, series: str) -> tuple[str, str]:
        if series not in self._segmentations:
            study = Dataset.from_json(self._client.search_for_series(search_filters={"SeriesInstanceUID": series})[0])
            meta = Dataset.from_json(self._client.retrieve_series_metadata(study.StudyInstanceUID, series)[0])
            image = "".join(str(s.SeriesInstanceUID) for s in meta.get("ReferencedSeriesSequence", [])[:1])
            self._segmentations[series] = f"{meta.get('ContentDate') or ''} {meta.get('ContentTime') or ''}", image
        return self._segmentations[series]

    def download(self, series: str, folder: Path) -> None:
        """Fetch a series' files into a folder, which is then there complete; on failure it is not there."""
        with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".incoming") as scratch:
            incoming = Path(scratch) / "series"
            dicom_web_download_series(None, series, str(incoming), self._client, self._by_frame)
            os.replace(incoming, folder)  # noqa: PTH105 - the one that is documented as atomic

    def upload(self, file: Path) -> str:
        """Send one DICOM file, and return its series."""
        with self._lock:
            self._listed.clear()
            return dicom_web_upload_dcm(str(file), self._client)
