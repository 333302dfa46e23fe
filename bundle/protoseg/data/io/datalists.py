"""Lists of cases in the layout of the Medical Segmentation Decathlon: `dataset.json` and its kin.

Example::

    {"labels": {"0": "background", "1": "liver"},
     "training": [{"image": "images/a.nii.gz", "label": "labels/a.nii.gz"}],
     "test": ["images/b.nii.gz"]}
"""

import json
from pathlib import Path
from typing import Any

from protoseg.data.io.volumes import query_id
from protoseg.errors import InputError
from protoseg.files import PathLike, is_there, to_path
from protoseg.labels import LabelSet

__all__ = ["label_names", "load_datalist", "section_names"]

FILE_KEYS = ("image", "label")


def load_datalist(
    dataset_json: PathLike,
    section: str,
    *,
    dataset_dir: PathLike | None = None,
    segmented: bool = False,
    fold: int | None = None,
) -> list[dict[str, Any]]:
    """List the cases of one section, such as "training", with absolute paths under "image" and, if given, "label".

    Other entries of a case are kept. Relative paths start from `dataset_dir`, or else from the folder of the
    JSON file. A section is `segmented` where the first case is the support and the others are queries. With `fold`
    the section is that of one of the list's "folds", each of which names its cases by their "id".

    Raises:
        InputError: the JSON file, the fold, the section or a file of a case is missing, or a case has no image; a
            segmented section has no query, or two whose results would have one name.
    """
    content = _read_json(dataset_json)
    if fold is not None:
        content = _fold(content, fold, dataset_json)
    cases = content.get(section)
    if not isinstance(cases, list) or not cases:
        sections = ", ".join(map(repr, _sections(content)))
        raise InputError(
            f"{dataset_json}: no cases under {section!r}; the sections with cases are {sections or 'none'}. "
            "Name one of them, or add the cases."
        )
    if segmented and len(cases) < 2:
        raise InputError(
            f"{dataset_json}: {section!r} has {len(cases)} case(s), expected at least 2: the first is the "
            "support and the others are segmented. Add cases."
        )
    folder = (Path(dataset_json).parent if dataset_dir is None else to_path(dataset_dir, "dataset_dir")).absolute()
    found = [_case(case, folder, f"{dataset_json}: {section}[{index}]") for index, case in enumerate(cases)]
    if segmented:
        _check_names(found[1:], f"{dataset_json}: {section}")
    return found


def section_names(dataset_json: PathLike) -> list[str]:
    """List the names of the sections that have cases, such as "training".

    Raises:
        InputError: the JSON file is missing or cannot be parsed.
    """
    return _sections(_read_json(dataset_json))


def label_names(dataset_json: PathLike) -> dict[str, str]:
    """Read the legend of a data set's labels, value -> name, without the background.

    A legend, not a selection, because a scan may lack some of the labels, see `parse_label_names`.
    Reads `"labels": {"1": "liver"}` (Decathlon) and `"labels": {"liver": 1}` (nnU-Net v2).

    Raises:
        InputError: the JSON file or its labels are missing or cannot be parsed.
    """
    labels = _read_json(dataset_json).get("labels")
    if not labels:
        raise InputError(f'{dataset_json}: no "labels". Add them, like "labels": {{"1": "liver"}}.')
    return LabelSet.parse(labels, f"{dataset_json}: labels").legend()


def _read_json(path: PathLike) -> dict[str, Any]:
    try:
        content = json.loads(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"{path} cannot be opened. Check the path to the data set's JSON file.") from error
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path} is not a JSON file: {error}. Correct it.") from error
    if not isinstance(content, dict):
        raise InputError(
            f'{path}: found a {type(content).__name__}, expected an object like {{"training": [...]}}. '
            "Give a data set's JSON file."
        )
    return content


def _sections(content: dict[str, Any]) -> list[str]:
    return [key for key, value in content.items() if key != "folds" and isinstance(value, list) and value]


def _fold(content: dict[str, Any], fold: int, dataset_json: PathLike) -> dict[str, Any]:
    """Give the sections of one fold, with the cases that its ids name."""
    folds = content.get("folds", [])
    if not isinstance(folds, list) or not folds:
        raise InputError(f"{dataset_json}: it has no folds. Leave out fold, or make the list by protoseg prepare.")
    if not 0 <= fold < len(folds):
        raise InputError(
            f"{dataset_json}: there is no fold {fold}, it has {len(folds)} folds, counted from 0. Choose another fold."
        )
    listed = (case for section in _sections(content) for case in content[section])
    cases = {case["id"]: case for case in listed if isinstance(case, dict) and isinstance(case.get("id"), str)}
    sections = folds[fold]
    if not isinstance(sections, dict) or not all(isinstance(names, list) for names in sections.values()):
        raise InputError(
            f'{dataset_json}: fold {fold} is {sections!r}, expected ids like {{"training": ["a", "b"]}}. Correct it.'
        )
    absent = [name for names in sections.values() for name in names if not isinstance(name, str) or name not in cases]
    if absent:
        raise InputError(f"{dataset_json}: fold {fold} names {absent[0]!r}, and no case has this id. Correct it.")
    return {section: [cases[name] for name in names] for section, names in sections.items()}


def _case(case: Any, folder: Path, place: str) -> dict[str, Any]:
    files = {"image": case} if isinstance(case, str) else case
    if not isinstance(files, dict) or not isinstance(files.get("image"), str):
        raise InputError(
            f'{place}: found {case!r}, expected a case like {{"image": "a.nii.gz", "label": "b.nii.gz"}}. Correct it.'
        )
    if not isinstance(files.get("label") or "", str):
        raise InputError(f"{place}: found the label {files['label']!r}, expected the path of a file. Correct it.")
    absolute = {key: folder / files[key] for key in FILE_KEYS if files.get(key)}
    for key, path in absolute.items():
        if not is_there(path):
            raise InputError(f"{place}: the {key} {path} does not exist. Check dataset_dir and the path.")
    return {**files, **{key: str(path) for key, path in absolute.items()}}


def _check_names(queries: list[dict[str, Any]], place: str) -> None:
    first: dict[str, str] = {}
    for query in queries:
        name, image = query_id(query["image"]), query["image"]
        if name in first:
            raise InputError(
                f"{place}: the results of {first[name]} and {image} would both be named {name!r}. "
                "Rename one of them, or list a scan once."
            )
        first[name] = image
