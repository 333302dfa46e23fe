import nibabel
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from monai.bundle import ConfigParser
from monai.data import MetaTensor
from nibabel.orientations import axcodes2ornt

from protoseg import bundle_root
from protoseg.data.io.source_grid import SourceGrid
from protoseg.data.io.volumes import read_image
from protoseg.errors import InputError
from protoseg.workflows.invert import InvertLabelMapd


def write_scan(path, axes, spacing, shape=(20, 14, 9)):
    """A bright box in the dark, stored along other axes."""
    image = np.full(shape, -1000, np.int16)
    image[4:17, 3:11] = 50
    stored = nibabel.Nifti1Image(image, np.diag([*spacing, 1]))
    stored.as_reoriented(axcodes2ornt(tuple(axes))).to_filename(path)


def preprocessing():
    parser = ConfigParser()
    parser.read_config(f"{bundle_root()}/configs/inference.yaml")
    parser["modality"] = "ct"
    return parser.get_parsed_content("preprocessing")


@pytest.mark.parametrize(
    ("axes", "spacing"), [("RAS", (3, 3, 5)), ("LPS", (3, 3, 5)), ("SAL", (3, 3, 5)), ("PIR", (1.5, 3, 5))]
)
def test_a_label_map_comes_back_as_by_inverting_every_transform(tmp_path, axes, spacing):
    path = tmp_path / "a.nii.gz"
    write_scan(path, axes, spacing)
    transform = preprocessing()
    image = transform({"image": str(path)})["image"]
    source = read_image(path)
    grid = SourceGrid(source.shape[1:], source.affine.numpy(), image.shape[1:], image.affine.numpy())

    labels = torch.randint(0, 5, image.shape, generator=torch.Generator().manual_seed(0))
    inverted = InvertLabelMapd("pred", transform, "image")({"pred": MetaTensor(labels.float()), "image": image})["pred"]
    slices = labels[0].permute(2, 1, 0).numpy().astype(np.uint8)
    assert np.array_equal(grid.label_map(slices), inverted[0].numpy())

    drawn = torch.randint(0, 5, source.shape, generator=torch.Generator().manual_seed(1)).numpy()[0].astype(np.uint8)
    label_file = tmp_path / "label.nii.gz"
    nibabel.save(nibabel.Nifti1Image(drawn, source.affine.numpy()), label_file)
    prepared = transform({"image": str(path), "label": str(label_file)})["label"]
    assert np.array_equal(grid.slices(drawn), prepared[0].numpy().transpose(2, 1, 0))

    index = tuple(size // 2 for size in source.shape[1:])
    x, y, z = grid.voxel(index)
    assert grid.label_map(slices)[index] == slices[z, y, x]


@settings(deadline=None, max_examples=30)
@given(step=st.sampled_from([0.5, 1.0, 2.0]), first=st.integers(-3, 3), size=st.integers(1, 6))
def test_what_was_cut_away_is_background(step, first, size):
    affine = np.diag([step, 1.0, 1.0, 1.0])
    affine[0, 3] = first
    grid = SourceGrid((8, 2, 2), np.eye(4), (size, 2, 2), affine)
    along = grid.label_map(np.full((2, 2, size), 7, np.uint8))[:, 0, 0]
    inside = [i for i in range(8) if 0 <= np.floor((i - first) / step + 0.5 + 1e-6) < size]
    assert np.flatnonzero(along).tolist() == inside


def test_a_voxel_outside_the_file_is_none_and_one_cut_away_is_moved_to_the_edge():
    affine = np.eye(4)
    affine[0, 3] = 2  # the first two along X were cut away
    grid = SourceGrid((8, 4, 4), np.eye(4), (6, 4, 4), affine)
    assert grid.voxel((3, 1, 2)) == (1, 1, 2)
    assert grid.voxel((0, 1, 2)) == (0, 1, 2)
    assert grid.voxel((8, 1, 2)) is None
    assert grid.voxel((-1, 1, 2)) is None
    assert [grid.is_cropped((x, 1, 2)) for x in (0, 1, 2, 7)] == [True, False, False, False], "beside it is near enough"


def test_a_rotated_grid_is_refused():
    turned = np.eye(4)
    turned[:2, :2] = [[0.8, -0.6], [0.6, 0.8]]
    with pytest.raises(InputError, match="The preprocessing rotates scans"):
        SourceGrid((8, 8, 8), np.eye(4), (8, 8, 8), turned)
