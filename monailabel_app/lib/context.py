"""The objects that the models, strategies and scores of the app share."""

from __future__ import annotations

from dataclasses import dataclass

from monailabel.datastore.local import LocalDatastore

from lib.background import Traffic
from lib.engine import Engine
from lib.library.agreements import Agreements
from lib.library.record import Record, RecordFile
from lib.options import Options
from lib.studies import FinalLabel, final_labels, series_kind_of
from protoseg.data.support.label_registry import LabelRegistry
from protoseg.data.support.library import LabelledScan, LibraryState, SavedSupport, SupportLibrary
from protoseg.errors import InputError

__all__ = ["Context"]


@dataclass(frozen=True)
class Context:
    """Engine, studies, and the labels in them."""

    options: Options
    engine: Engine
    datastore: LocalDatastore
    registry: LabelRegistry
    library: SupportLibrary
    record: RecordFile
    traffic: Traffic
    agreements: Agreements

    def final_labels(self, record: Record | None = None) -> list[FinalLabel]:
        """List the studies with a final label, as they are now, including those switched off."""
        return final_labels(self.datastore, self.options.label_names, record or self.record.read())

    def scans(self) -> list[LabelledScan]:
        """List the scans with a final label that serve."""
        return [label.scan for label in self.final_labels() if label.scan.enabled and label.scan.weight]

    def imported(self, record: Record) -> list[SavedSupport]:
        """List the supports that came from elsewhere, in the record's order."""
        folder = self.record.file.parent / "imported"
        return [
            SavedSupport(
                one.scan,
                folder / f"{one.id}.safetensors",
                record.is_enabled(one.id, one.id),
                one.provenance.get("series", ""),
                record.weight(one.id, one.id),
            )
            for one in record.imported
        ]

    def all_examples(self) -> list[LabelledScan | SavedSupport]:
        """List the scans with a final label and the supports that came from elsewhere, whether they serve or not."""
        record = self.record.read()
        return [*(label.scan for label in self.final_labels(record)), *self.imported(record)]

    def check_examples(self) -> None:
        """Compare each example with the others, unless that was done before."""
        self.agreements.update(self.all_examples(), self.engine.encoder())

    def labelled(self, image: str = "") -> LibraryState:
        """Give the support of the examples that fit the kind of an image's series; of all of them if none is named."""
        scans = self.all_examples()
        kind = series_kind_of(self.datastore, image) if image else ""
        return self.library.update(scans, self.engine.encoder(), kind)

    def support(self, image: str = "") -> LibraryState:
        """Give the same as `labelled`, which must hold a support.

        Raises:
            InputError: nothing is labelled yet.
        """
        state = self.labelled(image)
        if state.support is None:
            why = "".join(f" The labels of {scan} are not used: {problem}" for scan, problem in state.problems.items())
            raise InputError(
                "Nothing is labelled yet. Draw a structure on a slice of any image, or click on it with a click model, "
                f"and submit the label; then this model finds it in every image.{why}"
            )
        return state
