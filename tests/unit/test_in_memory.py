"""Images and labels in memory are what their files are."""

from io import BytesIO

import nibabel
import numpy as np
import pytest
import torch
from monai.data import MetaTensor
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


def two_pages():
    file = BytesIO()
    Image.fromarray(MASK).save(file, "TIFF", save_all=True, append_images=[Image.fromarray(MASK)])
    return Image.open(file)


@pytest.mark.parametrize(
    ("read", "source", "message"),
    [
        (image_source, nibabel.Nifti1Image(HALVES, np.eye(4)), "mine: the image has 12 x 10 x 9 x 2 voxels in 4"),
        (label_source, Image.new("RGB", (10, 12), "red"), "mine: the label picture is in color"),
        (image_source, two_pages(), "mine: the picture has 2 pages, expected one."),
        (label_source, two_pages(), "mine: the picture has 2 pages, expected one."),
        (image_source, nibabel.Nifti1Image(VOLUME + 1j, np.eye(4)), "mine: the voxels are of the type complex64"),
        (image_source, MetaTensor(torch.zeros(1, 9, 9, 9, dtype=torch.complex64)), "mine: the voxels are complex"),
        (image_source, nibabel.Nifti1Image(np.zeros((0, 9, 9), np.int16), np.eye(4)), "mine holds no voxels"),
        (image_source, nibabel.Nifti1Image(VOLUME, np.diag([1e9, 1, 1, 1])), "mine: its voxels are"),
    ],
)
def test_what_a_file_would_be_refused_for(read, source, message):
    with pytest.raises(InputError, match=f"^{message}"):
        read(source, "mine")


def test_numbers_of_half_precision_are_read():
    image = image_source(MetaTensor(torch.as_tensor(VOLUME)[None].bfloat16(), affine=np.eye(4)), "mine")
    np.testing.assert_allclose(image[0], VOLUME, rtol=0.01)


def test_an_affine_that_was_edited_counts_as_nibabel_saves_it(tmp_path):
    image = nibabel.Nifti1Image(VOLUME, np.eye(4))
    image.affine[0, 3] += 1000
    read = image_source(image, "mine")
    assert image.header.get_best_affine()[0, 3] == 0, "it is left as it is"
    nibabel.save(image, tmp_path / "scan.nii")
    np.testing.assert_array_equal(read.affine, read_image(tmp_path / "scan.nii").affine)
