"""The index of a suite: sets of labelled scans, and the pairs of support and query among them.

Example::

    [{"name": "kidneys", "modality": "MR", "region": "abdomen", "labels": {"kidney": 1},
      "pairs": [{"image": "a.nii.gz", "label": "a_labels.nii.gz"}, {"image": "b.nii.gz", "label": "b_labels.nii.gz"}]}]
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatch
from itertools import permutations
from pathlib import Path
from typing import Any

from protoseg.data.io.volumes import query_id
from protoseg.errors import InputError
from protoseg.labels import LabelSet

__all__ = ["LabelledScan", "ScanPair", "ScanSet", "read_index"]

Fields = Mapping[str, Any]
FACTS = ("modality", "region", "dim")  # facts that sets are grouped by


@dataclass(frozen=True)
class LabelledScan:
    """A scan and its label map."""

    image: Path
    label: Path
    name: str  # the image's path as the index has it
    read_as: str = "auto"  # modality for the preprocessing
    subject: str | None = None


@dataclass(frozen=True)
class ScanPair:
    """A scan to segment, and the labelled scans of other people to segment it from."""

    set_name: str
    labels: LabelSet  # with their values in all label maps
    supports: tuple[LabelledScan, ...]
    query: LabelledScan

    @property
    def support_name(self) -> str:
        """Names of the supports in one text."""
        return "; ".join(scan.name for scan in self.supports)

    @property
    def file(self) -> Path:
        """Path of the pair's results in a folder, without suffix; it is unique in an index."""
        identity = f"{self.set_name} {self.support_name} {self.query.name}"
        digest = hashlib.sha256(identity.encode()).hexdigest()[:8]
        return Path(_file_name(self.set_name)) / f"{_file_name(query_id(self.query.name))}_{digest}"

    def __str__(self) -> str:
        return f"{self.set_name}: {self.support_name} -> {self.query.name}"


@dataclass(frozen=True)
class ScanSet:
    """Pairs of one kind of scans."""

    name: str
    facts: Mapping[str, str]  # "modality", "region" and "dim", empty where the index says nothing
    pairs: tuple[ScanPair, ...]


def read_index(path: str | Path, *, only: Sequence[str] = (), limit: int | None = None) -> list[ScanSet]:
    """Read an index; `bundle/docs/suite.md` describes its format.

    Args:
        path: path of the JSON file, from whose folder relative paths start.
        only: names of the sets to take, or patterns such as "chest*"; by default all.
        limit: largest number of pairs of each set, spread evenly over its list; by default all.

    Raises:
        InputError: the file cannot be read or parsed, no set has such a name, or the limit is below 1. Scans are read,
            and refused, only later.
    """
    path = Path(path)
    if limit is not None and limit < 1:
        raise InputError(f"--limit is {limit}; it must be at least 1 pair of each set.")
    sets = [_read_set(entry, path, number) for number, entry in enumerate(_entries(path))]
    names = [one.name for one in sets]
    if len(set(names)) < len(names):
        twice = sorted({name for name in names if names.count(name) > 1})
        raise InputError(f"{path}: several sets are named {', '.join(twice)}. Give each a name of its own.")
    for pattern in only:
        if not any(fnmatch(name, pattern) for name in names):
            raise InputError(f"{path} has no set {pattern!r}; its sets are {', '.join(names)}. Correct --only.")
    chosen = [one for one in sets if not only or any(fnmatch(one.name, pattern) for pattern in only)]
    return [ScanSet(one.name, one.facts, _spread(one.pairs, limit)) for one in chosen]


def _entries(path: Path) -> list[Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"{path} cannot be opened. Give the JSON file that lists the sets.") from error
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path} is not a JSON file: {error}. Correct it.") from error
    if not isinstance(content, list) or not content:
        raise InputError(
            f"{path}: found {_kind(content)}, expected a list of sets. See bundle/docs/suite.md for the format."
        )
    return content


