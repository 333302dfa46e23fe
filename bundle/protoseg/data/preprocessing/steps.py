"""The steps of the preprocessing on cases {"image": ..., "label": ...}, which `Segmenter` takes without MONAI.

The transforms that the configs name are MONAI's dictionary form of these: each holds its step, with the same arguments,
and does what the step does. So both ways share one arithmetic, and one key.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

from protoseg.data.io.grids import LabelGrid, align_labels
from protoseg.data.io.volumes import read_image, read_labels
from protoseg.data.preprocessing.body import MARGIN, body_box, crop
from protoseg.data.preprocessing.modality import ModalityChoice
from protoseg.data.preprocessing.normalization import normalize
from protoseg.data.preprocessing.orientation import SLICE_AXES, PlaneChoice, check_plane, find_orientation, turn
from protoseg.data.preprocessing.padding import without_padding
from protoseg.data.preprocessing.resampling import Mode, resample, square_size
from protoseg.ops.hashing import fingerprint
from protoseg.ops.volume import Volume

__all__ = [
    "CropBody",
    "LoadLabels",
    "LoadVolume",
    "NormalizeIntensity",
    "OrientSlices",
    "ScanTransform",
    "SquarePixels",
    "Step",
    "Steps",
    "read_volume",
    "scan_preprocessing",
    "transform_key",
    "transforms_key",
]

FORMAT = 3  # raise it when the code changes the result of a transform, so that stored results are made again

Case = Mapping[Any, Any]


@runtime_checkable
class ScanTransform(Protocol):
    """A transform from the files of a case to the engine's input, with a key: `Steps`, or MONAI's `Preprocessing`."""

    key: str
    """Stands for the transforms and their parameters, in every process alike."""

    transforms: Sequence[Callable[[Any], Any]]
    """In order; the first one reads the image."""

    def __call__(self, case: Any, /) -> Any:
        """Apply the transforms in order."""


def transform_key(transform: Callable[[Any], Any]) -> str:
    """Give the key of a `ScanTransform`, or the present fingerprint of another callable, which may change in use."""
    return transform.key if isinstance(transform, ScanTransform) else fingerprint(transform)


def transforms_key(transforms: Sequence[Any]) -> str:
    """Give the key of transforms, which is the same for a step and MONAI's form of it."""
    return fingerprint(FORMAT, [getattr(transform, "step", transform) for transform in transforms])


def read_volume(path: Any) -> Volume:
    """Read an image; padding is filled before interpolation could blur it into meaningless values.

    The padding gets the lowest of the other values, see `without_padding`. int16 voxels stay so until they are
    resampled or normalized, so that turning and cropping a large scan take half the memory.
    """
    image = Volume.of(read_image(path, integers=True))
    return Volume.at(without_padding(image.as_tensor()), image.affine, image.meta)


@dataclass
class Step:
    """Changes the entries of some keys.

    Args:
        keys: key of the entry, or keys of several.
        allow_missing_keys: True to pass over missing keys.
    """

    keys: Any
    allow_missing_keys: bool = False

    def __post_init__(self) -> None:
        self.keys = (self.keys,) if isinstance(self.keys, str) else tuple(self.keys)

    def present(self, case: Case) -> Iterator[str]:
        """Give the keys that are present.

        Raises:
            KeyError: a required key is missing.
        """
        for key in self.keys:
            if key in case or not self.allow_missing_keys:
                yield key


@dataclass
class LoadVolume(Step):
    """Read the image at each key's path."""

    def __call__(self, case: Case) -> dict[str, Any]:
        """Read the images."""
        return {**case, **{key: read_volume(case[key]) for key in self.present(case)}}


@dataclass
class LoadLabels(Step):
    """Read the label map at each key's path, on the grid of the image of `image_key`; see `align_labels`."""

    image_key: str = "image"
    label_grid: LabelGrid = "affine"

    def __call__(self, case: Case) -> dict[str, Any]:
        """Read the label maps and align them."""
        image = case[self.image_key]
        aligned = {
            key: align_labels(read_labels(case[key], image), image, self.label_grid) for key in self.present(case)
        }
        return {**case, **aligned}


