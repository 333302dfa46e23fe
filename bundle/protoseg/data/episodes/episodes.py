"""Self-supervised episodes (SSL-ALPNet, arXiv 2007.09886): one superpixel, augmented to support and query."""

import copy
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from monai.transforms import Compose
from torch import Tensor
from torch.utils.data import Dataset

from protoseg.data.episodes.prepared_scans import PreparedScan, ScanPreparation, prepare_scans
from protoseg.errors import InputError
from protoseg.ops.lru import LRUCache
from protoseg.ops.slices import fit_slices, neighbour_indices, three_channels

__all__ = ["SuperpixelEpisodes"]

MAX_DRAWS = 20


class _Candidates(NamedTuple):
    """The slices of one scan that may be drawn, each with the numbers of its superpixels."""

    scan: PreparedScan
    slices: list[tuple[int, np.ndarray]]


class SuperpixelEpisodes(Dataset[dict[str, Tensor]]):
    """Draw episodes from unlabelled scans: a random superpixel of a random slice of a random scan.

    Episode `index` depends only on `seed` and `index`, for any index >= 0: training resumes exactly, and
    neither the order nor the number of workers matters. Scans are prepared once and streamed from disk.

    Args:
        data: {"image": path, optionally "label": path} of each scan.
        transform: transform that loads, orients (slices along Z) and normalizes a scan: {"image": path} -> {"image":
            (C, X, Y, Z)}, C = 1 or 3; and "label" on the same grid if labels are excluded.
        image_size: edge of the network's input in pixels.
        augmentation: MONAI transforms of {"image": (C, H, W), "mask": (1, H, W)}, see `episode_augmentation`.
        cache_dir: folder for the prepared scans.
        cache_bytes: bound of the slices kept in memory, in every process.
        seed: seed of everything random.
        shots: number of support slices per episode, all of the same superpixel, augmented differently.
        adjacent_slices: True for channels that are a slice and its two neighbors, instead of one slice three times.
        exclude_labels: label values whose slices are never drawn, in any channel (the published setting 2).
        threshold: intensity threshold of the body, see `ScanPreparation`.
        min_size: smallest Felzenszwalb segment, in pixels of a 256 x 256 slice.
        min_superpixel: smallest superpixel that may be drawn, in pixels of a 256 x 256 slice; the body's edge cuts off
            slivers below `min_size`.
        workers: number of processes that prepare scans, see `prepare_scans`.

    Raises:
        InputError: no scans; no slice is left, or no superpixel was found; a label that is needed is missing.
    """

    def __init__(
        self,
        data: Sequence[Mapping[str, Any]],
        transform: Callable[[dict[str, Any]], Mapping[Any, Any]],
        *,
        image_size: int,
        augmentation: Compose,
        cache_dir: str | Path,
        cache_bytes: int = 2**30,
        seed: int = 0,
        shots: int = 1,
        adjacent_slices: bool = False,
        exclude_labels: Sequence[int] = (),
        threshold: float | None = None,
        min_size: int = 400,
        min_superpixel: int = 100,
        workers: int = 0,
    ) -> None:
        if not data:
            raise InputError("There are no training scans: 'data' is empty. Check the folder or list of images.")
        preparation = ScanPreparation(
            transform,
            folder=Path(cache_dir),
            image_size=image_size,
            threshold=threshold,
            min_size=min_size,
            with_labels=bool(exclude_labels),
        )
        self.data = data
        self.image_size = image_size
        self.augmentation = augmentation
        self.seed = seed
        self.shots = shots
        self.adjacent_slices = adjacent_slices
        self._cache = LRUCache(cache_bytes)
        scans = prepare_scans(data, preparation, workers=workers)
        allowed = [_allowed_slices(scan, exclude_labels, adjacent_slices) for scan in scans]
        if not any(allowed):
            raise InputError(
                f"No slice is left: every slice of all {_summary(scans)}, shows one of the excluded labels "
                f"{sorted(exclude_labels)}. Exclude fewer labels or add scans."
            )
        self._candidates = _find_candidates(scans, allowed, preparation.to_map_pixels(min_superpixel))
        for scan in scans:
            _check_channels(scan, adjacent_slices)

    def __len__(self) -> int:
        """Count the superpixels that may be drawn. There are more episodes: any index >= 0 gives one."""
        return sum(len(numbers) for scan in self._candidates for _, numbers in scan.slices)

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        """Draw episode `index`.

        Returns:
            `support_images` (shots, 3, H, W), `support_masks` (shots, H, W), `query_image` (3, H, W) and
            `query_mask` (H, W): float32, masks 0 or 1 and never empty.
        """
        if index < 0:
            raise IndexError(f"Episodes are numbered from 0, found {index}.")
        for draw in range(MAX_DRAWS):
            entropy = np.random.SeedSequence((self.seed, index, draw)).generate_state(4)
            views = self._augmented_views(np.random.RandomState(entropy))
            if all(mask.any() for _, mask in views):
                break
        else:
            raise InputError(
                f"Episode {index}: the augmentation left nothing of {MAX_DRAWS} superpixels in a row. "
                "Weaken `augmentation` or raise `min_superpixel`."
            )
        *support, (query_image, query_mask) = views
        return {
            "support_images": torch.stack([image for image, _ in support]),
            "support_masks": torch.stack([mask for _, mask in support]),
            "query_image": query_image,
            "query_mask": query_mask,
        }

    def _augmented_views(self, random: np.random.RandomState) -> list[tuple[Tensor, Tensor]]:
        """Draw a superpixel and give shots + 1 augmented views of it: image (3, H, W) and mask (H, W)."""
        scan, slices = self._candidates[random.randint(len(self._candidates))]
        slice_index, numbers = slices[random.randint(len(slices))]
        image = self._image(scan, slice_index)
        mask = self._mask(scan, slice_index, numbers[random.randint(len(numbers))])
        # A copy: the generators inside a transform would be shared by the threads of this process.
        augmentation = copy.deepcopy(self.augmentation).set_random_state(state=random)
        views = []
        for _ in range(self.shots + 1):
            view = augmentation({"image": image.clone(), "mask": mask.clone()})
            view_image, view_mask = (torch.as_tensor(view[key]).as_subclass(Tensor) for key in ("image", "mask"))
            views.append((three_channels(view_image).float().contiguous(), (view_mask[0] > 0.5).float()))
        return views

    def _image(self, scan: PreparedScan, index: int) -> Tensor:
        """Read one slice (C, size, size), or with its two neighbors (3, size, size), as float32."""
        if not self.adjacent_slices:
            return self._slice(scan, index)
        total = len(scan.areas)
        return torch.cat([self._slice(scan, neighbour) for neighbour in neighbour_indices(index, total)])

    def _slice(self, scan: PreparedScan, index: int) -> Tensor:
        key = (scan.slices_file, index)
        return torch.from_numpy(self._cache.get(key, lambda: np.array(scan.slices()[index]))).float()

    def _mask(self, scan: PreparedScan, index: int, number: int) -> Tensor:
        key = (scan.superpixels_file, index)
        superpixels = torch.from_numpy(self._cache.get(key, lambda: np.array(scan.superpixels()[index])))
        return fit_slices((superpixels == number).float()[None, None], self.image_size, "nearest")[0]


