"""Seconds of a piece of work by stage: each function is charged for its own time."""

from __future__ import annotations

import functools
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import import_module
from typing import Any

__all__ = ["REST", "SEGMENTATION", "Stages"]

REST = "rest"
# Stage, and its functions; names missing from an older commit are passed over.
SEGMENTATION: tuple[tuple[str, str, str], ...] = (
    ("reading", "protoseg.data.preprocessing.steps", "read_volume"),
    ("preparing", "protoseg.api", "prepare_scan"),
    ("encoding", "protoseg.networks.frozen", "FrozenEncoder.encode_alike"),
    ("input", "protoseg.engine.feature_cache", "FeatureCache.encode_slices"),
    ("matching", "protoseg.engine.matched_volume", "MatchedVolume.__init__"),
    ("matching", "protoseg.engine.matched_volume", "MatchedVolume.match"),
    ("matching", "protoseg.engine.matched_volume", "MatchedVolume.decide"),
    ("matching", "protoseg.engine.matched_volume", "MatchedVolume.keep_components"),
    ("graph cut", "protoseg.engine.refiners.competing", "CompetingRefiner.refine"),
    ("estimate", "protoseg.engine.matched_volume", "MatchedVolume._cues"),
    ("writing", "protoseg.segmentation", "Segmentation.save"),
    ("writing", "protoseg.data.io.source_grid", "SourceGrid.label_map"),
)


class Stages:
    """A stopwatch with a hand for each stage, of which one runs at a time: an inner stage stops the outer one."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = defaultdict(float)
        self._within: list[str] = [REST]
        self._since = time.perf_counter()

    def watch(self, functions: tuple[tuple[str, str, str], ...] = SEGMENTATION) -> None:
        """Charge the time of functions, named by module and name, to stages from now on."""
        for stage, module, name in functions:
            try:
                owner: Any = import_module(module)
                *path, attribute = name.split(".")
                for part in path:
                    owner = getattr(owner, part)
                setattr(owner, attribute, self._watched(stage, getattr(owner, attribute)))
            except (ImportError, AttributeError):
                continue

    def start(self) -> None:
        """Set all hands to 0."""
        self.seconds.clear()
        self._since = time.perf_counter()

    def stop(self) -> dict[str, float]:
        """Give the seconds of each stage, and the others under `REST`."""
        self._turn()
        return dict(self.seconds)

    @contextmanager
    def within(self, stage: str) -> Iterator[None]:
        """Charge a block to a stage."""
        self._turn()
        self._within.append(stage)
        try:
            yield
        finally:
            self._turn()
            self._within.pop()

    def _turn(self) -> None:
        now = time.perf_counter()
        self.seconds[self._within[-1]] += now - self._since
        self._since = now

    def _watched(self, stage: str, function: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(function)
        def watched(*args: Any, **kwargs: Any) -> Any:
            with self.within(stage):
                return function(*args, **kwargs)

        return watched
