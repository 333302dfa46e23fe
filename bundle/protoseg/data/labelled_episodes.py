"""Labelled episodes: two slices of synthetic people, imaged independently, with every structure labelled."""

from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from protoseg.data.people import Person, load_people
from protoseg.data.random_contrast import Contrast, random_contrast, render_slice, varied
from protoseg.data.random_view import acquire, random_view
from protoseg.errors import InputError

__all__ = ["LabelledEpisodes"]

SAME_PERSON = 0.35
SAME_CONTRAST = 0.5
NEAR, FAR = 2.5, 8.0  # slices between the positions of two people (standard deviation)
FAR_SHARE = 0.2


class LabelledEpisodes(Dataset[dict[str, Tensor]]):
    """Draw pairs of slices at about the same height: of two people (65 %), or of one imaged twice.

    Half of the pairs share a contrast, as two scans of one protocol do; the others have one each.
    Episode `index` depends on `seed` and `index` only, for any index >= 0.

    Args:
        cache_dir: folder for the people, which are painted once.
        people: how many.
        image_size: edge of the network's input in pixels.
        coarse_episodes: so many episodes from the first are drawn at 3/4 of that edge, which takes half the time.
        seed: of people and episodes.
        workers: processes that paint people.

    Raises:
        InputError: fewer than two people are asked for.
    """

    def __init__(
        self,
        *,
        cache_dir: str | Path,
        people: int = 96,
        image_size: int = 256,
        coarse_episodes: int = 0,
        seed: int = 0,
        workers: int = 0,
    ) -> None:
        if people < 2:
            raise InputError(f"people is {people}; an episode takes two of them, so ask for at least 2.")
        self.image_size = image_size
        self.coarse_episodes = coarse_episodes
        self.seed = seed
        seeds = np.random.SeedSequence(seed).generate_state(people).tolist()
        self._people = load_people(seeds, Path(cache_dir), workers=workers)

    def __len__(self) -> int:
        """Count the slices. Episodes do not end there: any index >= 0 gives one."""
        return sum(person.count for person in self._people)

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        """Draw episode `index`.

        Returns:
            `support_images` (1, 3, H, W) and `query_image` (3, H, W), float32; `support_masks` (1, H, W) and
            `query_mask` (H, W), uint8 values of `STRUCTURES`.
        """
        if index < 0:
            raise IndexError(f"Episodes are numbered from 0, found {index}.")
        rng = np.random.default_rng((self.seed, index))
        size = self.image_size * 3 // 4 if index < self.coarse_episodes else self.image_size
        (support, support_slice), (query, query_slice) = self._draw_pair(rng)
        contrast = random_contrast(rng)
        other = varied(contrast, rng) if rng.random() < SAME_CONTRAST else random_contrast(rng)
        support_image, support_mask = self._imaged(support, support_slice, contrast, rng, size=size)
        query_image, query_mask = self._imaged(query, query_slice, other, rng, size=size)
        return {
            "support_images": support_image[None],
            "support_masks": support_mask[None],
            "query_image": query_image,
            "query_mask": query_mask,
        }

    def _draw_pair(self, rng: np.random.Generator) -> tuple[tuple[Person, int], tuple[Person, int]]:
        """Two people and the slice of each; both may be one and the same."""
        first, second = rng.choice(len(self._people), 2, replace=False)
        height = rng.integers(self._people[first].count)
        if rng.random() < SAME_PERSON:
            second, distance = first, int(rng.integers(-1, 2))
        else:
            distance = round(rng.normal(0, FAR if rng.random() < FAR_SHARE else NEAR))
        support, query = self._people[first], self._people[second]
        return (support, int(height)), (query, int(np.clip(height + distance, 0, query.count - 1)))

    def _imaged(
        self, person: Person, index: int, contrast: Contrast, rng: np.random.Generator, *, size: int
    ) -> tuple[Tensor, Tensor]:
        """Image one slice: network input (3, size, size) and its labels (size, size)."""
        maps = person.slice(index)
        view = random_view(rng, body=person.body, shape=maps.tissue.shape, size=size)
        picture = view.image(render_slice(maps, contrast, rng))
        image = acquire(picture, view, rng, windowed=contrast.windowed)
        return torch.from_numpy(image).expand(3, -1, -1), torch.from_numpy(view.labels(maps.structure))
