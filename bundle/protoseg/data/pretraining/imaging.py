"""Makes images and labels of maps of tissues, many slices at once, on any device.

The maps are those of `subjects`, the parameters of their imaging those of `random_contrast` and `random_view`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from protoseg.data.pretraining.tones import apply_curves, apply_filters

__all__ = ["image_pairs", "image_slices", "smooth_field"]

FINE, COARSE = 0.8, 8  # pixels of a slice: blur of the fine texture, bumps of the coarse one
NOISE_BLUR = 0.8  # pixels of the image
BLUR_RADIUS = 4  # reach of blurs in pixels


def image_pairs(
    batch: Mapping[str, Any], device: torch.device | str | None = None, non_blocking: bool = False, **kwargs: Any
) -> tuple[Tensor, Tensor, tuple[()], dict[str, Tensor]]:
    """Image a batch of E labelled episodes, as the `prepare_batch` of MONAI's trainer.

    Noise and texture are drawn on the device from the number of the first episode, so that the same batch gives the
    same images there.

    Args:
        batch: batch of `LabelledEpisodes`.
        device: device to work on.
        non_blocking: True for an asynchronous copy.
        **kwargs: unused keyword arguments of MONAI's interface.

    Returns:
        Query images (E, 1, 3, H, W), query labels (E, 1, H, W), no positional arguments, and the support as
        keyword arguments: `support_images` (E, 1, 3, H, W), `support_masks` (E, 1, 1, H, W).
    """
    slices = {key: value.to(device, non_blocking=non_blocking) for key, value in batch["slices"].items()}
    generator = torch.Generator(slices["maps"].device).manual_seed(int(batch["seed"][0]))
    flat = {key: value.flatten(0, 1) for key, value in slices.items()}  # E x 2 x ... -> 2E x ...
    images, labels = image_slices(flat, size=int(batch["size"][0]), generator=generator)
    support_images, query_images = images.unflatten(0, (-1, 2)).split(1, dim=1)
    support_masks, query_masks = labels.unflatten(0, (-1, 2)).split(1, dim=1)
    return query_images, query_masks, (), {"support_images": support_images, "support_masks": support_masks[:, None]}


def image_slices(slices: Mapping[str, Tensor], *, size: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Image slices as the network's input.

    Args:
        slices: entries of B slices, stacked: `maps` (B, 4, H, W) uint8, `colored` and `windowed` (B,), `mean` and
            `texture` (B, T), the fields of `View` and `Acquisition`, and perhaps those of `Tone`.
        size: edge of the images in pixels.
        generator: generator of texture and noise, on the maps' device.

    Returns:
        Images (B, 3, size, size) of zero mean and unit variance, more or less, and labels (B, size, size), int64.
    """
    grid, inside = _grid(slices, size)
    structure = slices["maps"][:, 3:].float()
    labels = F.grid_sample(structure, grid, mode="nearest", padding_mode="border", align_corners=False)
    images = torch.empty(len(grid), 3, size, size, device=grid.device)
    for colored in (False, True):
        chosen = slices["colored"] == colored
        if not chosen.any():
            continue
        part = {key: value[chosen] for key, value in slices.items()}
        picture = part["maps"][:, :3].float() / 255 if colored else _render(part, generator)
        picture = F.grid_sample(picture, grid[chosen], mode="bilinear", padding_mode="border", align_corners=False)
        if colored:
            picture = picture * part["color_gain"][:, :, None, None]
        images[chosen] = _acquire(picture, inside[chosen], part, generator)
    return images, (labels * inside)[:, 0].long()


def _grid(slices: Mapping[str, Tensor], size: int) -> tuple[Tensor, Tensor]:
    """Give the sampling grid (B, size, size, 2) of `grid_sample`, and a mask (B, 1, size, size) without padding."""
    height, width = slices["maps"].shape[-2:]
    unit = (torch.arange(size, device=slices["maps"].device) + 0.5) / size - 0.5
    y, x = torch.meshgrid(unit, unit, indexing="ij")
    place = torch.stack([y, x, torch.ones_like(x)])  # 3 x size x size
    where = torch.einsum("bij,jhw->bihw", slices["matrix"], place)
    where = where + smooth_field(slices["warp"], size) + smooth_field(slices["fine_warp"], size)
    grid = torch.stack([2 * where[:, 1] / width - 1, 2 * where[:, 0] / height - 1], dim=-1)
    half = slices["extent"][:, :, None, None] / 2
    inside = (place[:2].abs() <= half).all(1, keepdim=True)
    return grid, inside


def smooth_field(knots: Tensor, size: int) -> Tensor:
    """Make smooth fields (B, ..., size, size), of about the knots' variance, from values at knots (B, ..., K, K)."""
    count = knots.shape[-1]
    at = torch.linspace(0, count - 1, size, device=knots.device)[:, None]
    weights = torch.exp(-0.5 * ((at - torch.arange(count, device=knots.device)) / 0.7) ** 2)
    weights = weights / weights.square().sum(1, keepdim=True).sqrt()
    return weights @ knots @ weights.T


