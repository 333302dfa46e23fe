"""A whole data set prepared: every scan, and the list of them."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from protoseg.data.preparation.folder_lock import claimed_folder
from protoseg.data.preparation.scan_job import ScanJob
from protoseg.data.preparation.scans import Case, DataSet, check_names
from protoseg.errors import InputError
from protoseg.files import write_json
from protoseg.ops.parallel import map_in_processes

__all__ = ["prepare", "when_disk_is_full"]


def prepare(data_set: DataSet, folder: Path, *, workers: int = 0) -> Path:
    """Prepare every scan that is not prepared yet and write `dataset.json`, whose path is returned.

    When stopped or killed, the next call goes on from there; when all is done, it changes nothing. The source is only
    read.

    Args:
        data_set: data set, as a `find_...` function gives it.
        folder: folder to write to, see `ScanJob`; new, empty, or prepared before with the same settings.
        workers: number of processes to share the work; 0 to work in this one.

    Raises:
        InputError: a scan has no name of its own or cannot be used, the folder is in use or holds something else, or
            the disk is full. What was finished stays.
    """
    check_names(data_set.scans, data_set.source)
    if folder.resolve().is_relative_to(data_set.source.resolve()):
        raise InputError(f"{folder} lies in {data_set.source}, which is only read. Choose a folder outside of it.")
    recipe = {"data_set": data_set.name, "labels": dict(data_set.labels), "settings": dict(data_set.settings)}
    with when_disk_is_full(folder), claimed_folder(folder, recipe):
        job = ScanJob(folder, recipe, data_set.modality, data_set.labels, data_set.read, data_set.geometry)
        cases = {scan.id: case for scan in data_set.scans if (case := job.finished(scan)) is not None}
        missing = [scan for scan in data_set.scans if scan.id not in cases]
        made = map_in_processes(job, missing, workers=workers, description=f"Preparing {data_set.name}")
        cases |= zip((scan.id for scan in missing), made)
        write_json(folder / "dataset.json", _content(data_set, [cases[scan.id] for scan in data_set.scans]))
    return folder / "dataset.json"


@contextmanager
def when_disk_is_full(folder: Path) -> Iterator[None]:
    """Say in one sentence that the disk is full and how to go on."""
    try:
        yield
    except OSError as error:
        # None: NumPy reports a short write without a number.
        if error.errno not in (errno.ENOSPC, errno.EDQUOT, None):
            raise
        raise InputError(
            f"{folder}: the disk is full. Free some space and give the same command again: it goes on from here."
        ) from error


def _content(data_set: DataSet, cases: list[Case]) -> dict[str, Any]:
    modalities = {case["modality"] for case in cases}
    return {
        "name": data_set.name,
        "modality": modalities.pop() if len(modalities) == 1 else "auto",
        "labels": {str(value): name for name, value in data_set.labels.items()},
        **data_set.arrange(data_set.scans, cases),
    }
