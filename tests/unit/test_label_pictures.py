"""Masks as people draw and export them: in the transparency, with soft edges; and maps of many labels as they are."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image, ImageFilter
from scipy.ndimage import gaussian_filter

from protoseg.data.io.pictures import read_label_picture, write_label_picture
from protoseg.data.io.soft_masks import without_soft_edges
from protoseg.errors import InputError


def square() -> np.ndarray:
    mask = np.zeros((64, 64), np.uint8)
    mask[20:40, 24:44] = 255
    return mask


def labels(path: Path) -> np.ndarray:
    """The picture's labels (H, W)."""
    return read_label_picture(path)[0, ..., 0].T


def discs(seed: int, count: int, size: int = 96) -> np.ndarray:
    """Bool (size, size): discs of radius 9 to 16."""
    random = np.random.default_rng(seed)
    x, y = np.mgrid[:size, :size]
    found = [np.hypot(x - a, y - b) < r for a, b, r in random.uniform((16, 16, 9), (80, 80, 16), (count, 3))]
    return np.any(found, axis=0)


@pytest.mark.parametrize("color", [0, 200, 255])
def test_a_mask_in_the_transparency(tmp_path: Path, color: int, caplog: pytest.LogCaptureFixture) -> None:
    Image.fromarray(np.dstack([np.full((64, 64, 3), color, np.uint8), square()])).save(tmp_path / "a.png")
    Image.fromarray(np.dstack([np.full((64, 64), color, np.uint8), square()])).save(tmp_path / "b.png")
    for name in ("a.png", "b.png"):
        np.testing.assert_array_equal(labels(tmp_path / name), square() > 0)
    assert caplog.messages == [
        f"{tmp_path / name}: the picture has one color, so its labels are read from its transparency."
        for name in ("a.png", "b.png")
    ]


def test_transparency_of_a_picture_that_holds_labels_is_dropped(tmp_path: Path) -> None:
    other = np.roll(square(), 9)
    Image.fromarray(np.dstack([square(), square(), square(), other])).save(tmp_path / "a.png")
    np.testing.assert_array_equal(labels(tmp_path / "a.png"), square() > 0)


def test_a_soft_mask_in_the_transparency(tmp_path: Path) -> None:
    alpha = Image.fromarray(square()).filter(ImageFilter.GaussianBlur(1))
    Image.fromarray(np.dstack([np.full((64, 64, 3), 255, np.uint8), np.asarray(alpha)])).save(tmp_path / "a.png")
    np.testing.assert_array_equal(np.unique(labels(tmp_path / "a.png")), [0, 1])