@dataclass
class OrientSlices(Step):
    """Turn each key's image as that of `source_key` is turned, see `find_orientation`; `SLICE_AXES` is removed."""

    plane: PlaneChoice = "auto"
    source_key: str = "image"

    def __post_init__(self) -> None:
        super().__post_init__()
        check_plane(self.plane)

    def __call__(self, case: Case) -> dict[str, Any]:
        """Turn the images."""
        result = dict(case)
        orientation = find_orientation(result[self.source_key], self.plane, result.pop(SLICE_AXES, None))
        return {**result, **{key: turn(result[key], orientation) for key in self.present(result)}}


@dataclass
class CropBody(Step):
    """Crop each key's image to the body in that of `source_key`, see `body_box`."""

    source_key: str = "image"
    margin: float = MARGIN
    modality: ModalityChoice = "auto"

    def __call__(self, case: Case) -> dict[str, Any]:
        """Crop the images."""
        box = body_box(case[self.source_key], self.margin, self.modality)
        return {**case, **{key: crop(case[key], *box) for key in self.present(case)}}


@dataclass
class SquarePixels(Step):
    """Resample each key's image to square pixels by the spacing of that of `source_key`; one mode for all, or one each.

    Inverting restores a label map exactly: every pixel of the coarser grid has its center in one of the finer.
    """

    mode: Mode | Sequence[Mode] = "bilinear"
    source_key: str = "image"

    def __post_init__(self) -> None:
        super().__post_init__()
        self.mode = (self.mode,) * len(self.keys) if isinstance(self.mode, str) else tuple(self.mode)

    def __call__(self, case: Case) -> dict[str, Any]:
        """Resample the images."""
        size, modes = square_size(case[self.source_key]), dict(zip(self.keys, self.mode))
        return {**case, **{key: resample(case[key], size, modes[key]) for key in self.present(case)}}


@dataclass
class NormalizeIntensity(Step):
    """Bring the intensities of each key's image to zero mean and unit variance, see `normalize`."""

    modality: ModalityChoice = "auto"
    subtrahend: float | None = None
    divisor: float | None = None

    def __call__(self, case: Case) -> dict[str, Any]:
        """Normalize the images."""
        arguments = self.modality, self.subtrahend, self.divisor
        return {**case, **{key: normalize(case[key], *arguments) for key in self.present(case)}}


class Steps:
    """Steps in order, with a key that identifies them."""

    def __init__(self, transforms: Sequence[Callable[[Any], Any]]) -> None:
        self.transforms: Sequence[Callable[[Any], Any]] = list(transforms)
        self.key = transforms_key(self.transforms)

    def __call__(self, case: Any) -> Any:
        """Apply the steps in order."""
        for step in self.transforms:
            case = step(case)
        return case


def scan_preprocessing(
    *,
    plane: PlaneChoice = "auto",
    label_grid: LabelGrid = "affine",
    modality: ModalityChoice = "auto",
    subtrahend: float | None = None,
    divisor: float | None = None,
    crop: bool = True,
    margin: float = MARGIN,
) -> Steps:
    """Make the preprocessing of scans: read, orient, crop to the body, make pixels square, normalize.

    Args:
        plane: plane of the slices.
        label_grid: alignment of labels, see `align_labels`.
        modality: modality of the scans, for the body and the intensities.
        subtrahend: mean to subtract, see `normalize`.
        divisor: standard deviation to divide by, see `normalize`.
        crop: True to crop to the body.
        margin: margin kept around the body in mm.
    """
    both = ("image", "label")
    made: list[Callable[[Any], Any]] = [
        LoadVolume("image"),
        LoadLabels("label", True, label_grid=label_grid),
        OrientSlices(both, True, plane),
        CropBody(both, True, margin=margin, modality=modality),
        SquarePixels(both, True, ("bilinear", "nearest")),
        NormalizeIntensity("image", modality=modality, subtrahend=subtrahend, divisor=divisor),
    ]
    return Steps([step for step in made if crop or not isinstance(step, CropBody)])
