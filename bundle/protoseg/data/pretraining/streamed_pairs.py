"""Labelled pairs of slices of subjects without end: people in any plane, patterns and pictures, imaged at random."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from protoseg.data.pretraining.tones import random_tone
from protoseg.errors import InputError
from protoseg.synthesis.anatomy.tissues import Tissue
from protoseg.synthesis.contrast_pairs import PROTOCOLS, contrast_pair
from protoseg.synthesis.people import BLOCKS
from protoseg.synthesis.person_slices import ORIENTATIONS, PersonSlices, Side
from protoseg.synthesis.random_contrast import Contrast
from protoseg.synthesis.random_view import View, random_acquisition, random_views
from protoseg.synthesis.shares import check_shares
from protoseg.synthesis.stream import KINDS, WORLDS, SubjectStream
from protoseg.synthesis.subjects import FRAME, PICTURES, TURNABLE, Box

__all__ = ["StreamedPairs"]

SAME_SUBJECT = 0.25  # of the pairs of patterns and pictures: one imaged twice
OPPOSED = 0.25  # of the pairs of people
SAME_STAIN, OPPOSED_STAIN = 0.6, 0.2  # of the pairs of patterns, whose structures differ in little else
PICTURE_TONES = 0.3  # share of the pictures whose tone is changed at all
COLORLESS = Contrast(np.zeros(len(Tissue), np.float32), np.zeros(len(Tissue), np.float32), windowed=False)


class StreamedPairs(Dataset[dict[str, Any]]):
    """Draw pairs of slices that show the same structures: of two subjects, or of one that is imaged twice.

    Pair `index` depends only on `seed` and `index`, for any index >= 0; near indices share their subjects, see
    `SubjectStream`.

    Args:
        cache_dir: folder of the subjects; those whose time is over are deleted there.
        slots: number of subjects of each of `stream.KINDS` at a time.
        renewal: number of pairs for which a subject stays.
        shares: relative share of the pairs for each kind; 1 for a kind that is not named.
        protocols: shares of the protocols that people are imaged by, see `contrast_pairs.PROTOCOLS`.
        same_protocol: share of the pairs of people, 0 to 0.75, that are imaged by one protocol; another quarter is
            imaged by opposite ones.
        planes: shares of the `person_slices.ORIENTATIONS` that people are cut in.
        close: share of the pairs of people who are seen whole that show one structure close by.
        turned: share of the pairs that are turned by any angle, or mirrored, together.
        image_size: edge of the network's input in pixels.
        coarse_pairs: number of pairs from the first, a multiple of the batch size, that are drawn at 3/4 of that edge.
        seed: seed of subjects and pairs.

    Raises:
        InputError: no slots, unknown kinds, fewer than two people or pictures of a kind, or unusable shares.
    """

    def __init__(
        self,
        *,
        cache_dir: str | Path,
        slots: Mapping[str, int],
        renewal: int,
        shares: Mapping[str, float] | None = None,
        protocols: Mapping[str, float],
        same_protocol: float = 0.25,
        planes: Mapping[str, float],
        close: float = 0.4,
        turned: float = 0.4,
        image_size: int = 256,
        coarse_pairs: int = 0,
        seed: int = 0,
    ) -> None:
        _check_slots(slots, renewal)
        check_shares("shares", shares or {}, KINDS)
        check_shares("protocols", protocols, PROTOCOLS, whole=True)
        check_shares("planes", planes, ORIENTATIONS, whole=True)
        if not 0 <= same_protocol <= 1 - OPPOSED:
            raise InputError(f"same_protocol is {same_protocol}; it must lie between 0 and {1 - OPPOSED}.")
        self.image_size, self.coarse_pairs, self.seed = image_size, coarse_pairs, seed
        self.protocols, self.same_protocol = dict(protocols), same_protocol
        self.planes, self.close, self.turned = dict(planes), close, turned
        self.pools = {
            kind: SubjectStream(kind, slots=count, renewal=renewal, folder=Path(cache_dir), seed=seed)
            for kind, count in slots.items()
        }
        weights = np.array([(shares or {}).get(kind, 1.0) for kind in slots])
        self._shares = weights / weights.sum()

    def __len__(self) -> int:
        """Count the slots. There are more pairs: any index >= 0 gives one."""
        return sum(pool.slots for pool in self.pools.values())

    def __getitem__(self, index: int) -> dict[str, Any]:
        """Draw pair `index`.

        Returns:
            `slices`: input of `imaging.image_slices`, each stacked for support and query, in this order;
            `size`: edge of the images in pixels; `seed`: of their texture and noise.
        """
        if index < 0:
            raise IndexError(f"Pairs are numbered from 0, found {index}.")
        rng = np.random.default_rng((self.seed, index))
        kind = list(self.pools)[rng.choice(len(self.pools), p=self._shares)]
        pool = self.pools[kind]
        pair = self._people(pool, index).draw(rng) if kind in BLOCKS else _other_pair(pool, index, rng)
        first, second = (side.body for side in pair)
        contrasts = self._draw_contrasts(kind, rng)
        views = random_views(
            rng, (first, second), upright=kind not in TURNABLE, turned=self.turned, zoomed=not pair[0].part
        )
        slices = [_recipe(kind, side, contrast, view, rng) for side, contrast, view in zip(pair, contrasts, views)]
        return {
            "slices": {key: torch.stack([recipe[key] for recipe in slices]) for key in slices[0]},
            "size": self.image_size * 3 // 4 if index < self.coarse_pairs else self.image_size,
            "seed": int(rng.integers(2**62)),
        }

    def _people(self, pool: SubjectStream, index: int) -> PersonSlices:
        return PersonSlices(pool, index, planes=self.planes, close=self.close)

    def _draw_contrasts(self, kind: str, rng: np.random.Generator) -> tuple[Contrast, Contrast]:
        if kind in PICTURES:
            return COLORLESS, COLORLESS
        if kind in BLOCKS:
            return contrast_pair(rng, self.protocols, same=self.same_protocol, opposed=OPPOSED)
        if kind == "shapes":
            return contrast_pair(rng, {"arbitrary": 1.0}, same=self.same_protocol, opposed=OPPOSED)
        return contrast_pair(rng, {"arbitrary": 1.0}, same=SAME_STAIN, opposed=OPPOSED_STAIN)


def _other_pair(pool: SubjectStream, index: int, rng: np.random.Generator) -> tuple[Side, Side]:
    """Draw two slices of one world, or two pictures; both may be of the same subject."""
    slot, member = int(rng.integers(pool.slots)), int(rng.integers(pool.members))
    first = pool.maps(slot, index, member)
    height = int(rng.integers(len(first)))
    second, other = first, height + int(rng.integers(-1, 2))
    if rng.random() >= SAME_SUBJECT:
        if pool.kind in WORLDS:
            second = pool.maps(slot, index, (member + int(rng.integers(1, pool.members))) % pool.members)
        else:
            second = pool.maps((slot + int(rng.integers(1, pool.slots))) % pool.slots, index)
        other = height + round(rng.normal(0, 0.06 * len(second)))
    whole = Box(0, FRAME, 0, FRAME)
    other = int(np.clip(other, 0, len(second) - 1))
    return Side(np.array(first[height]), whole, False), Side(np.array(second[other]), whole, False)


def _recipe(kind: str, side: Side, contrast: Contrast, view: View, rng: np.random.Generator) -> dict[str, Tensor]:
    """Collect everything that one image is made of."""
    colored = kind in PICTURES
    numbers = {
        "mean": contrast.mean,
        "texture": contrast.texture,
        "windowed": contrast.windowed,
        "colored": colored,
        **view._asdict(),
        **random_acquisition(rng)._asdict(),
        **random_tone(rng, strength=PICTURE_TONES if colored else 1.0)._asdict(),
    }
    recipe = {"maps": torch.from_numpy(side.maps)}
    for key, value in numbers.items():
        recipe[key] = torch.as_tensor(value, dtype=torch.bool if isinstance(value, bool) else torch.float32)
    return recipe


def _check_slots(slots: Mapping[str, int], renewal: int) -> None:
    if not slots:
        raise InputError("slots is empty; name kinds and how many of them, such as {abdomen: 24}.")
    for kind, count in slots.items():
        if kind not in KINDS:
            raise InputError(f"There are no subjects of the kind {kind!r}; expected some of {', '.join(KINDS)}.")
        least = 1 if kind in WORLDS else 2
        if count < least:
            raise InputError(f"slots: {kind} is {count}; a pair takes two of them, so ask for at least {least}.")
    if renewal < 1:
        raise InputError(f"renewal is {renewal} pairs; expected at least 1.")