def _summary(scans: Sequence[PreparedScan]) -> str:
    return f"{len(scans)} scan(s), the first of them {scans[0].image}"


def _find_candidates(
    scans: Sequence[PreparedScan], allowed: Sequence[Sequence[int]], min_area: int
) -> list[_Candidates]:
    """List the superpixels that may be drawn of each scan's allowed slices; slices without any are left out."""
    candidates = []
    for scan, indices in zip(scans, allowed):
        numbers = [(index, 1 + np.flatnonzero(scan.areas[index, 1:] >= min_area)) for index in indices]
        slices = [(index, found) for index, found in numbers if len(found)]
        if slices:
            candidates.append(_Candidates(scan, slices))
    if not candidates:
        raise InputError(
            f"No superpixel of {min_area} pixels or more was found in {_summary(scans)}. "
            "Check that the images are not empty, set `threshold` below the body or lower `min_superpixel`."
        )
    return candidates


def _allowed_slices(scan: PreparedScan, exclude_labels: Sequence[int], adjacent_slices: bool) -> list[int]:
    excluded = set(scan.labels[np.isin(scan.labels[:, 1], list(exclude_labels)), 0].tolist())
    total, shown = len(scan.areas), 3 if adjacent_slices else 1
    return [index for index in range(total) if excluded.isdisjoint(neighbour_indices(index, total, shown))]


def _check_channels(scan: PreparedScan, adjacent_slices: bool) -> None:
    channels = scan.slices().shape[1]
    expected = (1,) if adjacent_slices else (1, 3)
    if channels not in expected:
        wanted = "1 channel for adjacent slices" if adjacent_slices else "1 channel (gray) or 3 (RGB)"
        raise InputError(f"{scan.image} has {channels} channels, expected {wanted}: change `transform`.")
