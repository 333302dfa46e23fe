"""Random views: how a slice lies in the network's input, and what a scanner does to its picture."""

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from protoseg.data.anatomy.shapes import Array
from protoseg.data.people import Box

__all__ = ["View", "acquire", "random_view"]

MARGIN = 5.6  # pixels of a person's slice (10 mm) that a crop to the body leaves around it


@dataclass(frozen=True)
class View:
    """Where the pixels of a square image (size, size) come from."""

    grid: torch.Tensor
    """(1, size, size, 2): x and y in a slice, -1 and 1 at its outer edges, as `grid_sample` takes them."""
    inside: tuple[slice, slice]
    """Rows and columns of the crop; what surrounds it was padded to make a square."""

    def image(self, picture: Array) -> Array:
        """Sample a picture (H, W) bilinearly: (size, size)."""
        return self._sample(picture, "bilinear")

    def labels(self, labels: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Sample labels (H, W) by nearest neighbour; outside of the crop they are 0."""
        padded = np.zeros(self.grid.shape[1:3], dtype=np.uint8)
        padded[self.inside] = self._sample(labels.astype(np.float32), "nearest")[self.inside].astype(np.uint8)
        return padded

    def _sample(self, picture: Array, mode: str) -> Array:
        source = torch.from_numpy(picture)[None, None]
        sampled = F.grid_sample(source, self.grid, mode=mode, padding_mode="border", align_corners=False)
        return sampled[0, 0].numpy()


def random_view(rng: np.random.Generator, *, body: Box, shape: tuple[int, ...], size: int) -> View:
    """Draw a crop to the body with uncertain edges, turned, sheared and warped a little, in a square.

    Args:
        rng: the source of randomness.
        body: of the person.
        shape: (H, W) of the slice that the body lies in.
        size: edge of the square in pixels.
    """
    edges = np.array(body) + MARGIN * np.array([-1, 1, -1, 1]) + rng.normal(0, 4, 4)
    if rng.random() < 0.15:  # a small field of view cuts the body
        edges += rng.uniform(0, 0.15) * (body.right - body.left) * rng.random(4) * np.array([1, -1, 1, -1])
    height, width = edges[1] - edges[0], edges[3] - edges[2]
    side = max(height, width)
    unit = (np.arange(size, dtype=np.float32) + 0.5) / size - 0.5
    y, x = np.meshgrid(unit, unit, indexing="ij")
    matrix = _random_matrix(rng)
    warp = [0.012 * _smooth(rng, 5, size) + 0.005 * _smooth(rng, 12, size) for _ in range(2)]
    rows = (edges[0] + edges[1]) / 2 + side * (matrix[0, 0] * y + matrix[0, 1] * x + warp[0])
    columns = (edges[2] + edges[3]) / 2 + side * (matrix[1, 0] * y + matrix[1, 1] * x + warp[1])
    grid = np.stack([2 * columns / shape[1] - 1, 2 * rows / shape[0] - 1], axis=-1).astype(np.float32)
    inside = tuple(
        slice(int(size / 2 * (1 - share)), size - int(size / 2 * (1 - share)))
        for share in (height / side, width / side)
    )
    return View(torch.from_numpy(grid)[None], (inside[0], inside[1]))


def acquire(picture: Array, view: View, rng: np.random.Generator, *, windowed: bool) -> Array:
    """Turn ideal brightness (size, size) into a network's input: blur, noise, shading, gamma, z-score, padding.

    Where brightness is windowed (CT) it is cut to 0..1 and neither shading nor gamma apply.
    """
    crop = picture[view.inside]
    if rng.random() < 0.4:
        crop = gaussian_filter(crop, rng.uniform(0.4, 1.4))
    if not windowed:
        crop = crop * np.exp(rng.uniform(0, 0.3) * _smooth(rng, 3, len(picture))[view.inside])
    noise = rng.standard_normal(crop.shape, dtype=np.float32)
    if rng.random() < 0.5:
        noise = gaussian_filter(noise, 0.8) * 2.5
    crop = crop + min(rng.lognormal(np.log(0.03), 0.7), 0.15) * noise
    if rng.random() < 0.3:
        crop = _coarse(crop, rng.uniform(0.35, 0.75))
    if windowed:
        crop = crop.clip(0, 1)
    else:
        low, high = crop.min(), np.quantile(crop[::4, ::4], 0.995)
        crop = ((crop - low) / max(high - low, 1e-3)).clip(0, 1) ** np.exp(rng.normal(0, 0.25))
    # A scan's own mean and deviation are not those of a single slice.
    crop = (crop - crop.mean()) / max(float(crop.std()), 0.02) * rng.uniform(0.8, 1.2) + rng.normal(0, 0.15)
    image = np.full(picture.shape, crop.min(), dtype=np.float32)
    image[view.inside] = crop
    return image


def _random_matrix(rng: np.random.Generator) -> NDArray[np.float32]:
    """Turn by about 5 degrees, magnify by about 5 % along either axis, and shear; rows are y and x."""
    angle = rng.normal(0, 0.09)
    turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    stretch = np.diag(np.exp(rng.normal(0, 0.05, 2))) + np.array([[0, 1], [0, 0]]) * rng.normal(0, 0.04)
    return (turn @ stretch).astype(np.float32)


def _smooth(rng: np.random.Generator, knots: int, size: int) -> Array:
    """A smooth random field (size, size) of unit variance with `knots` bumps along each side."""
    at = np.linspace(0, knots, size, dtype=np.float32)[:, None]
    weights = np.exp(-0.5 * ((at - np.arange(knots + 1, dtype=np.float32)) / 0.7) ** 2)
    weights /= np.sqrt((weights**2).sum(1, keepdims=True))
    return weights @ rng.standard_normal((knots + 1, knots + 1), dtype=np.float32) @ weights.T


def _coarse(picture: Array, share: float) -> Array:
    """The picture as a scanner of fewer pixels would show it."""
    source = torch.from_numpy(np.ascontiguousarray(picture))[None, None]
    small = F.interpolate(source, scale_factor=float(share), mode="bilinear", antialias=True)
    return F.interpolate(small, size=picture.shape, mode="bilinear")[0, 0].numpy()
