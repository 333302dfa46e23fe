"""Slices of tissues are imaged by chance, and their labels move with the image."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from protoseg.data.pretraining.imaging import image_slices, smooth_field
from protoseg.synthesis.anatomy.tissues import Tissue
from protoseg.synthesis.random_contrast import CONTRAST_SHARES, random_contrast
from protoseg.synthesis.random_view import FINE_WARP, WARP, View, random_views
from protoseg.synthesis.subjects import FRAME, Box


def flat_view(**changes: object) -> View:
    """The whole frame of `FRAME` pixels, neither turned nor warped."""
    view = View(
        matrix=np.array([[FRAME, 0, FRAME / 2], [0, FRAME, FRAME / 2]], dtype=np.float32),
        warp=np.zeros((2, 1 + WARP, 1 + WARP), np.float32),
        fine_warp=np.zeros((2, 1 + FINE_WARP, 1 + FINE_WARP), np.float32),
        extent=np.ones(2, np.float32),
    )
    return view._replace(**changes)


def recipe(maps: np.ndarray, view: View, *, windowed: bool = False, colored: bool = False, **levels: float) -> dict:
    """One slice as `image_slices` takes it, by a perfect scanner; `levels` are brightness by tissue."""
    mean = torch.zeros(len(Tissue))
    for name, level in levels.items():
        mean[Tissue[name]] = level
    numbers = {"blur": 0.0, "noise": 0.0, "detail": 1.0, "gamma": 1.0, "gain": 1.0, "offset": 0.0}
    fields = {key: torch.from_numpy(value)[None] for key, value in view._asdict().items()}
    return {
        "maps": torch.from_numpy(maps)[None],
        "mean": mean[None],
        "texture": torch.zeros(1, len(Tissue)),
        "windowed": torch.tensor([windowed]),
        "colored": torch.tensor([colored]),
        "smooth_noise": torch.tensor([False]),
        "shading": torch.zeros(1, 4, 4),
        "color_gain": torch.ones(1, 3),
        **{key: torch.tensor([value]) for key, value in numbers.items()},
        **fields,
    }


def test_surface_pixels_mix_two_tissues() -> None:
    maps = np.zeros((4, FRAME, FRAME), np.uint8)
    maps[0], maps[1], maps[2] = Tissue.LIVER, Tissue.SPLEEN, 204
    maps[0, :, : FRAME // 2] = Tissue.SPLEEN
    slices = recipe(maps, flat_view(), windowed=True, LIVER=1.0, SPLEEN=0.5)
    images, _ = image_slices(slices, size=FRAME, generator=torch.Generator().manual_seed(0))
    left, right = images[0, 0, 5, 5], images[0, 0, 5, -5]
    # Half of the image is 0.5, half 0.8 * 1 + 0.2 * 0.5 = 0.9: z-scores of -1 and 1.
    assert (left.item(), right.item()) == (pytest.approx(-1, abs=0.02), pytest.approx(1, abs=0.02))


@settings(deadline=None, max_examples=30)
@given(seed=st.integers(0, 2**32 - 1), upright=st.booleans())
def test_image_and_labels_move_together(seed: int, upright: bool) -> None:
    maps = np.zeros((4, FRAME, FRAME), np.uint8)
    disc = np.hypot(*(np.indices((FRAME, FRAME)) - np.array([[[90]], [[110]]]))) < 45
    maps[0], maps[2], maps[3] = np.where(disc, Tissue.LIVER, Tissue.AIR), 255, disc
    for view in random_views(np.random.default_rng(seed), (Box(10, 200, 10, 210),) * 2, upright=upright):
        slices = recipe(maps, view, windowed=True, LIVER=1.0)
        images, labels = image_slices(slices, size=96, generator=torch.Generator().manual_seed(0))
        if not 0.02 < (labels > 0).float().mean() < 0.95:
            continue  # enlarged beside or inside the disc
        high, low = images.amax(), images.amin()
        assert ((images[0, 0] > (high + low) / 2) != (labels[0] > 0)).float().mean() < 0.03


def test_a_ct_is_cut_to_its_window_and_padded_with_its_darkest() -> None:
    maps = np.zeros((4, FRAME, FRAME), np.uint8)
    maps[0], maps[2], maps[3] = Tissue.LIVER, 255, 7
    maps[0, 100:120, 100:120] = Tissue.CORTICAL_BONE
    view = flat_view(extent=np.array([0.5, 1.0], np.float32))
    slices = recipe(maps, view, windowed=True, LIVER=0.5, CORTICAL_BONE=9.0)
    images, labels = image_slices(slices, size=96, generator=torch.Generator().manual_seed(0))
    assert (labels[0, :24] == 0).all() and (labels[0, -24:] == 0).all() and (labels[0, 24:-24] == 7).all()
    assert (images[0, :, :24] == images.min()).all() and images[0, 0, 26, 5] == pytest.approx(images.min().item())
    spread = (images.max() - images.min()) / images[0, 0, 24:-24].std()
    bone = 20 * 20 / (108 * FRAME)
    assert spread == pytest.approx(1 / np.sqrt(bone * (1 - bone)), rel=0.15)  # 0.5 and 1, but for the rim


def test_pictures_keep_their_colors() -> None:
    maps = np.zeros((4, FRAME, FRAME), np.uint8)
    maps[0, :, ::2], maps[1, ::2], maps[3] = 255, 255, 3
    slices = recipe(maps, flat_view(), colored=True)
    images, labels = image_slices(slices, size=FRAME, generator=torch.Generator().manual_seed(0))
    red, green, blue = images[0]
    assert torch.equal(red[0], red[1]) and torch.equal(green[:, 0], green[:, 1]) and not torch.equal(red, green)
    assert torch.isfinite(blue).all() and (labels == 3).all()


def test_smooth_fields_have_the_variance_of_their_knots() -> None:
    knots = torch.randn(2000, 1, 6, 6, generator=torch.Generator().manual_seed(0))
    field = smooth_field(knots, 24)
    assert field.shape == (2000, 1, 24, 24)
    assert (field.square().mean(0) - 1).abs().max() < 0.2
    assert (field[..., 1:] - field[..., :-1]).abs().mean() < 0.3 * field.abs().mean()


def test_contrasts_differ_and_repeat_with_the_seed() -> None:
    first, again, other = (random_contrast(np.random.default_rng(seed)) for seed in (3, 3, 4))
    np.testing.assert_array_equal(first.mean, again.mean)
    assert not np.array_equal(first.mean, other.mean)
    assert len(first.mean) == len(first.texture) == len(Tissue)


@pytest.mark.parametrize("kind", CONTRAST_SHARES)
def test_a_contrast_can_be_chosen(kind: str) -> None:
    drawn = [random_contrast(np.random.default_rng(seed), {kind: 1.0}) for seed in range(20)]
    assert all(contrast.windowed == (kind == "ct") for contrast in drawn)
    liver, spleen = (np.mean([contrast.mean[tissue] for contrast in drawn]) for tissue in (Tissue.LIVER, Tissue.SPLEEN))
    assert {"t1": liver > spleen, "t2": liver < spleen}.get(kind, True)
