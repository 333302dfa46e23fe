"""Images and labels in memory are what their files are."""

import nibabel
import numpy as np
import pytest
from PIL import Image

from protoseg.data.io.in_memory import image_source, label_source
from protoseg.data.io.volumes import read_image, read_labels
from protoseg.errors import InputError

MASK = np.zeros((12, 10), np.uint8)
MASK[3:8, 2:6] = 1
VOLUME = np.arange(12 * 10 * 9, dtype=np.float32).reshape(12, 10, 9)
HALVES = np.stack([VOLUME < 100, VOLUME > 900], axis=-1).astype(np.uint8)


@pytest.mark.parametrize(
    "picture",
    [
        Image.fromarray(255 * MASK),
        Image.fromarray(255 * MASK).convert("1"),
        Image.fromarray(7 * MASK),
        Image.fromarray(MASK).convert("P"),
        Image.merge("LA", [Image.new("L", (10, 12)), Image.fromarray(255 * MASK)]),
    ],
    ids=["black and white", "bits", "values", "palette", "transparency"],
)
def test_a_label_picture(picture, tmp_path):
    picture.save(tmp_path / "mask.png")
    of_file = read_labels(tmp_path / "mask.png")
    of_object = label_source(picture, "mask")
    np.testing.assert_array_equal(of_object, of_file)
    assert of_object.meta["label_values"] == of_file.meta["label_values"]
    np.testing.assert_array_equal(of_object[0, ..., 0] > 0, MASK.T > 0)


@pytest.mark.parametrize("shape", [(12, 10, 9), (12, 10, 9, 1), (12, 10, 9, 1, 1)])
def test_axes_of_one_may_follow(shape, tmp_path):
    image = nibabel.Nifti1Image(VOLUME.reshape(shape), np.eye(4))
    nibabel.save(image, tmp_path / "scan.nii")
    np.testing.assert_array_equal(image_source(image, "scan"), read_image(tmp_path / "scan.nii"))


@pytest.mark.parametrize("shape", [(12, 10, 9, 2), (12, 10, 9, 1, 2)])
def test_a_mask_per_channel(shape, tmp_path):
    image = nibabel.Nifti1Image(HALVES.reshape(shape), np.eye(4))
    nibabel.save(image, tmp_path / "masks.nii")
    of_object = label_source(image, "masks")
    np.testing.assert_array_equal(of_object, read_labels(tmp_path / "masks.nii"))
    assert of_object.meta["label_values"] == [1, 2]


@pytest.mark.parametrize("source", [nibabel.Nifti1Image(HALVES, np.eye(4)), Image.new("RGB", (10, 12), "red")])
def test_what_holds_no_single_image_or_labels_is_refused_by_name(source):
    with pytest.raises(InputError, match=r"^mine: "):
        (label_source if isinstance(source, Image.Image) else image_source)(source, "mine")
