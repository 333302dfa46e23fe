"""Sketches of supports for lists, without their slices."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from threading import Lock

from cachetools import LRUCache

from protoseg.engine.slice_axes import Plane, plane_of
from protoseg.engine.support import SupportSet

__all__ = ["Sketch", "Sketches"]

MOST_SKETCHES = 4096


@dataclass(frozen=True)
class Sketch:
    """Labels and slices of a support."""

    labels: Mapping[str, tuple[int, ...]]  # name -> the slices that show it
    slices: tuple[int, ...]
    plane: Plane
    preprocessing: str
    pixels: int  # edge of a slice


class Sketches:
    """Sketches by the files of their supports, which are read once. Safe between threads."""

    def __init__(self) -> None:
        self._known: LRUCache[Path, Sketch] = LRUCache(MOST_SKETCHES)
        self._lock = Lock()

    def get(self, file: Path, read: Callable[[], SupportSet]) -> Sketch:
        """Give the sketch of a support, which is read if it is not known.

        Raises:
            InputError: as in reading.
        """
        with self._lock:
            sketch = self._known.get(file)
        if sketch is None:
            sketch = _sketch(read())
            with self._lock:
                self._known[file] = sketch
        return sketch


def _sketch(support: SupportSet) -> Sketch:
    slices = [origin.slice_index for origin in support.origins]
    shown = {
        name: tuple(index for index, mask in zip(slices, support.masks) if (mask == number).any())
        for number, name in enumerate(support.labels, start=1)
    }
    plane = plane_of(support.slice_axes)
    return Sketch(shown, tuple(slices), plane, support.preprocessing, support.images.shape[-1])
