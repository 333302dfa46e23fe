"""Submitted labels of a study, as clients see them: versions, what changed from one to the other, undo and redo."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from monailabel.interfaces.datastore import DefaultLabelTag

from lib.server.folder_datastore import FolderDatastore
from lib.server.label_versions import LabelVersion, count_voxels, names_of
from lib.server.submissions import StaleLabelError
from lib.server.users import UNKNOWN
from lib.times import utc
from protoseg.errors import InputError

__all__ = ["Submits"]

FINAL = DefaultLabelTag.FINAL.value
Conflict = dict[str, Any]


@dataclass(frozen=True)
class Submits:
    """All versions of the labels of the studies.

    Args:
        datastore: datastore of the studies.
        label_names: label names by value, for label maps that came without names.
    """

    datastore: FolderDatastore
    label_names: Mapping[str, str] | None = None

    def versions(self, image: str) -> list[LabelVersion]:
        """List all versions of the label of an image, the newest first."""
        current = self.datastore.label_version(image)
        kept = [one for one in self.datastore.versions.of(image) if current is None or one.version != current.version]
        return [*([current] if current else []), *reversed(kept)]

    def find(self, image: str, version: str) -> LabelVersion | None:
        """Find one version; None where there is none."""
        return self.datastore.label_version(image, version) if version else None

    def describe(self, label: LabelVersion) -> dict[str, Any]:
        """Describe a version: who made it, when, and how large its labels are."""
        info, at = label.info, label.info.get("ts")
        return {
            "version": label.version,
            "state": label.state,
            "by": str(info.get("user") or UNKNOWN),
            "at": utc(at) if isinstance(at, int) else "",
            "labels": self._voxels(label),
            "values": {name: int(value) for value, name in self._names(label).items()},
            "replaces": label.replaces or "",
            "restored_from": str(info.get("restored_from") or ""),
        }

    def conflict(self, image: str, error: StaleLabelError) -> Conflict:
        """Tell why a label is refused: which one is there now, and what it changed."""
        refused, drawn_on = (self.find(image, version) for version in (error.refused, error.drawn_on))
        counts = [self._voxels(one) if one else {} for one in (drawn_on, error.current, refused)]
        changes = []
        for name in sorted({name for count in counts for name in count}):
            drawn, current, yours = (count.get(name, 0) for count in counts)
            if not drawn == current == yours:
                changes.append({"label": name, "drawn_on": drawn, "current": current, "yours": yours})
        return {
            "detail": str(error),
            "current": self.describe(error.current) if error.current else None,
            "refused": self.describe(refused) if refused else None,
            "changes": changes,
        }

    def outcome(self, image: str, version: str, *, knowing: bool) -> dict[str, Any]:
        """Describe a stored label: its version, and the one that it replaced.

        Args:
            image: name of the image.
            version: version of the label.
            knowing: True if the client said which version it was drawn on.
        """
        stored = self.find(image, version)
        replaced = self.datastore.versions.find(image, (stored.replaces if stored else "") or "")
        if replaced is None:
            return {"version": version, "replaced": None}
        told = self.describe(replaced)
        answer = {"version": version, "replaced": told}
        if not knowing:
            when = f" of {told['at']}" if told["at"] else ""
            answer["message"] = f"This replaced the label by {told['by']}{when}, which is kept and can be restored."
        return answer

    def can_undo(self, image: str) -> bool:
        """Tell whether the last submit can be undone."""
        current = self.datastore.label_version(image)
        if current is None or current.replaces is None:
            return False
        return not current.replaces or self.datastore.versions.find(image, current.replaces) is not None

    def can_redo(self, image: str) -> bool:
        """Tell whether a submit that was undone can be redone."""
        return self._next(image, self.datastore.label_version(image)) is not None

    def undo(self, image: str, version: str | None) -> bool | Conflict:
        """Put the label before the last submit in its place.

        Args:
            image: name of the image.
            version: version to undo; None for the present one.

        Returns:
            True if there was anything to undo; or the conflict, if the present label is another.

        Raises:
            InputError: the label before it is no longer kept; or on a DICOM server, there was none.
        """
        current = self.datastore.label_version(image)
        if current is None or current.replaces is None:
            return False
        meant = {"moved": "undone", "drawn_on": current.version if version is None else version}
        if not current.replaces:
            try:
                self.datastore.undo_first_label(image, meant)
            except StaleLabelError as error:
                return self.conflict(image, error)
            return True
        before = self.datastore.versions.find(image, current.replaces)
        if before is None:
            raise InputError(f"The label of {image} before the last one is no longer kept.")
        return self._save(before, {"version": before.version, **meant})

    def redo(self, image: str, version: str | None) -> bool | Conflict:
        """Put the label that was undone last in its place again; see `undo`."""
        current = self.datastore.label_version(image)
        after = self._next(image, current)
        if after is None:
            return False
        there = current.version if current else ""
        drawn_on = there if version is None else version
        return self._save(after, {"version": after.version, "moved": "redone", "drawn_on": drawn_on})

    def restore(self, label: LabelVersion, by: str) -> bool | Conflict:
        """Submit a version once more, as a new one; its author stays."""
        return self._save(label, {"restored_from": label.version, "restored_by": by})

    def _save(self, label: LabelVersion, more: Mapping[str, Any]) -> bool | Conflict:
        with tempfile.TemporaryDirectory() as folder:
            copy = Path(folder) / f"label{label.ext}"
            shutil.copy(label.file, copy)
            try:
                self.datastore.save_label(label.image, str(copy), FINAL, {**label.info, "version": "", **more})
            except StaleLabelError as error:
                return self.conflict(label.image, error)
        return True

    def _next(self, image: str, current: LabelVersion | None) -> LabelVersion | None:
        """Find the version that was undone last, of those that came after the present one."""
        there = current.version if current else ""
        undone = [one for one in self.datastore.versions.of(image) if one.state == "undone" and one.replaces == there]
        return undone[-1] if undone else None

    def _voxels(self, label: LabelVersion) -> dict[str, int]:
        """Count the voxels by label name."""
        names = self._names(label)
        return {names[value]: count for value, count in count_voxels(label).items()}

    def _names(self, label: LabelVersion) -> dict[str, str]:
        """Give the names of the values that are present."""
        return names_of(label, count_voxels(label), self.label_names)
