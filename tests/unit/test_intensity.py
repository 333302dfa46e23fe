from pathlib import Path

import numpy as np
import pytest
import torch
from monai.data import MetaTensor
from monai.transforms import Compose, Invertd, Orientationd

from protoseg.data.preprocessing.intensity import (
    CropBody,
    CropBodyd,
    NormalizeByModality,
    NormalizeByModalityd,
)
from protoseg.data.preprocessing.modality import modality_of
from protoseg.data.preprocessing.transforms import LoadLabelsd, LoadVolumed
from protoseg.errors import InputError


def scan(values: np.ndarray | list[float], spacing: tuple[float, ...] = (1, 1, 1), kind: str = "volume") -> MetaTensor:
    voxels = torch.as_tensor(np.asarray(values, dtype=np.float32))
    voxels = voxels.reshape((1, -1, 1, 1)) if voxels.ndim == 1 else voxels
    return MetaTensor(voxels, affine=torch.diag(torch.tensor([*spacing, 1.0])), meta={"kind": kind})


def body(*, inside: float, outside: float, table: float | None = None, noise: float = 0.0) -> MetaTensor:
    """An ellipse of 240 x 160 mm at X 25..85, Y 20..60, pixels of 4 mm; a table of 8 mm below it."""
    x, y = np.meshgrid(np.arange(110), np.arange(90), indexing="ij")
    inside_mask = ((x - 55) / 30.0) ** 2 + ((y - 40) / 20.0) ** 2 <= 1
    image = np.where(inside_mask, inside, outside).astype(np.float32)
    if table is not None:
        image[5:105, 63:65] = table
    stack = np.repeat(image[None, :, :, None], 5, axis=3)
    stack += noise * np.abs(np.random.default_rng(0).normal(size=stack.shape))
    return scan(stack, spacing=(4, 4, 5))


def test_ct_window_with_fixed_statistics() -> None:
    image = scan([-1000, -125, 75, 275, 3000])
    normalised = NormalizeByModality(subtrahend=0, divisor=255)(image)
    assert normalised.flatten().tolist() == pytest.approx([0, 0, 0.5, 1, 1])
    assert image.flatten().tolist() == [-1000, -125, 75, 275, 3000]


def test_ct_of_its_own_statistics() -> None:
    normalised = NormalizeByModality("ct")(scan([-1000, -125, 75, 275, 3000]))
    scaled = np.array([0, 0, 127.5, 255, 255])
    assert normalised.flatten().tolist() == pytest.approx((scaled - scaled.mean()) / scaled.std(), abs=1e-5)


def test_mr_cuts_the_brightest_voxels() -> None:
    values = np.arange(1000, dtype=np.float32)
    normalised = NormalizeByModality()(scan(values))
    cut = values.clip(max=np.percentile(values, 99.5))
    np.testing.assert_allclose(normalised.flatten(), (cut - cut.mean()) / cut.std(), atol=1e-4)


def test_channels_of_a_picture_are_normalised_apart() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (3, 9, 8, 1)) / [[[[1]]], [[[2]]], [[[5]]]]
    normalised = NormalizeByModality()(scan(pixels, kind="picture"))
    assert normalised.shape == (3, 9, 8, 1)
    np.testing.assert_allclose(normalised.mean(dim=(1, 2, 3)), [0, 0, 0], atol=1e-5)
    np.testing.assert_allclose(normalised.std(dim=(1, 2, 3), unbiased=False), [1, 1, 1], atol=1e-5)


def test_image_outside_the_window_is_zero() -> None:
    assert NormalizeByModality("ct")(scan([1000, 2000, 3000])).flatten().tolist() == [0, 0, 0]


@pytest.mark.parametrize(
    ("values", "kind", "modality"),
    [
        ([-501, 0], "volume", "ct"),
        ([-500, 0], "volume", "mr"),
        ([0, 900], "volume", "mr"),
        ([-501, 0], "picture", "picture"),
    ],
)
def test_modality(values: list[float], kind: str, modality: str) -> None:
    assert modality_of(scan(values, kind=kind)) == modality


def test_unknown_modality_is_refused() -> None:
    with pytest.raises(InputError) as error:
        NormalizeByModality("pet")(scan([0, 1]))  # type: ignore[arg-type]
    assert str(error.value) == "modality: found 'pet', expected auto, ct, mr, picture."


