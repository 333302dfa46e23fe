"""Optional results of an inference run: other formats, and a table of statistics."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from protoseg.data.io.label_files import DICOM_SUFFIXES, write_labels
from protoseg.data.io.nifti_files import read_nifti
from protoseg.data.io.results import LABEL_MAP, result_file
from protoseg.data.io.volumes import query_id, read_image
from protoseg.errors import InputError
from protoseg.workflows.cluster import share
from protoseg.workflows.evaluation.label_statistics import label_statistics
from protoseg.workflows.evaluation.statistics_table import statistics_rows, write_statistics_csv

if TYPE_CHECKING:
    from distributed import Client

__all__ = ["FORMATS", "check_formats", "write_further_results"]

logger = logging.getLogger(__name__)

FORMATS = {"nrrd": ".nrrd", "mha": ".mha", "dicom_seg": ".seg.dcm", "rtstruct": ".rtstruct.dcm"}  # -> ending


def check_formats(formats: Sequence[str]) -> Sequence[str]:
    """Refuse formats that are not among `FORMATS`; return the formats.

    Raises:
        InputError: naming the first such one.
    """
    unknown = [name for name in formats if name not in FORMATS]
    if unknown:
        raise InputError(f"--save {unknown[0]}: there is no such format. Choose among {', '.join(FORMATS)}.")
    return formats


def write_further_results(
    folder: Path,
    reports: Sequence[dict[str, Any]],
    *,
    formats: Sequence[str] = (),
    statistics: bool = False,
    client: Client | None = None,
) -> list[Path]:
    """Write the label maps of an inference run in more formats, and `statistics.csv` over all of them.

    A scan on which nothing was found has no DICOM file, since that needs a segment; this is logged.

    Args:
        folder: folder of the run's results.
        reports: reports of the run, see `read_reports`.
        formats: names of `FORMATS`.
        statistics: True to write the table.
        client: client of a cluster whose processes do the work; by default this process does it.

    Returns:
        Files that were written.

    Raises:
        InputError: a format is unknown, or DICOM is asked for and an image is no DICOM series.
    """
    wanted = _Wanted(folder, tuple(check_formats(formats)), statistics)
    by_query = {query_id(report["query"]): report for report in reports} if formats or statistics else {}
    if client is None:
        found = {query: _further_results(wanted, report) for query, report in by_query.items()}
    else:
        found = {}
        for query, result in share(client, _further_results, by_query, wanted):
            if isinstance(result, InputError):
                raise result
            found[query] = result
    written = [path for query in by_query for path in found[query][0]]
    if statistics:
        written.append(folder / "statistics.csv")
        write_statistics_csv(written[-1], [row for query in by_query for row in found[query][1]])
    return written


class _Wanted(NamedTuple):
    folder: Path
    formats: tuple[str, ...]
    statistics: bool


def _further_results(wanted: _Wanted, report: dict[str, Any]) -> tuple[list[Path], list[dict[str, Any]]]:
    """Write the label map of one query in more formats; give the files and the rows of its statistics."""
    query, written = query_id(report["query"]), []
    image = read_image(Path(report["query"]))
    label_map = _label_map(result_file(wanted.folder, query, LABEL_MAP))
    labels = {name: entry["value"] for name, entry in report["labels"].items()}
    for ending in (FORMATS[name] for name in wanted.formats):
        path = result_file(wanted.folder, query, ending)
        if ending in DICOM_SUFFIXES and not label_map.any():
            logger.warning("%s: nothing was found, so there is no %s.", query, path.name)
            continue
        write_labels(path, label_map, image, labels=labels, weights=report["settings"]["weights"])
        written.append(path)
    rows = statistics_rows(query, label_statistics(image, label_map, labels)) if wanted.statistics else []
    return written, rows


def _label_map(file: Path) -> NDArray[np.uint8]:
    voxels, _ = read_nifti(file)
    return voxels.astype(np.uint8)
