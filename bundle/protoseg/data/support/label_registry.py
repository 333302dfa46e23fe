"""Values of label names that come up one after another, kept in a file."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

from filelock import FileLock

from protoseg.errors import InputError
from protoseg.files import write_errors, write_json
from protoseg.labels import LabelSet

__all__ = ["LabelRegistry"]

MOST_LABELS = 254  # viewers keep 255 for themselves


class LabelRegistry:
    """Gives every label name a permanent value.

    A viewer asks for the values only once; if they changed, it would show a liver as a spleen. Safe
    between threads and between processes.

    Args:
        file: path of a JSON file, written when a new name comes up.
    """

    def __init__(self, file: str | Path) -> None:
        self.file = Path(file)

    def values(self, names: Iterable[str]) -> LabelSet:
        """Give the labels of some names, sorted by value; new names get the next values.

        Raises:
            InputError: there would be more than 254 labels.
        """
        wanted = list(dict.fromkeys(names))
        known = self._read()  # every time, because other processes of the server name labels, too
        if not known.keys() >= set(wanted):
            known = self._with_new(wanted)
        return LabelSet({name: value for name, value in known.items() if name in wanted})

    def _with_new(self, wanted: list[str]) -> dict[str, int]:
        self.file.parent.mkdir(parents=True, exist_ok=True)
        with write_errors(self.file), FileLock(self.file.with_suffix(".lock")):
            known = self._read()
            new = [name for name in wanted if name not in known]
            if len(known) + len(new) > MOST_LABELS:
                raise InputError(
                    f"{self.file}: there are {len(known)} labels and {len(new)} new ones, such as '{new[0]}'; at most "
                    f"{MOST_LABELS} are possible. Use names that are there, or start with another folder of studies."
                )
            known.update({name: len(known) + place for place, name in enumerate(new, start=1)})
            write_json(self.file, known)
        return known

    def _read(self) -> dict[str, int]:
        try:
            return json.loads(self.file.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return {}
