"""The published augmentation: seeded, bounded, image and mask together."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from monai.transforms import Compose

from protoseg.data.episodes.augmentations import episode_augmentation

STILL = {
    "rotate_degrees": 0.0,
    "translate_pixels": 0.0,
    "shear_degrees": 0.0,
    "scale": (1.0, 1.0),
    "elastic_alpha": 0.0,
    "gamma": (1.0, 1.001),
}


def square(size: int = 96, half: int = 16) -> torch.Tensor:
    """A centred square of ones, (1, size, size)."""
    picture = torch.zeros(1, size, size)
    picture[:, size // 2 - half : size // 2 + half, size // 2 - half : size // 2 + half] = 1
    return picture


def augmented(augmentation: Compose, picture: torch.Tensor, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    augmentation.set_random_state(seed)
    view = augmentation({"image": picture.clone(), "mask": picture.clone()})
    return view["image"], view["mask"]


@settings(deadline=None, max_examples=20)
@given(seed=st.integers(0, 2**31))
def test_image_and_mask_move_together(seed: int) -> None:
    image, mask = augmented(episode_augmentation(), square(), seed)
    image, mask = image > 0.5, mask > 0.5
    assert 2 * (image & mask).sum() / (image.sum() + mask.sum()) > 0.95  # gamma moves the image's half level


def test_one_seed_gives_one_view() -> None:
    augmentation = episode_augmentation()
    image, mask = augmented(augmentation, square(), seed=5)
    again, _ = augmented(augmentation, square(), seed=5)
    other, _ = augmented(augmentation, square(), seed=6)
    torch.testing.assert_close(image, again, rtol=0, atol=0)
    assert not torch.equal(image, other)
    assert image.shape == mask.shape == (1, 96, 96)


@pytest.mark.parametrize(("scale", "edge"), [((0.9, 0.9), 29), ((1.2, 1.2), 38)])
def test_scale_magnifies_both_axes_alike(scale: tuple[float, float], edge: int) -> None:
    _, mask = augmented(episode_augmentation(**{**STILL, "scale": scale}), square(half=16), seed=0)
    mask = mask[0] > 0.5
    assert int(mask.any(0).sum()) == int(mask.any(1).sum()) == pytest.approx(edge, abs=1)


@settings(deadline=None, max_examples=20)
@given(seed=st.integers(0, 2**31))
def test_translation_keeps_to_its_bound(seed: int) -> None:
    _, mask = augmented(episode_augmentation(**{**STILL, "translate_pixels": 5.0}), square(), seed)
    centre = torch.nonzero(mask[0] > 0.5).float().mean(0) - (96 - 1) / 2
    assert (centre.abs() <= 5.5).all()


def test_elastic_field_has_the_published_strength() -> None:
    """A ramp shows the displacement: 0.36 pixels of standard deviation."""
    ramp = torch.arange(256.0).expand(1, 256, 256)
    augmentation = episode_augmentation(**{**STILL, "elastic_alpha": 10.0})
    still = episode_augmentation(**STILL)
    fields = [augmented(augmentation, ramp, seed)[1] - augmented(still, ramp, seed)[1] for seed in range(4)]
    assert float(torch.stack(fields)[..., 16:-16, 16:-16].std()) == pytest.approx(0.357, abs=0.02)


def test_gamma_keeps_the_range_of_the_image_and_leaves_the_mask() -> None:
    ramp = torch.linspace(-2, 3, 64).expand(1, 64, 64)
    image, mask = augmented(episode_augmentation(**{**STILL, "gamma": (0.5, 0.51)}), ramp, seed=0)
    assert float(image.min()) == pytest.approx(-2, abs=0.01)
    assert float(image.max()) == pytest.approx(3, abs=0.01)
    expected = ((mask + 2) / 5).clamp(0) ** 0.505 * 5 - 2
    np.testing.assert_allclose(image, expected, atol=0.05)
