"""Content of an archive that a client sent, checked before anything of it is used."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import torch

from lib.library.archive import FORMAT, LIST, LONGEST_TEXT, VERSION
from protoseg.data.support.label_registry import MOST_LABELS
from protoseg.engine.support import SupportSet
from protoseg.errors import InputError

__all__ = ["MOST_EXAMPLES", "Listed", "check_directory", "check_support", "read_list"]

MOST_EXAMPLES = 1000
MOST_DIRECTORY = 2**20  # bytes of a ZIP archive's own list of its members
LONGEST_COMMENT = 2**16
MOST_PIXELS = 4096  # edge of a slice
MEMBER = re.compile(r"supports/[0-9a-f]{16}\.safetensors")
SHA256 = re.compile(r"[0-9a-f]{64}")
TIME = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ)?")


class Listed(NamedTuple):
    """One example in the list of an archive."""

    file: str
    sha256: str
    study: str
    enabled: bool
    by: str
    at: str
    provenance: dict[str, str]
    weight: float = 1.0  # where an archive says nothing of it


def check_directory(archive: Path) -> None:
    """Refuse a ZIP archive whose list of members would fill the memory, before that is read.

    Raises:
        InputError: it is no ZIP archive, or it has too many members.
    """
    with archive.open("rb") as file:
        length = file.seek(0, 2)
        file.seek(max(0, length - LONGEST_COMMENT - 42))
        end = file.read()
    place = end.rfind(b"PK\5\6")
    if place < 0:
        raise InputError("The file is no ZIP archive. Send one that was exported by a protoseg server.")
    large = b"PK\6\7" in end[max(0, place - 20) : place]  # its true size is elsewhere
    if large or int.from_bytes(end[place + 12 : place + 16], "little") > MOST_DIRECTORY:
        raise InputError(f"The archive has too many members, expected at most {MOST_EXAMPLES} examples.")


def read_list(text: bytes) -> list[Listed]:
    """Read the list of an archive.

    Raises:
        InputError: it is malformed, of another version, or too long.
    """
    try:
        content = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InputError(f"{LIST} in the archive is no JSON. Export the library again.") from error
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise InputError(f"{LIST} in the archive is no list of a protoseg library.")
    if content.get("version") != VERSION:
        raise InputError(
            f"The archive has the version {content.get('version')!r}, expected {VERSION}. Update protoseg."
        )
    examples = content.get("examples")
    if not isinstance(examples, list) or not 1 <= len(examples) <= MOST_EXAMPLES:
        raise InputError(f"{LIST} lists no examples, or more than {MOST_EXAMPLES}.")
    listed = [_listed(entry) for entry in examples]
    if len({entry.file for entry in listed}) < len(listed):
        raise InputError(f"{LIST} lists a file twice.")
    return listed


def _listed(entry: Any) -> Listed:
    if not isinstance(entry, dict) or {"weight", *entry} != set(Listed._fields):
        raise InputError(f"{LIST} holds an example without just {', '.join(Listed._fields)}.")
    _match(entry, "file", MEMBER)
    _match(entry, "sha256", SHA256)
    _match(entry, "at", TIME)
    for key in ("study", "by"):
        if not _is_text(entry[key]) or not entry[key].strip():
            raise InputError(f"{LIST} holds the {key} {str(entry[key])[:80]!r}, expected text that prints.")
    provenance = entry["provenance"]
    fitting = isinstance(provenance, dict) and len(provenance) <= 32
    if not fitting or not all(_is_text(text) for pair in provenance.items() for text in pair):
        raise InputError(f"{LIST} holds a provenance that is no object of short texts.")
    if not isinstance(entry["enabled"], bool):
        raise InputError(f"{LIST} holds an 'enabled' that is neither true nor false.")
    weight = entry.get("weight", 1.0)
    if type(weight) not in (int, float) or not 0 <= weight <= 1:
        raise InputError(f"{LIST} holds a weight of {str(weight)[:80]}, expected 0 to 1.")
    return Listed(**{**entry, "weight": float(weight)})


def _match(entry: Mapping[str, Any], key: str, pattern: re.Pattern[str]) -> None:
    if not isinstance(entry[key], str) or not pattern.fullmatch(entry[key]):
        raise InputError(f"{LIST} holds the {key} {str(entry[key])[:80]!r}, expected {pattern.pattern}.")


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and len(value) <= LONGEST_TEXT and value.isprintable()


def check_support(support: SupportSet) -> None:
    """Refuse a support that can be read, and yet is not that of a study in a library.

    Raises:
        InputError: naming the first part that is not.
    """
    labels, places = support.labels, [origin.slice_index for origin in support.origins]
    fitting = {
        "images": support.images.dtype == torch.float32 and support.images.shape[-1] <= MOST_PIXELS,
        "labels": len(labels) <= MOST_LABELS
        and all(_is_text(name) and name.strip() and name != "background" for name in labels),
        "components": labels.keys() == support.components.keys(),
        "masks": bool(support.masks.any()),
        "origins": len(set(places)) == len(places),
    }
    for part, fits in fitting.items():
        if not fits:
            raise InputError(f"its {part} cannot be those of a support.")