def _read_set(entry: Any, path: Path, number: int) -> ScanSet:
    if not isinstance(entry, dict) or not isinstance(entry.get("name"), str) or not entry["name"]:
        raise InputError(f'{path}: set {number} has no name. Add one, like "name": "kidneys".')
    name, place = entry["name"], f"{path}: {entry['name']}"
    labels = LabelSet.parse(entry.get("labels"), f"{place}: labels")
    pairs = tuple(ScanPair(name, labels, *pair) for pair in _pairs(entry, path.parent, place))
    files = [pair.file for pair in pairs]
    for pair in pairs:
        if any(scan.image == pair.query.image for scan in pair.supports):
            raise InputError(f"{place}: {pair.query.name} is to be segmented from itself. Choose another support.")
        if files.count(pair.file) > 1:
            raise InputError(f"{place}: {pair.support_name} -> {pair.query.name} is listed twice. List it once.")
    return ScanSet(name, {fact: str(entry.get(fact) or "") for fact in FACTS}, pairs)


def _pairs(entry: Fields, folder: Path, place: str) -> list[tuple[tuple[LabelledScan, ...], LabelledScan]]:
    """List supports and query of each pair: as listed under "todo", or else every two scans of different subjects."""
    for key in ("todo", "pairs"):
        if not isinstance(entry.get(key) or [], list):
            raise InputError(f"{place}: found {_kind(entry[key])} under {key!r}, expected a list. Correct it.")
    if entry.get("todo"):
        return [_listed_pair(pair, entry, folder, f"{place}: todo[{k}]") for k, pair in enumerate(entry["todo"])]
    listed = enumerate(entry.get("pairs") or [])
    scans = [_scan(fields, entry, folder, f"{place}: pairs[{k}]") for k, fields in listed]
    pairs: list[tuple[tuple[LabelledScan, ...], LabelledScan]] = [
        ((support,), query)
        for support, query in permutations(scans, 2)
        if query.subject is None or support.subject != query.subject
    ]
    if not pairs:
        raise InputError(
            f'{place}: there is nothing to segment. List at least two scans of two subjects under "pairs", or pairs '
            'of a support and a query under "todo".'
        )
    return pairs


def _listed_pair(pair: Any, entry: Fields, folder: Path, place: str) -> tuple[tuple[LabelledScan, ...], LabelledScan]:
    if not isinstance(pair, list) or len(pair) != 2 or not pair[0]:
        raise InputError(f"{place}: found {_kind(pair)}, expected [support, query] or [[support, ...], query].")
    supports = pair[0] if isinstance(pair[0], list) else [pair[0]]
    scans = tuple(_scan(fields, entry, folder, f"{place}, support") for fields in supports)
    return scans, _scan(pair[1], entry, folder, f"{place}, query")


def _scan(fields: Any, entry: Fields, folder: Path, place: str) -> LabelledScan:
    if not isinstance(fields, dict) or not all(isinstance(fields.get(key), str) for key in ("image", "label")):
        raise InputError(
            f'{place}: found {_kind(fields)}, expected {{"image": "a.nii.gz", "label": "a_labels.nii.gz"}}. Correct it.'
        )
    read_as = fields.get("read_as") or entry.get("read_as") or "auto"
    if not isinstance(read_as, str):
        raise InputError(f'{place}: found "read_as": {_kind(read_as)}, expected a modality such as "ct". Correct it.')
    return LabelledScan(
        image=folder / fields["image"],
        label=folder / fields["label"],
        name=fields["image"],
        read_as=read_as,
        subject=fields.get("subject"),
    )


def _spread(pairs: tuple[ScanPair, ...], limit: int | None) -> tuple[ScanPair, ...]:
    if limit is None or len(pairs) <= limit:
        return pairs
    return tuple(pairs[int(index * len(pairs) / limit)] for index in range(limit))


def _file_name(text: str) -> str:
    return "".join(letter if letter.isalnum() or letter in "-_." else "_" for letter in text).lstrip(".") or "_"


def _kind(found: Any) -> str:
    text = json.dumps(found)
    return text if len(text) < 80 else f"a {type(found).__name__}"
