"""What users decided about examples: which are switched off, have what weight, were removed, or came from
elsewhere.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from filelock import FileLock

from protoseg.errors import InputError
from protoseg.files import write_errors, write_json
from protoseg.ops.hashing import fingerprint

__all__ = ["Imported", "Record", "RecordFile", "Removal", "study_id"]


def study_id(study: str) -> str:
    """Give the digits by which the example of a study is known; a name may be anything, also `..`."""
    return fingerprint("study", study)


@dataclass(frozen=True)
class Imported:
    """An example that was made elsewhere."""

    id: str  # digits of its content; also the name of its file
    study: str  # its name there
    by: str  # who labelled it
    at: str  # when; empty where nobody said
    provenance: Mapping[str, str]

    @property
    def scan(self) -> str:
        """Its name among the scans: one that no scan of this server has."""
        return f"{self.study} (imported {self.id[:8]})"


@dataclass(frozen=True)
class Removal:
    """An example that was removed, and can be restored."""

    id: str  # of the removal
    example: str
    study: str
    labels: tuple[str, ...]
    by: str  # who removed it
    at: str
    version: str = ""  # of a label that stays on a DICOM server and is passed over
    imported: Imported | None = None


@dataclass(frozen=True)
class Record:
    """All decisions."""

    disabled: Mapping[str, str] = field(default_factory=dict)  # example -> version of its label
    removed: tuple[Removal, ...] = ()
    imported: tuple[Imported, ...] = ()
    weights: Mapping[str, tuple[str, float]] = field(default_factory=dict)  # example -> version of its label, weight

    def weight(self, example: str, version: str) -> float:
        """Tell the weight of an example; of one whose label was submitted anew since it was given, 1."""
        of, weight = self.weights.get(example, (version, 1.0))
        return weight if of == version else 1.0

    def weighted(self, example: str, version: str, weight: float) -> Record:
        """Give an example a weight."""
        others = {key: value for key, value in self.weights.items() if key != example}
        return replace(self, weights=others if weight == 1 else {**others, example: (version, weight)})

    def is_enabled(self, example: str, version: str) -> bool:
        """Tell whether an example serves; one whose label was submitted anew since it was switched off does."""
        return self.disabled.get(example) != version

    def is_passed_over(self, example: str, version: str) -> bool:
        """Tell whether a label that is still there was removed from the library."""
        return any(one.version == version and one.example == example for one in self.removed if one.version)

    def switched(self, example: str, version: str, *, enabled: bool) -> Record:
        """Switch an example on or off."""
        others = {key: value for key, value in self.disabled.items() if key != example}
        return replace(self, disabled=others if enabled else {**others, example: version})


class RecordFile:
    """Keeps a record on disk. Safe between threads and between processes.

    Args:
        file: path of a JSON file, written when something changes for the first time.
    """

    def __init__(self, file: Path) -> None:
        self.file = file

    def read(self) -> Record:
        """Read the record as it is now.

        Raises:
            InputError: the file is damaged. Nothing is assumed then: what was switched off might serve again.
        """
        try:
            return _record(json.loads(self.file.read_text(encoding="utf-8")))
        except FileNotFoundError:
            return Record()
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise InputError(
                f"{self.file.name}, which says what is switched off in the library, is damaged ({error}). Restore it, "
                "or remove it to switch everything on."
            ) from error

    def change(self, to: Callable[[Record], Record]) -> Record:
        """Replace the record by what a function makes of it, while no one else changes it."""
        self.file.parent.mkdir(parents=True, exist_ok=True)
        with write_errors(self.file), FileLock(self.file.with_suffix(".lock")):
            record = to(self.read())
            write_json(self.file, asdict(record))
        return record


def _record(content: Mapping[str, Any]) -> Record:
    removed = (
        Removal(**{**one, "labels": tuple(one["labels"]), "imported": one["imported"] and Imported(**one["imported"])})
        for one in content["removed"]
    )
    imported = (Imported(**one) for one in content["imported"])
    weights = {key: (str(version), float(weight)) for key, (version, weight) in content.get("weights", {}).items()}
    return Record(dict(content["disabled"]), tuple(removed), tuple(imported), weights)
