"""What the examples say of each other's labels, found when nobody waits for anything."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from threading import Lock

from lib.background import Traffic
from protoseg.data.support.library import LabelledScan, SavedSupport, SupportLibrary
from protoseg.engine.agreement import Agreement, Found, compare, doubts_by_label, judge
from protoseg.engine.slice_encoder import SliceEncoder
from protoseg.errors import InputError

__all__ = ["Agreements"]

logger = logging.getLogger(__name__)

Example = LabelledScan | SavedSupport


class Agreements:
    """Holds the labels of each example against what the others that serve find. Safe between threads.

    Args:
        library: library of the examples.
        traffic: traffic of the server; clients go first.
    """

    def __init__(self, library: SupportLibrary, traffic: Traffic) -> None:
        self.library, self.traffic = library, traffic
        self._found: dict[tuple[str, str], dict[str, Found]] = {}  # by file of the example, and key of what serves
        self._known: Mapping[str, Mapping[str, Agreement]] = {}  # by file of the example
        self._doubts: Mapping[str, Sequence[str]] = {}
        self._updating = Lock()

    def of(self, example: Example) -> Mapping[str, Agreement]:
        """Tell by label what the others say of an example; nothing as long as it is not known."""
        return self._known.get(self.library.support_file(example).name, {})

    @property
    def doubts(self) -> Mapping[str, Sequence[str]]:
        """What speaks against examples that serve, by label."""
        return self._doubts

    def update(self, examples: Sequence[Example], encoder: SliceEncoder) -> None:
        """Judge the examples of which nothing is known, or that others serve beside now.

        Args:
            examples: all there are; those that are switched off are judged by the others, too.
            encoder: encoder of the server.

        Raises:
            Closing: the server ends.
        """
        with self._updating:
            files = {example.scan: self.library.support_file(example).name for example in examples}
            found: dict[tuple[str, str], dict[str, Found]] = {}
            for example in examples:
                self.traffic.wait_until_none()
                key = (files[example.scan], self.library.update(examples, encoder, example.kind).key)
                found[key] = self._found[key] if key in self._found else self._judged(example, examples, encoder)
            self._found = found
            agreements = compare({file: mine for (file, _), mine in found.items()})
            serving = {
                example.scan: agreements.get(files[example.scan], {}) for example in examples if _serves(example)
            }
            self._known, self._doubts = agreements, doubts_by_label(serving)

    def _judged(self, example: Example, examples: Sequence[Example], encoder: SliceEncoder) -> dict[str, Found]:
        try:
            support = self.library.support_of(example, encoder)
        except InputError:  # the library says so
            return {}
        serving = self.library.update(examples, encoder, example.kind).in_plane(support.slice_axes).support
        others = [] if serving is None else [k for k, o in enumerate(serving.origins) if o.scan != example.scan]
        if serving is None or not others:
            return {}
        return judge(support, serving.take(others), encoder)


def _serves(example: Example) -> bool:
    return example.enabled and bool(example.weight)
