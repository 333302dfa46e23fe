"""Two slices that cut two people, or one twice, at the same place: across the body, or close to one structure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from protoseg.synthesis.people import BLOCKS, Places
from protoseg.synthesis.planes import PLANES, Plane, cut, random_rotation, small_rotation
from protoseg.synthesis.stream import SubjectStream
from protoseg.synthesis.subjects import FRAME, Box

__all__ = ["ORIENTATIONS", "PersonSlices", "Side"]

ORIENTATIONS = (*PLANES, "oblique")

PIXEL = 2.0  # mm of a slice at most, so that the frame holds a chest
SAME_PERSON = 0.3  # of the pairs: one person imaged twice
TILT = 0.06  # radians (standard deviation) between the planes of a pair
NEAR, FAR, FAR_SHARE = 12.0, 40.0, 0.3  # mm along the normal between two people (standard deviation), and how often
ENDS = 0.04  # of the body along the normal, where nothing is cut
FIELDS = (45.0, 200.0)  # mm: edge of the part that a close slice shows
TRIES, LEAST_FILLED = 4, 0.1  # share of the box in which there is some structure
ASIDE = 0.18  # of that edge: how far from its middle the structure is (standard deviation)


class Side(NamedTuple):
    """One slice of a pair, before it is imaged."""

    maps: NDArray[np.uint8]
    """(4, FRAME, FRAME), see `Subject.slice`."""
    body: Box
    part: bool
    """Whether `body` is a part of what there is to see."""


class PersonSlices:
    """Draws pairs of slices of the people in a stream at an episode.

    Args:
        pool: stream of people.
        episode: number of the pair.
        planes: share of each of `ORIENTATIONS`.
        close: share of the pairs of people who are seen whole that show one structure close by.
    """

    def __init__(self, pool: SubjectStream, episode: int, *, planes: Mapping[str, float], close: float) -> None:
        self.pool, self.episode, self.planes, self.close = pool, episode, planes, close
        self.block = BLOCKS[pool.kind]

    def draw(self, rng: np.random.Generator) -> tuple[Side, Side]:
        """Draw a pair; planes that meet hardly any structure are drawn again, a few times."""
        for _ in range(TRIES):
            one, other = self._draw(rng)
            if min(_filled(one), _filled(other)) >= LEAST_FILLED:
                break
        return one, other

    def _draw(self, rng: np.random.Generator) -> tuple[Side, Side]:
        first = int(rng.integers(self.pool.slots))
        alike = rng.random() < SAME_PERSON
        second = first if alike else (first + int(rng.integers(1, self.pool.slots))) % self.pool.slots
        places = [self.pool.places(slot, self.episode) for slot in (first, second)]
        directions = self._directions(rng)
        tilted = [directions @ small_rotation(rng, TILT) for _ in places]
        common = [value for value in places[0].centres if value in places[1].centres]
        close = bool(common) and (not self.block.whole or rng.random() < self.close)
        cuts = (
            self._close(rng, places, tilted, value=common[rng.integers(len(common))])
            if close
            else self._across(rng, places, tilted, alike=alike)
        )
        slots = (first, second)
        one, other = (
            Side(cut(self.pool.maps(slot, self.episode), plane, self.block.voxel), box, close)
            for slot, (plane, box) in zip(slots, cuts)
        )
        return one, other

    def _directions(self, rng: np.random.Generator) -> NDArray[np.float64]:
        """Directions (3, 3) of the planes of a pair, see `Plane`."""
        name = str(rng.choice(ORIENTATIONS, p=[self.planes.get(name, 0.0) for name in ORIENTATIONS]))
        return PLANES[name] if name in PLANES else random_rotation(rng)

    def _plane(self, centre: NDArray[np.float64], directions: NDArray[np.float64]) -> Plane:
        return Plane(centre, directions, min(PIXEL, self.block.voxel))

    def _across(
        self, rng: np.random.Generator, places: list[Places], directions: list[NDArray[np.float64]], *, alike: bool
    ) -> list[tuple[Plane, Box]]:
        """Planes at about the same height of both bodies, which show them from edge to edge."""
        share = rng.uniform(ENDS, 1 - ENDS)
        apart = 2.0 if alike else FAR if rng.random() < FAR_SHARE else NEAR
        result = []
        for place, axes, shift in zip(places, directions, (0.0, rng.normal(0, apart))):
            half = (place.upper - place.lower) / 2
            reach = float(np.abs(axes[2]) @ half)
            along = np.clip(reach * (2 * share - 1) + shift, -reach * (1 - ENDS), reach * (1 - ENDS))
            plane = self._plane(place.lower + half + along * axes[2], axes)
            result.append((plane, plane.box(place.lower, place.upper)))
        return result

    def _close(
        self, rng: np.random.Generator, places: list[Places], directions: list[NDArray[np.float64]], *, value: int
    ) -> list[tuple[Plane, Box]]:
        """Planes near the middle of a structure, which show a field of a few centimeters around it."""
        field = float(np.exp(rng.uniform(*np.log(FIELDS))))
        aside = rng.normal(0, ASIDE * field, 3)
        result = []
        for place, axes in zip(places, directions):
            own = field * rng.lognormal(0, 0.08)
            centre = place.centres[value] + axes.T @ (aside + rng.normal(0, 0.05 * field, 3))
            plane = self._plane(centre, axes)
            edges = np.round(FRAME / 2 + own / plane.pixel * np.array([-0.5, 0.5])).astype(int).clip(0, FRAME)
            result.append((plane, Box(*edges.tolist(), *edges.tolist())))
        return result


def _filled(side: Side) -> float:
    """Share of the body's box that structures take up."""
    top, bottom, left, right = side.body
    shown = side.maps[3, top:bottom, left:right]
    return np.count_nonzero(shown) / max(shown.size, 1)
