"""The images of an inference run."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast

from protoseg.data.io.dicom import dicom_files
from protoseg.data.io.results import is_result
from protoseg.data.io.volumes import EXPECTED, check_image_file, query_id
from protoseg.data.preprocessing.orientation import SLICE_AXES
from protoseg.engine.support import SupportSet
from protoseg.errors import InputError
from protoseg.files import PathLike, to_path

__all__ = ["find_queries", "follow_slices", "query_list"]

logger = logging.getLogger(__name__)

MOST_NAMES = 3  # in a message


def query_list(query: PathLike | int | Sequence[PathLike], support: SupportSet | None = None) -> list[dict[str, Any]]:
    """List the images at a path or several, see `find_queries`, as cases {"image": path}, in the slices of a support.

    Raises:
        InputError: nothing is there, or the results of two images would have one name.
    """
    paths: Sequence[PathLike | int] = query if isinstance(query, list | tuple) else [cast(PathLike | int, query)]
    found = list({image.absolute(): image for path in paths for image in find_queries(path)}.values())
    _check_names(found, ", ".join(map(str, paths)))
    return follow_slices([{"image": str(path)} for path in found], support)


def follow_slices(cases: Sequence[Mapping[str, Any]], support: SupportSet | None) -> list[dict[str, Any]]:
    """Let cases be sliced in the plane of a support, see `OrientSlicesd`."""
    axes = support.slice_axes if support else None
    return [{**case, SLICE_AXES: axes} for case in cases]


def find_queries(path: PathLike | int) -> list[Path]:
    """Find the images to segment: a file, a DICOM folder (one query), or all images and DICOM folders in a folder.

    Sorted by name; hidden files and files of other formats are skipped. So are, with a message, results of earlier
    runs, and the images beside the slices of a DICOM series.

    Raises:
        InputError: nothing is there, or the results of two images would have one name.
    """
    path = to_path(path, "query")
    if not path.is_dir():
        check_image_file(path)
        return [path]
    images = [file for file in sorted(path.iterdir()) if not file.name.startswith(".") and _is_image(file)]
    found = [image for image in images if not is_result(image)]
    if len(found) < len(images):
        results = [image for image in images if image not in found]
        logger.warning(
            "%s: left out %s: results of an earlier run, whose reports lie beside them.", path, _few(results)
        )
    if dicom_files(path):
        if found:
            logger.warning(
                "%s is read as one DICOM series; left out %s beside its slices. Give them, or a folder of their own, "
                "to segment them.",
                path,
                _few(found),
            )
        return [path]
    if not found:
        raise InputError(f"{path} holds no image and no DICOM series. {EXPECTED}")
    _check_names(found, str(path))
    return found


def _check_names(images: Sequence[Path], place: str) -> None:
    first: dict[str, Path] = {}
    for image in images:
        same = first.setdefault(query_id(image), image)
        if same != image:
            raise InputError(
                f"{place}: the results of {same} and {image} would be named {query_id(image)!r}. Rename one of them."
            )


def _is_image(path: Path) -> bool:
    return bool(dicom_files(path)) if path.is_dir() else query_id(path) != path.name


def _few(paths: Sequence[Path]) -> str:
    names = ", ".join(path.name for path in paths[:MOST_NAMES])
    return names if len(paths) <= MOST_NAMES else f"{names} and {len(paths) - MOST_NAMES} more"
