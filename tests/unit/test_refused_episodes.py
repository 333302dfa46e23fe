"""Scans and settings that episodes cannot be drawn of."""

from pathlib import Path
from typing import Any

import pytest
from episode_scans import LOAD, episodes, write_scan
from monai.transforms import Compose, Lambdad, RandAffined

from protoseg.data.preprocessing.transforms import Preprocessing
from protoseg.errors import InputError


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("scans")


@pytest.fixture(scope="module")
def data(folder: Path) -> list[dict[str, str]]:
    return [write_scan(folder, "first", 20), write_scan(folder, "second", 60)]


def refuse(message: str) -> Compose:
    """Give a transform that finds its image wanting."""

    def raise_error(_: object) -> None:
        raise InputError(message)

    return Preprocessing([Lambdad("image", raise_error)])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"exclude_labels": (0,)},
            "No slice is left: every slice of all 2 scan(s), the first of them {image}, "
            "shows one of the excluded labels [0]. Exclude fewer labels or add scans.",
        ),
        (
            {"threshold": 255},
            "No superpixel of 1 pixels or more was found in 2 scan(s), the first of them {image}. "
            "Check that the images are not empty, set `threshold` below the body or lower `min_superpixel`.",
        ),
        (
            {"transform": Compose([LOAD, Lambdad("image", lambda image: image / 0)])},
            "{image} holds NaN, infinity or intensities beyond 65504 after the transforms: "
            "repair the file or normalize its intensities.",
        ),
        (
            {"transform": Compose([LOAD, Lambdad("image", lambda image: image.repeat(2, 1, 1, 1))])},
            "{image} has 2 channels, expected 1 channel (gray) or 3 (RGB): change `transform`.",
        ),
        (
            {
                "transform": Compose([LOAD, Lambdad("image", lambda image: image.repeat(3, 1, 1, 1))]),
                "adjacent_slices": True,
            },
            "{image} has 3 channels, expected 1 channel for adjacent slices: change `transform`.",
        ),
        (
            {
                "transform": Compose([LOAD, Lambdad("label", lambda label: label[..., :4])]),
                "exclude_labels": (2,),
            },
            "{label} has 4 slices and {image} 6: a label must lie on its image's grid. Resample it first.",
        ),
        ({"transform": refuse("{image} is odd.")}, "{image} is odd."),
    ],
    ids=["no slice", "no superpixel", "not finite", "channels", "adjacent", "label grid", "transform"],
)
def test_what_cannot_be_used_is_refused(
    data: list[dict[str, str]], tmp_path: Path, changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(InputError) as error:
        episodes(data, tmp_path, **changes)
    expected = message if "odd" in message else message.format(**data[0])
    assert str(error.value) == expected


def test_no_scans_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"^There are no training scans: 'data' is empty\."):
        episodes([], tmp_path)


def test_scan_without_the_label_that_is_needed_is_refused(data: list[dict[str, str]], tmp_path: Path) -> None:
    image = data[0]["image"]
    with pytest.raises(InputError) as error:
        episodes([{"image": image}], tmp_path, exclude_labels=(1,))
    assert str(error.value) == (
        f"{image} has no label file, which must tell the slices with excluded labels. "
        "Add its 'label' or exclude no labels."
    )


def test_augmentation_that_leaves_nothing_is_refused(data: list[dict[str, str]], folder: Path) -> None:
    away = Compose(
        [RandAffined(["image", "mask"], prob=1.0, translate_range=[(500, 501), (500, 501)], padding_mode="zeros")]
    )
    with pytest.raises(InputError, match=r"^Episode 7: the augmentation left nothing of 20 superpixels in a row"):
        episodes(data, folder, augmentation=away)[7]


def test_negative_index_is_refused(data: list[dict[str, str]], folder: Path) -> None:
    with pytest.raises(IndexError, match="Episodes are numbered from 0, found -1"):
        episodes(data, folder)[-1]