@pytest.mark.parametrize(
    "image",
    [
        body(inside=40, outside=-1000),
        body(inside=40, outside=-1000, table=100),
        body(inside=300, outside=0, noise=20),
    ],
    ids=["ct", "ct with table", "mr"],
)
def test_crop_is_the_body_and_its_margin(image: MetaTensor) -> None:
    start, end = CropBody(margin=8).compute_bounding_box(image)
    np.testing.assert_allclose(start, [25 - 2, 20 - 2, 0], atol=1)
    np.testing.assert_allclose(end, [86 + 2, 61 + 2, 5], atol=1)
    assert CropBody(margin=8)(image).shape == (1, *(end - start))


def test_margin_ends_at_the_edge_of_the_image() -> None:
    start, end = CropBody(margin=1000).compute_bounding_box(body(inside=40, outside=-1000))
    assert (start.tolist(), end.tolist()) == ([0, 0, 0], [110, 90, 5])


def test_lungs_do_not_open_the_chest() -> None:
    image = body(inside=40, outside=-1000)
    image[:, 34:52, 30:51] = -900
    image[:, 59:77, 30:51] = -900
    start, end = CropBody(margin=0).compute_bounding_box(image)
    np.testing.assert_allclose(end - start, [61, 41, 5], atol=2)


def test_both_legs_and_all_fingers_are_kept() -> None:
    legs = body(inside=-1000, outside=-1000)
    legs[:, 10:40, 20:50] = 40
    legs[:, 60:90, 25:55] = 40
    start, end = CropBody(margin=0).compute_bounding_box(legs)
    assert (start.tolist(), end.tolist()) == ([10, 20, 0], [90, 55, 5])

    hand = body(inside=-1000, outside=-1000)
    hand[:, 20:45, 20:40] = 40
    for finger in range(20, 45, 6):
        hand[:, finger : finger + 4, 40:65] = 40
    start, end = CropBody(margin=0).compute_bounding_box(hand)
    assert (start.tolist(), end.tolist()) == ([20, 20, 0], [48, 65, 5])


def test_pictures_and_scans_without_a_body_stay_whole() -> None:
    air = body(inside=-1000, outside=-1000, noise=10)
    photo = scan(np.random.default_rng(0).integers(0, 256, (3, 20, 10, 1)), kind="picture")
    assert CropBody()(air).shape == air.shape
    assert CropBody()(photo).shape == photo.shape


def test_crop_and_orientation_are_inverted_exactly() -> None:
    image = body(inside=40, outside=-1000)
    image.affine = torch.tensor([[0, 5.0, 0, 3], [-4, 0, 0, 8], [0, 0, 4, -9], [0, 0, 0, 1]]).double()
    # X and Y of the array are not X and Y of the body until the slices are axial.
    labels = MetaTensor(((image > 0) * (torch.arange(5) + 1)).to(torch.int16), meta=dict(image.meta))
    before = Compose(
        [
            Orientationd(("image", "label"), axcodes="LPS", labels=None),
            CropBodyd(("image", "label"), margin=8),
        ]
    )
    item = before({"image": image.clone(), "label": labels.clone()})
    assert item["image"].shape == item["label"].shape
    assert item["image"].numel() < 0.6 * image.numel()
    item["pred"] = MetaTensor(item["label"].as_tensor())
    item = Invertd("pred", transform=before, orig_keys="image", nearest_interp=True)(item)
    assert torch.equal(item["pred"].as_tensor().to(torch.int16), labels.as_tensor())
    assert torch.allclose(item["pred"].affine, image.affine)


def test_dictionary_form_leaves_the_rest() -> None:
    item = NormalizeByModalityd("image", modality="ct", subtrahend=0, divisor=255)({"image": scan([75]), "fold": 1})
    assert (item["image"].item(), item["fold"]) == (0.5, 1)


@pytest.mark.parametrize(
    ("image", "labels", "most"),
    [("ct_a.nii.gz", "ct_a_labels.nii.gz", 1.0), ("ct_dicom", "ct_dicom_labels.nii.gz", 0.5)],
)
def test_real_crop_keeps_all_organs_and_leaves_the_table(
    real_scans: Path, image: str, labels: str, most: float
) -> None:
    keys = ("image", "label")
    load = Compose([LoadVolumed("image"), LoadLabelsd("label"), Orientationd(keys, axcodes="LPS", labels=None)])
    whole = load({"image": real_scans / image, "label": real_scans / labels})
    cropped = CropBodyd(keys)(whole)
    assert (cropped["label"] > 0).sum() == (whole["label"] > 0).sum()
    assert cropped["image"].numel() < most * whole["image"].numel()
