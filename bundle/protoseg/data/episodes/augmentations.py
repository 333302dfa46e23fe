"""The published augmentation of an episode's slice and mask, in MONAI's random transforms."""

import math

from monai.transforms import Compose, Rand2DElasticd, RandAdjustContrastd, RandZoomd

__all__ = ["episode_augmentation"]


def episode_augmentation(
    *,
    rotate_degrees: float = 5.0,
    translate_pixels: float = 5.0,
    shear_degrees: float = 5.0,
    scale: tuple[float, float] = (0.9, 1.2),
    elastic_alpha: float = 10.0,
    elastic_sigma: float = 5.0,
    gamma: tuple[float, float] = (0.5, 1.5),
) -> Compose:
    """Compose zoom, affine, elastic and gamma transforms for the keys `image` (C, H, W) and `mask` (1, H, W).

    Image and mask are transformed together, both bilinearly: threshold the mask at 0.5 afterwards. All defaults and the
    two rounds of interpolation are those published (SSL-ALPNet, arXiv 2007.09886). Two things differ:

    - Beyond the edge the edge pixel is repeated (published: 0, which is mid-gray in a z-scored image).
    - The published elastic field is uniform noise in [-1, 1] per pixel, blurred by a Gaussian of
      `elastic_sigma` pixels that is cut off at 2 sigma, times `elastic_alpha`. MONAI interpolates normal
      noise between control points. Points 2.4 sigma apart with a standard deviation of 0.21 alpha / sigma
      give the same standard deviation (by default 0.36 pixels) and distance of half correlation (7.8).

    Args:
        rotate_degrees: largest angle of rotation in degrees, either way.
        translate_pixels: largest translation in pixels, along either axis.
        shear_degrees: largest angle of shear in degrees, either way, along one axis.
        scale: smallest and largest magnification; the same for both axes.
        elastic_alpha: amplitude of the elastic field.
        elastic_sigma: smoothness of the elastic field in pixels.
        gamma: smallest and largest exponent on the image rescaled to 0..1, which is then scaled back.

    Returns:
        Transforms of dictionaries, seeded through `set_random_state`.
    """
    both = ("image", "mask")
    return Compose(
        [
            RandZoomd(
                keys=both,
                prob=1.0,
                min_zoom=scale[0],
                max_zoom=scale[1],
                mode="bilinear",
                padding_mode="edge",
            ),
            Rand2DElasticd(
                keys=both,
                prob=1.0,
                spacing=(round(2.4 * elastic_sigma),) * 2,
                magnitude_range=(0.21 * elastic_alpha / elastic_sigma,) * 2,
                rotate_range=math.radians(rotate_degrees),
                shear_range=math.tan(math.radians(shear_degrees)),
                translate_range=(translate_pixels, translate_pixels),
                mode="bilinear",
                padding_mode="border",
            ),
            RandAdjustContrastd(keys="image", prob=1.0, gamma=gamma),
        ]
    )
