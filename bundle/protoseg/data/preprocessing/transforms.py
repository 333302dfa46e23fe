"""The first and last transforms of every config: files to tensors, and label maps to files."""

from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import Any

from monai.config import KeysCollection
from monai.data import MetaTensor
from monai.transforms import Compose, MapTransform, Transform

from protoseg.data.io.grids import LabelGrid
from protoseg.data.io.pictures import write_label_picture
from protoseg.data.io.volumes import query_id, read_labels, write_label_map
from protoseg.data.preprocessing import steps
from protoseg.data.preprocessing.meta_tensors import meta_tensor
from protoseg.data.preprocessing.steps import read_volume, transforms_key
from protoseg.errors import input_errors_unwrapped
from protoseg.files import PathLike, to_path
from protoseg.ops.volume import Volume

__all__ = [
    "LoadLabels",
    "LoadLabelsd",
    "LoadVolume",
    "LoadVolumed",
    "Preprocessing",
    "SaveLabelMap",
    "SaveLabelMapd",
]


class Preprocessing(Compose):
    """MONAI's `Compose` with a key, except that an `InputError` reaches the user as it was raised.

    MONAI wraps whatever a transform raises in a RuntimeError that names the transform; the sentence that
    tells the user what is wrong with the file would be buried in it.

    `key` identifies the transforms and their parameters, in every process alike.
    """

    def __init__(self, transforms: Sequence[Callable]) -> None:
        super().__init__(transforms)
        # Now, because MONAI's transforms record their last action in themselves.
        self.key = transforms_key(self.transforms)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Apply the transforms in order."""
        with input_errors_unwrapped():
            return super().__call__(*args, **kwargs)


class LoadVolume(Transform):
    """Read an image by `read_image`, its padding filled with the lowest of the other values.

    Example::

        LoadVolume()("scan.nii.gz").shape  # (1, 512, 512, 90)
        LoadVolume()("photo.png").shape  # (3, 640, 480, 1)
    """

    def __call__(self, path: PathLike) -> MetaTensor:
        """Read the image at `path`."""
        return meta_tensor(read_volume(path))


class LoadVolumed(MapTransform):
    """Dictionary form of `LoadVolume`: each key's path becomes its image."""

    def __init__(self, keys: KeysCollection, allow_missing_keys: bool = False) -> None:
        super().__init__(keys, allow_missing_keys)
        self.step = steps.LoadVolume(keys, allow_missing_keys)

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Read the image at each key's path."""
        return {**data, **{key: meta_tensor(read_volume(data[key])) for key in self.key_iterator(data)}}


class LoadLabels(Transform):
    """Array form of `read_labels`.

    Example::

        LoadLabels()("organs.nii.gz").unique()  # [0, 1, 4]
        LoadLabels()("black_and_white.png").unique()  # [0, 1]
    """

    def __call__(self, path: PathLike) -> MetaTensor:
        """Read the label map at `path`."""
        return meta_tensor(Volume.of(read_labels(path)))


class LoadLabelsd(MapTransform):
    """Dictionary form of `LoadLabels`: each key's path becomes its label map, on the grid of an image.

    Args:
        keys: keys of the label maps' paths.
        image_key: key of an image that is already loaded, as by `LoadVolumed`.
        label_grid: alignment of the labels, see `align_labels`.
        allow_missing_keys: True to pass over missing keys.
    """

    def __init__(
        self,
        keys: KeysCollection,
        image_key: str = "image",
        label_grid: LabelGrid = "affine",
        allow_missing_keys: bool = False,
    ) -> None:
        super().__init__(keys, allow_missing_keys)
        self.step = steps.LoadLabels(keys, allow_missing_keys, image_key, label_grid)

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Read the label map at each key's path and align it."""
        read = self.step(data)
        return {**data, **{key: meta_tensor(read[key]) for key in self.key_iterator(data)}}


class SaveLabelMap(Transform):
    """Write a label map (1, X, Y, Z) into a folder, named after the image it came from.

    The name comes from `meta["filename_or_obj"]`. The label map of a picture is also written as a picture.

    Example::

        labels.meta["filename_or_obj"]  # "scans/anna.nii.gz", or "photos/anna.jpg"
        SaveLabelMap("out")(labels)  # writes out/anna_seg.nii.gz, and out/anna_seg_labels.png for the photo
    """

    def __init__(self, output_dir: PathLike, postfix: str = "_seg") -> None:
        self.output_dir = to_path(output_dir, "output_dir")
        self.postfix = postfix

    def __call__(self, labels: MetaTensor) -> MetaTensor:
        """Write the label map and return it."""
        target = self.output_dir / f"{query_id(labels.meta['filename_or_obj'])}{self.postfix}"
        write_label_map(target.with_name(f"{target.name}.nii.gz"), labels, labels)
        if labels.meta.get("kind") == "picture":
            write_label_picture(target.with_name(f"{target.name}_labels.png"), labels.cpu().numpy())
        return labels


class SaveLabelMapd(MapTransform):
    """Dictionary form of `SaveLabelMap`."""

    def __init__(
        self,
        keys: KeysCollection,
        output_dir: PathLike,
        postfix: str = "_seg",
        allow_missing_keys: bool = False,
    ) -> None:
        super().__init__(keys, allow_missing_keys)
        self.saver = SaveLabelMap(output_dir, postfix)

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Write the label map of each key."""
        return {**data, **{key: self.saver(data[key]) for key in self.key_iterator(data)}}