def test_an_antialiased_mask_is_thresholded_at_half(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    Image.fromarray(square()).filter(ImageFilter.GaussianBlur(1)).save(tmp_path / "soft.png")
    expected = np.asarray(Image.open(tmp_path / "soft.png")) > 127.5
    np.testing.assert_array_equal(labels(tmp_path / "soft.png"), expected)
    assert (expected != (square() > 0)).sum() <= 4, "a corner each, at most"
    assert caplog.messages == [
        f"{tmp_path / 'soft.png'}: 22 gray values occur on edges only, so they are taken for the soft edges of a mask: "
        "what is brighter than half is labelled."
    ]


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 2**32 - 1), st.integers(1, 4), st.floats(0.5, 1.5), st.sampled_from([255, 65535]))
def test_blurred_masks_become_masks(seed: int, count: int, blur: float, white: int) -> None:
    mask = discs(seed, count)
    soft = (gaussian_filter(mask.astype(float), blur) * white).round().astype(np.float32)
    hard = without_soft_edges(soft[None, ..., None], white, "a.png")[0, ..., 0]
    np.testing.assert_array_equal(hard, np.where(soft > white / 2, white, 0))


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 2**32 - 1), st.integers(1, 4), st.integers(2, 4))
def test_shrunken_masks_become_masks(seed: int, count: int, times: int) -> None:
    mask = discs(seed, count, 96).repeat(2, 0).repeat(2, 1)[: 192 // times * times, : 192 // times * times]
    edge = len(mask) // times
    soft = mask.reshape(edge, times, edge, times).mean(axis=(1, 3))
    gray = (soft * 255).round().astype(np.float32)
    if len(np.unique(gray)) >= 5:
        hard = without_soft_edges(gray[None, ..., None], 255, "a.png")[0, ..., 0]
        np.testing.assert_array_equal(hard, np.where(gray > 127.5, 255, 0))


@settings(deadline=None, max_examples=200)
@given(
    arrays(np.uint8, st.tuples(st.integers(2, 9), st.integers(2, 9)), elements=st.integers(0, 255)),
    st.integers(3, 6),
    st.booleans(),
)
def test_maps_of_labels_three_pixels_wide_are_never_touched(
    values: np.ndarray, width: int, black_and_white: bool
) -> None:
    if black_and_white:  # the surroundings in which masks are found
        values[0, 0], values[-1, -1] = 0, 255
    label_map = values.repeat(width, 0).repeat(width, 1).astype(np.float32)[None, ..., None]
    assert without_soft_edges(label_map, 255, "a.png") is label_map


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 2**32 - 1), st.integers(3, 60), st.booleans())
def test_cells_of_any_shape_are_never_touched(seed: int, count: int, on_black: bool) -> None:
    random = np.random.default_rng(seed)
    x, y = np.mgrid[:96, :96]
    distance = np.hypot(x[..., None] - random.uniform(0, 96, count), y[..., None] - random.uniform(0, 96, count))
    values = random.permutation(np.arange(255 - count, 255)) + 1
    cells = values[distance.argmin(axis=-1)]
    if on_black:
        cells = np.where(distance.min(axis=-1) < 96 / count**0.5 / 2, cells, 0)
    label_map = cells.astype(np.float32)[None, ..., None]
    assert without_soft_edges(label_map, 255, "a.png") is label_map


def test_one_value_on_edges_is_kept_and_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    ring = square()
    ring[20:40, 24] = ring[20:40, 43] = ring[20, 24:44] = ring[39, 24:44] = 128
    Image.fromarray(ring).save(tmp_path / "a.png")
    np.testing.assert_array_equal(labels(tmp_path / "a.png"), ring)
    assert caplog.messages == [
        f"{tmp_path / 'a.png'}: the value 128 occurs on edges only and is kept as a label. If it is a soft edge, save "
        "the mask without it."
    ]


@pytest.mark.parametrize("blur", [0, 2])
def test_an_image_is_refused(tmp_path: Path, blur: float) -> None:
    noise = gaussian_filter(np.random.default_rng(0).random((64, 64)), blur)
    gray = ((noise - noise.min()) / np.ptp(noise) * 255).astype(np.uint8)
    Image.fromarray(gray).save(tmp_path / "a.png")
    with pytest.raises(InputError) as error:
        labels(tmp_path / "a.png")
    count = len(np.unique(gray)) - 2
    assert str(error.value) == (
        f"{tmp_path / 'a.png'}: nearly all of its {count} gray values lie between darker and brighter ones, as in an "
        "image or a blurred mask, expected flat areas with one value a label. Check that this is the label map, and "
        "save masks without soft edges."
    )


@given(arrays(np.uint8, st.tuples(st.integers(8, 20), st.integers(8, 20)), elements=st.integers(0, 5)))
def test_what_is_written_is_read(tmp_path_factory: pytest.TempPathFactory, values: np.ndarray) -> None:
    path = tmp_path_factory.mktemp("labels") / "a_seg_labels.png"
    write_label_picture(path, values[None, ..., None])
    np.testing.assert_array_equal(read_label_picture(path)[0, ..., 0], values)
    assert np.asarray(Image.open(path)).tolist() == values.T.tolist(), "rows first, as everyone reads pictures"
