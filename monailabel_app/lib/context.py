"""What the models, strategies and scores of the app share."""

from __future__ import annotations

from dataclasses import dataclass

from monailabel.datastore.local import LocalDatastore

from lib.background import Traffic
from lib.engine import Engine
from lib.options import Options
from lib.studies import labelled_scans
from protoseg.data.support.label_registry import LabelRegistry
from protoseg.data.support.library import LabelledScan, LibraryState, SupportLibrary
from protoseg.errors import InputError

__all__ = ["Context"]


@dataclass(frozen=True)
class Context:
    """Engine, studies, and what was labelled in them."""

    options: Options
    engine: Engine
    datastore: LocalDatastore
    registry: LabelRegistry
    library: SupportLibrary
    traffic: Traffic

    def scans(self) -> list[LabelledScan]:
        """The scans with a final label, as they are now."""
        return labelled_scans(self.datastore, self.options.label_names)

    def labelled(self) -> LibraryState:
        """The support of all of them."""
        return self.library.update(self.scans(), self.engine.encoder())

    def support(self) -> LibraryState:
        """The same, where there has to be a support.

        Raises:
            InputError: nothing is labelled yet.
        """
        state = self.labelled()
        if state.support is None:
            why = "".join(f" The labels of {scan} are not used: {problem}" for scan, problem in state.problems.items())
            raise InputError(
                "Nothing is labelled yet. Draw a structure on a slice of any image, or click on it with a click model, "
                f"and submit the label; then this model finds it in every image.{why}"
            )
        return state