def _render(slices: Mapping[str, Tensor], generator: torch.Generator) -> Tensor:
    """Render the brightness (B, 1, H, W): mean plus two scales of texture; pixels on a surface mix their tissues."""
    tissue, neighbour, coverage = (slices["maps"][:, index] for index in range(3))
    batch, height, width = tissue.shape
    fine = _noise((batch, 1, height, width), generator)
    fine = _blur(fine, torch.full((batch,), FINE, device=fine.device))
    coarse = _noise((batch, 1, height // COARSE, width // COARSE), generator)
    coarse = F.interpolate(coarse, size=(height, width), mode="bilinear")
    grain = (0.8 * fine / fine.std() + 0.6 * coarse)[:, 0]
    own, other = (_of_tissue(slices, tissues, grain) for tissues in (tissue, neighbour))
    return torch.lerp(other, own, coverage.float() / 255)[:, None]


def _of_tissue(slices: Mapping[str, Tensor], tissues: Tensor, grain: Tensor) -> Tensor:
    index = tissues.flatten(1).long()
    mean, texture = (slices[key].gather(1, index).view_as(grain) for key in ("mean", "texture"))
    return mean + texture * grain


def _acquire(picture: Tensor, inside: Tensor, slices: Mapping[str, Tensor], generator: torch.Generator) -> Tensor:
    """Turn ideal brightness (B, C, H, W) into network input (B, 3, H, W).

    Windowed brightness (CT) is clipped to 0..1, without shading or gamma.
    """

    def each(key: str) -> Tensor:
        return slices[key][:, None, None, None]

    windowed = each("windowed")
    picture = _blur(picture, slices["blur"])
    shading = smooth_field(slices["shading"], picture.shape[-1])[:, None].exp()
    picture = torch.where(windowed, picture, picture * shading)
    noise = _noise(tuple(picture.shape), generator)
    smooth = 2.5 * _blur(noise, torch.full_like(slices["blur"], NOISE_BLUR))
    picture = picture + each("noise") * torch.where(each("smooth_noise"), smooth, noise)
    picture = _coarse(picture, slices["detail"])
    toned = "filter" in slices
    if toned:
        picture = apply_filters(picture, slices["filter"])
    picture = torch.where(windowed, picture.clamp(0, 1), _ranged(picture, inside) ** each("gamma"))
    if toned:
        picture = apply_curves(picture, slices["curve"])
    mean, deviation = _statistics(picture, inside)
    picture = (picture - mean) / deviation.clamp(min=0.02) * each("gain") + each("offset")
    darkest = picture.masked_fill(~inside, torch.inf).amin((2, 3), keepdim=True)
    return torch.where(inside, picture, darkest).expand(-1, 3, -1, -1)


def _ranged(picture: Tensor, inside: Tensor) -> Tensor:
    """Scale brightness from 0 at the darkest to 1 at the top half percent."""
    sample = picture.masked_fill(~inside, torch.nan)[..., ::4, ::4].flatten(1)
    low = sample.nan_to_num(torch.inf).amin(1)[:, None, None, None]
    high = sample.nanquantile(0.995, dim=1)[:, None, None, None]
    return ((picture - low) / (high - low).clamp(min=1e-3)).clamp(0, 1)


def _statistics(picture: Tensor, inside: Tensor) -> tuple[Tensor, Tensor]:
    """Compute mean and standard deviation (B, C, 1, 1) of what is not padding."""
    count = inside.sum((2, 3), keepdim=True)
    mean = (picture * inside).sum((2, 3), keepdim=True) / count
    variance = ((picture - mean).square() * inside).sum((2, 3), keepdim=True) / count
    return mean, variance.sqrt()


def _coarse(picture: Tensor, detail: Tensor) -> Tensor:
    """Coarsen the pictures as scanners with fewer pixels would."""
    result = picture.clone()
    for share in detail.unique().tolist():
        if share < 1:
            chosen = detail == share
            small = F.interpolate(picture[chosen], scale_factor=share, mode="bilinear", antialias=True)
            result[chosen] = F.interpolate(small, size=picture.shape[-2:], mode="bilinear")
    return result


def _blur(picture: Tensor, deviation: Tensor) -> Tensor:
    """Blur each picture (C, H, W) by a Gaussian of a standard deviation (B,) in pixels; 0 leaves it as it is."""
    batch, channels, height, width = picture.shape
    offsets = torch.arange(-BLUR_RADIUS, BLUR_RADIUS + 1, device=picture.device)
    kernel = torch.exp(-0.5 * (offsets / deviation.clamp(min=0.05)[:, None]) ** 2)
    kernel = (kernel / kernel.sum(1, keepdim=True)).repeat_interleave(channels, dim=0)[:, None]
    flat = F.pad(picture.reshape(1, -1, height, width), (BLUR_RADIUS,) * 4, mode="reflect")
    flat = F.conv2d(flat, kernel[:, :, None], groups=batch * channels)
    return F.conv2d(flat, kernel[..., None], groups=batch * channels).view_as(picture)


def _noise(shape: tuple[int, ...], generator: torch.Generator) -> Tensor:
    return torch.randn(shape, generator=generator, device=generator.device)
