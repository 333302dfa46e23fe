"""Labelled episodes: two slices of synthetic subjects, to be imaged independently, with every structure labelled."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from protoseg.errors import InputError
from protoseg.synthesis.anatomy.tissues import Tissue
from protoseg.synthesis.random_contrast import CONTRAST_SHARES, Contrast, random_contrast, varied
from protoseg.synthesis.random_view import View, random_acquisition, random_views
from protoseg.synthesis.shares import check_shares
from protoseg.synthesis.subjects import KINDS, SLICES, Subject, load_subjects

__all__ = ["LabelledEpisodes"]

SAME_SUBJECT = 0.35  # of the pairs: one subject imaged twice
SAME_CONTRAST = 0.5  # of the pairs: two scans of one protocol
NEAR, FAR = 2.5, 8.0  # slices between the heights of two subjects of `SLICES` slices (standard deviation)
FAR_SHARE = 0.35  # of the pairs of two subjects
COLORLESS = Contrast(np.zeros(len(Tissue), np.float32), np.zeros(len(Tissue), np.float32), windowed=False)


class LabelledEpisodes(Dataset[dict[str, Any]]):
    """Draw pairs of slices at about the same height: of two subjects of a kind (65 %), or of one imaged twice.

    Half of the pairs share a contrast, as two scans of one protocol do; the others have one each.
    Episode `index` depends only on `seed` and `index`, for any index >= 0.

    Args:
        cache_dir: folder for the subjects, which are painted once.
        subjects: number of subjects of each of `subjects.KINDS`.
        shares: relative share of the episodes for each kind of subject; 1 for a kind that is not named.
        contrasts: shares of the contrasts, see `random_contrast`.
        image_size: edge of the network's input in pixels.
        coarse_episodes: number of episodes from the first, a multiple of the batch size, that are drawn at 3/4 of that
            edge, which takes half the time.
        seed: seed of subjects and episodes.
        workers: number of processes that paint subjects.

    Raises:
        InputError: no subjects, unknown kinds of them, fewer than two of one, or unusable shares.
    """

    def __init__(
        self,
        *,
        cache_dir: str | Path,
        subjects: Mapping[str, int],
        shares: Mapping[str, float] | None = None,
        contrasts: Mapping[str, float] = CONTRAST_SHARES,
        image_size: int = 256,
        coarse_episodes: int = 0,
        seed: int = 0,
        workers: int = 0,
    ) -> None:
        if not subjects:
            raise InputError("subjects is empty; name kinds and how many of them, such as {abdomen: 96}.")
        self.image_size = image_size
        self.coarse_episodes = coarse_episodes
        self.seed = seed
        self.contrasts = dict(contrasts)
        check_shares("shares", shares or {}, KINDS)
        check_shares("contrasts", contrasts, CONTRAST_SHARES, whole=True)
        self._subjects = load_subjects(subjects, Path(cache_dir), seed=seed, workers=workers)
        weights = np.array([(shares or {}).get(kind, 1.0) for kind in self._subjects])
        self._shares = weights / weights.sum()

    def __len__(self) -> int:
        """Count the slices. There are more episodes: any index >= 0 gives one."""
        return sum(subject.count for subjects in self._subjects.values() for subject in subjects)

    def __getitem__(self, index: int) -> dict[str, Any]:
        """Draw episode `index`.

        Returns:
            `slices`: input of `imaging.image_slices`, each stacked for support and query, in this order;
            `size`: edge of the images in pixels; `seed`: of their texture and noise.
        """
        if index < 0:
            raise IndexError(f"Episodes are numbered from 0, found {index}.")
        rng = np.random.default_rng((self.seed, index))
        pair = self._draw_pair(rng)
        subjects = [subject for subject, _ in pair]
        contrasts = self._draw_contrasts(subjects[0], rng)
        views = random_views(rng, (subjects[0].body, subjects[1].body), upright=subjects[0].upright)
        slices = [
            _recipe(subject, height, contrast, view, rng)
            for (subject, height), contrast, view in zip(pair, contrasts, views)
        ]
        return {
            "slices": {key: torch.stack([recipe[key] for recipe in slices]) for key in slices[0]},
            "size": self.image_size * 3 // 4 if index < self.coarse_episodes else self.image_size,
            "seed": int(rng.integers(2**62)),
        }

    def _draw_pair(self, rng: np.random.Generator) -> list[tuple[Subject, int]]:
        """Draw two subjects of one world and the slice of each; both may be the same."""
        kinds = list(self._subjects)
        subjects = self._subjects[kinds[rng.choice(len(kinds), p=self._shares)]]
        first = subjects[rng.integers(len(subjects))]
        others = [subject for subject in subjects if subject.world == first.world and subject is not first]
        height = int(rng.integers(first.count))
        if rng.random() < SAME_SUBJECT or not others:
            second, distance = first, int(rng.integers(-1, 2))
        else:
            second = others[rng.integers(len(others))]
            distance = round(rng.normal(0, FAR if rng.random() < FAR_SHARE else NEAR) * first.count / SLICES)
        return [(first, height), (second, int(np.clip(height + distance, 0, second.count - 1)))]

    def _draw_contrasts(self, subject: Subject, rng: np.random.Generator) -> tuple[Contrast, Contrast]:
        if subject.colored:
            return COLORLESS, COLORLESS
        shares = {"arbitrary": 1.0} if subject.kind == "shapes" else self.contrasts
        contrast = random_contrast(rng, shares)
        other = varied(contrast, rng) if rng.random() < SAME_CONTRAST else random_contrast(rng, shares)
        return contrast, other


def _recipe(
    subject: Subject, height: int, contrast: Contrast, view: View, rng: np.random.Generator
) -> dict[str, Tensor]:
    """Collect everything that one image is made of."""
    numbers = {
        "mean": contrast.mean,
        "texture": contrast.texture,
        "windowed": contrast.windowed,
        "colored": subject.colored,
        **view._asdict(),
        **random_acquisition(rng)._asdict(),
    }
    recipe = {"maps": torch.from_numpy(np.array(subject.slice(height)))}
    for key, value in numbers.items():
        recipe[key] = torch.as_tensor(value, dtype=torch.bool if isinstance(value, bool) else torch.float32)
    return recipe
