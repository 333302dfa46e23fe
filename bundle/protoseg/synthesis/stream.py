"""Subjects without end: a pool of synthetic subjects on disk, which are replaced one after another."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from protoseg.ops.disk_cache import array_file, cached_array
from protoseg.ops.hashing import fingerprint
from protoseg.synthesis.patterns.branches import paint_branches
from protoseg.synthesis.patterns.cells import paint_cells
from protoseg.synthesis.people import BLOCKS, Places, find_places, paint_volume
from protoseg.synthesis.pictures.paint import paint_picture
from protoseg.synthesis.shapes.paint import paint_shapes
from protoseg.synthesis.subjects import FRAME, PICTURES, STRUCTURES, structure_values

__all__ = ["KINDS", "WORLDS", "SubjectStream"]

MEMBERS = 4  # of a world

WORLDS: dict[str, Callable[[int, int], NDArray[np.uint8]]] = {
    "shapes": partial(paint_shapes, shape=(FRAME, FRAME)),
    "cells": partial(paint_cells, size=FRAME),
    "branches": partial(paint_branches, size=FRAME),
}
"""Paint a member of a world from the world's seed and the member's number; only members of one world make a pair."""

KINDS = (*BLOCKS, *WORLDS, *PICTURES)
"""What there are streams of."""

FIRST_STRUCTURE = {**dict.fromkeys(WORLDS, "shape_1"), **dict.fromkeys(PICTURES, "lesion")}
TABLES = 512  # tables of places kept in memory


@dataclass(frozen=True)
class _Tenant:
    """The subject in a slot for a while."""

    kind: str
    slot: int
    version: int
    seed: int

    def key(self, member: int) -> str:
        """Name of the file of maps."""
        digits = fingerprint(FRAME, BLOCKS.get(self.kind), STRUCTURES)
        return f"{self.kind}-{self.slot}-{self.version}-{self.seed}-{member}-{digits}"


class SubjectStream:
    """A pool of slots of one kind of subject. Each slot's subject is replaced after `renewal` episodes.

    The slots take turns, so that new subjects come evenly. The subject in a slot depends only on the seed and on the
    number of the episode. Subjects are painted when they are first asked for; the slot's next but one deletes them.

    Args:
        kind: kind of the subjects, one of `KINDS`.
        slots: number of people or pictures, or of worlds of `MEMBERS` members each, at a time.
        renewal: number of episodes, of all kinds together, for which a subject stays.
        folder: folder of the subjects.
        seed: seed of all subjects.
    """

    def __init__(self, kind: str, *, slots: int, renewal: int, folder: Path, seed: int) -> None:
        self.kind, self.slots, self.renewal, self.folder, self.seed = kind, slots, renewal, folder, seed
        self.members = MEMBERS if kind in WORLDS else 1
        self._places: OrderedDict[str, Places] = OrderedDict()

    def maps(self, slot: int, episode: int, member: int = 0) -> NDArray[np.uint8]:
        """Open the maps of the subject in a slot at an episode, memory-mapped.

        They are a volume (X, Y, Z, 4) of people, see `people`, and slices (S, 4, FRAME, FRAME) of others.
        """
        tenant = self._tenant(slot, episode)
        return self._stored(tenant, tenant.key(member), partial(self._paint, tenant, member))

    def places(self, slot: int, episode: int) -> Places:
        """Give the places of the structures in the volume of the person in a slot at an episode."""
        tenant = self._tenant(slot, episode)
        key = f"{tenant.key(0)}-places"
        if key not in self._places:
            volume = self.maps(slot, episode)
            voxel = BLOCKS[self.kind].voxel
            self._places[key] = Places.of_table(self._stored(tenant, key, lambda: find_places(volume, voxel)))
            if len(self._places) > TABLES:
                self._places.popitem(last=False)
        return self._places[key]

    def _tenant(self, slot: int, episode: int) -> _Tenant:
        version = (episode + slot * self.renewal // self.slots) // self.renewal
        sequence = np.random.SeedSequence([self.seed, *self.kind.encode(), slot, version])
        return _Tenant(self.kind, slot, version, int(sequence.generate_state(1)[0]))

    def _stored(self, tenant: _Tenant, key: str, make: Callable[[], NDArray[Any]]) -> NDArray[Any]:
        if not array_file(self.folder, key).exists():
            # A process that lags behind may still read the last one.
            for old in self.folder.glob(f"{tenant.kind}-{tenant.slot}-{tenant.version - 2}-*.npy"):
                old.unlink(missing_ok=True)
        return cached_array(self.folder, key, make)

    def _paint(self, tenant: _Tenant, member: int) -> NDArray[np.uint8]:
        if self.kind in BLOCKS:
            return paint_volume(self.kind, tenant.seed)
        if self.kind in WORLDS:
            maps = WORLDS[self.kind](tenant.seed, member)
        else:
            maps = paint_picture(tenant.seed, kind=self.kind, size=FRAME)[None]
        return structure_values(maps, FIRST_STRUCTURE[self.kind])
