"""The library: every example that was labelled here or came from elsewhere, to be listed, switched and removed."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from monailabel.interfaces.datastore import DefaultLabelTag

from lib.context import Context
from lib.library.record import Imported, Record, Removal
from lib.library.sketch import Sketch, Sketches
from lib.server.dicom_datastore import DicomDatastore
from lib.server.folder_datastore import FolderDatastore
from lib.server.users import UNKNOWN
from lib.studies import FinalLabel
from lib.times import utc, utc_now
from protoseg.data.support.library import LabelledScan, SavedSupport
from protoseg.engine.agreement import Agreement
from protoseg.engine.support import SupportSet
from protoseg.errors import InputError

__all__ = ["Example", "Examples"]

FINAL = DefaultLabelTag.FINAL.value


@dataclass(frozen=True)
class Example:
    """One labelled study, or one support that was imported."""

    id: str
    study: str
    source: LabelledScan | SavedSupport
    version: str  # of its label
    by: str
    at: str  # UTC; empty where nobody knows
    provenance: Mapping[str, str]
    sketch: Sketch | None  # None where its files cannot be used
    problem: str  # why it is of no use; or empty
    serving: tuple[int, ...]  # slices that segment other studies now
    patient: str = ""  # on a DICOM server, whose names of studies tell nothing; it is not exported
    agreements: Mapping[str, Agreement] = field(default_factory=dict)  # with the others, by label, as far as known

    @property
    def enabled(self) -> bool:
        """Whether it is switched on."""
        return self.source.enabled

    @property
    def weight(self) -> float:
        """By which its votes are multiplied, 0 to 1."""
        return self.source.weight


class Examples:
    """All examples of the server. Safe between threads.

    Args:
        context: context of the app.
        folder: folder for the labels of removed examples.
    """

    def __init__(self, context: Context, folder: Path) -> None:
        self.context = context
        self.folder = folder
        self._sketches = Sketches()

    def listed(self) -> list[Example]:
        """List all examples: those of studies by name, then those that were imported."""
        record = self.context.record.read()
        labels = self.context.final_labels(record)
        imported = zip(record.imported, self.context.imported(record), strict=True)
        return [*map(self._of_study, labels), *(self._of_import(one, source) for one, source in imported)]

    def find(self, example_id: str) -> Example | None:
        """Find the example of an id; None if there is none."""
        record = self.context.record.read()
        for one, source in zip(record.imported, self.context.imported(record), strict=True):
            if one.id == example_id:
                return self._of_import(one, source)
        found = [label for label in self.context.final_labels(record) if label.id == example_id]
        return self._of_study(found[0]) if found else None

    def removed(self) -> tuple[Removal, ...]:
        """List what was removed and can be restored, the last one first."""
        return self.context.record.read().removed[::-1]

    def support(self, example: Example) -> SupportSet:
        """Read the slices of an example.

        Raises:
            InputError: its files cannot be used.
        """
        return self.context.library.support_of(example.source, self.context.engine.encoder())

    def switch(self, example: Example, *, enabled: bool) -> None:
        """Let an example serve, or no longer."""
        self.context.record.change(lambda record: record.switched(example.id, example.version, enabled=enabled))

    def weigh(self, example: Example, weight: float) -> None:
        """Give an example a weight, 0 to 1, by which its votes are multiplied."""
        self.context.record.change(lambda record: record.weighted(example.id, example.version, weight))

    def remove(self, example: Example, by: str) -> Removal:
        """Take an example out of the library, such that it can be restored.

        In a folder of studies the label is moved into the app's own folder. A DICOM server cannot delete by DICOMweb:
        its segmentation stays there and is passed over from now on.
        """
        labels = tuple(example.sketch.labels) if example.sketch else ()
        removal = Removal(uuid.uuid4().hex[:16], example.id, example.study, labels, by, utc_now())
        if isinstance(example.source, SavedSupport):
            self.context.record.change(lambda record: _without_import(record, removal))
            return removal
        if isinstance(self.context.datastore, DicomDatastore):
            removal = replace(removal, version=example.version)
        # Written down first, so that nothing is set aside that nobody knows of.
        self.context.record.change(lambda record: replace(record, removed=(*record.removed, removal)))
        if not removal.version:
            try:
                self._folder_of_studies().set_label_aside(example.study, FINAL, self.folder / removal.id)
            except BaseException:
                self.context.record.change(lambda record: _restored(record, removal))
                raise
        return removal

    def restore(self, removal: Removal) -> None:
        """Put an example back that was removed.

        Raises:
            ImageNotFoundException: its study is gone.
            LabelNotFoundException: it was restored by someone else.
            InputError: its study was labelled again.
        """
        if removal.imported is None and not removal.version:
            self._folder_of_studies().put_label_back(self.folder / removal.id)
        self.context.record.change(lambda record: _restored(record, removal))

    def _folder_of_studies(self) -> FolderDatastore:
        assert isinstance(self.context.datastore, FolderDatastore)
        return self.context.datastore

    def _of_study(self, label: FinalLabel) -> Example:
        info, scan = label.info, label.scan
        at = utc(info["ts"]) if isinstance(info.get("ts"), int) else ""
        provenance = {"kind": "study", "file": Path(scan.label).name}
        provenance |= {key: str(info[key]) for key in ("StudyInstanceUID", "SeriesInstanceUID") if info.get(key)}
        provenance |= {"series": scan.kind} if scan.kind else {}
        by = str(info.get("user") or UNKNOWN)
        patient = str(info.get("PatientID") or "")
        bare = Example(label.id, scan.scan, scan, label.version, by, at, provenance, None, "", (), patient)
        return self._example(bare)

    def _of_import(self, one: Imported, source: SavedSupport) -> Example:
        provenance = {"kind": "import", **one.provenance}
        return self._example(Example(one.id, one.study, source, one.id, one.by, one.at, provenance, None, "", ()))

    def _example(self, bare: Example) -> Example:
        source, library = bare.source, self.context.library
        try:
            sketch = self._sketches.get(library.support_file(source), lambda: self.support(bare))
        except InputError as error:
            folders = {f"{Path(file).parent}/" for file in _files(source)}
            problem = str(error)
            for folder in folders:  # are no client's business
                problem = problem.replace(folder, "")
            return replace(bare, problem=problem)
        origins = (origin for support in library.state.supports for origin in support.origins)
        serving = tuple(origin.slice_index for origin in origins if origin.scan == source.scan)
        agreements = self.context.agreements.of(source)
        serving = serving if bare.enabled and source.weight else ()
        return replace(bare, sketch=sketch, serving=serving, agreements=agreements)


def _files(source: LabelledScan | SavedSupport) -> tuple[str | Path, ...]:
    return (source.file,) if isinstance(source, SavedSupport) else (source.image, source.label)


def _without_import(record: Record, removal: Removal) -> Record:
    mine = next((one for one in record.imported if one.id == removal.example), None)
    if mine is None:  # someone else removed it in the meantime
        return record
    left = tuple(one for one in record.imported if one.id != removal.example)
    return replace(record, imported=left, removed=(*record.removed, replace(removal, imported=mine)))


def _restored(record: Record, removal: Removal) -> Record:
    left = tuple(one for one in record.removed if one.id != removal.id)
    back = removal.imported
    if back is None or len(left) == len(record.removed) or back.id in {one.id for one in record.imported}:
        return replace(record, removed=left)
    return replace(record, removed=left, imported=(*record.imported, back))
