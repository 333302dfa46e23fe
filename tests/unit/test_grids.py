from itertools import permutations, product
from pathlib import Path

import nibabel
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from monai.data import MetaTensor

from protoseg.data.io.grids import align_labels, parse_label_names
from protoseg.data.io.volumes import read_image, read_labels
from protoseg.engine.slice_axes import GUESSED
from protoseg.errors import InputError
from protoseg.ops.volume import Volume

ORIENTATIONS = [
    np.array(list(zip(axes, flips))) for axes in permutations(range(3)) for flips in product((1, -1), repeat=3)
]
VALUES = np.random.default_rng(0).integers(0, 5, (7, 5, 4)).astype(np.int16)


def tensor(voxels: np.ndarray, affine: np.ndarray, name: str, kind: str = "volume") -> MetaTensor:
    meta = {"filename_or_obj": name, "kind": kind}
    return MetaTensor(torch.as_tensor(voxels.copy())[None], affine=torch.as_tensor(affine), meta=meta)


def rotated(degrees: float, spacing: tuple[float, ...], origin: tuple[float, ...]) -> np.ndarray:
    """Affine of a grid turned about the oblique axis (1, 2, 3)."""
    x, y, z = np.array([1, 2, 3]) / np.sqrt(14)
    cross = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    angle = np.deg2rad(degrees)
    affine = np.eye(4)
    affine[:3, :3] = (np.eye(3) + np.sin(angle) * cross + (1 - np.cos(angle)) * cross @ cross) * spacing
    affine[:3, 3] = origin
    return affine


@settings(deadline=None, max_examples=30)
@given(
    degrees=st.floats(-180, 180),
    spacing=st.tuples(*[st.floats(0.3, 8)] * 3),
    origin=st.tuples(*[st.floats(-500, 500)] * 3),
)
def test_a_copy_in_any_of_the_48_orientations_comes_back_exactly(
    degrees: float, spacing: tuple[float, ...], origin: tuple[float, ...]
) -> None:
    affine = rotated(degrees, spacing, origin)
    image = tensor(VALUES.astype(np.float32), affine, "image.nii")
    for orientation in ORIENTATIONS:
        turned = nibabel.apply_orientation(VALUES, orientation)
        turned_affine = affine @ nibabel.orientations.inv_ornt_aff(orientation, VALUES.shape)
        aligned = align_labels(tensor(turned, turned_affine, "labels.nii"), image)
        np.testing.assert_array_equal(aligned[0], VALUES)
        assert torch.equal(aligned.affine, image.affine)


@pytest.mark.parametrize("voxels", [1e-5, 0.4])
def test_labels_on_the_grid_keep_their_voxels_however_the_affine_is_rounded(voxels: float) -> None:
    affine = rotated(20, (1, 2, 3), (4, 5, 6))
    rounded = affine.copy()
    rounded[:3, 3] += voxels * affine[:3, 2]
    image = tensor(VALUES, rounded, "image.nii")
    aligned = align_labels(tensor(VALUES, affine, "labels.nii"), image)
    np.testing.assert_array_equal(aligned[0], VALUES)
    assert torch.equal(aligned.affine, image.affine)
    assert aligned.meta["filename_or_obj"] == "labels.nii"


def test_coarser_labels_are_resampled_and_uncovered_voxels_are_background() -> None:
    labels = tensor(np.array([1, 2], dtype=np.int16).reshape(2, 1, 1), np.diag([2.0, 1, 1, 1]), "labels.nii")
    image = np.eye(4)
    image[0, 3] = -2.25  # mm; voxel centres at -2.25, -1.25, -0.25, 0.75, 1.75, 2.75, 3.75
    aligned = align_labels(labels, tensor(np.zeros((7, 1, 1), dtype=np.float32), image, "image.nii"))
    assert aligned[0, :, 0, 0].tolist() == [0, 0, 1, 1, 2, 2, 0]
    assert aligned.dtype == torch.int16
    assert aligned.meta["filename_or_obj"] == "labels.nii"


LOST = {
    "moved": np.diag([2.0, 2, 5, 1]) + np.array([[0, 0, 0, 20]] + [[0] * 4] * 3),
    "identity": np.eye(4),
    "RAS against LPS": np.diag([-2.0, -2, 5, 1]),
}


@pytest.mark.parametrize("affine", LOST.values(), ids=LOST)
def test_a_label_map_whose_affine_was_lost_is_refused_unless_voxels_are_taken_one_to_one(affine: np.ndarray) -> None:
    labels, image = tensor(VALUES, affine, "labels.nii"), tensor(VALUES, np.diag([2.0, 2, 5, 1]), "image.nii")
    with pytest.raises(InputError) as error:
        align_labels(labels, image)
    assert str(error.value) == (
        "labels.nii has the size of the image and another affine: it would land in the wrong place of image.nii. "
        f"Affines: labels.nii: {affine[:3].tolist()}, size 7 x 5 x 4; image.nii: [[2.0, 0.0, 0.0, 0.0], "
        "[0.0, 2.0, 0.0, 0.0], [0.0, 0.0, 5.0, 0.0]], size 7 x 5 x 4. If the two have the same voxels in the same "
        "order, take them one to one with --label_grid voxels; if not, give the label map that was drawn on this image."
    )
    aligned = align_labels(labels, image, "voxels")
    np.testing.assert_array_equal(aligned[0], VALUES)
    assert torch.equal(aligned.affine, image.affine)


def test_labels_that_lost_their_affine_are_refused() -> None:
    image = Volume.at(torch.zeros(1, 20, 20, 9), np.diag([-2.0, -2.0, 5.0, 1.0]), {"filename_or_obj": "image.nii"})
    labels = Volume.at(torch.ones(1, 4, 4, 3), np.eye(4), {"filename_or_obj": "labels.nii"})
    with pytest.raises(InputError, match=r"^labels\.nii has the identity for an affine, as of an array, and another"):
        align_labels(labels, image)


def test_labels_off_the_image_are_refused() -> None:
    """Of 40 labelled voxels 2 may be off the image, and not 3."""
    labels = tensor(np.ones((40, 1, 1), dtype=np.int16), np.eye(4), "labels.nii")

    def image(length: int) -> MetaTensor:
        return tensor(np.zeros((length, 2, 2), dtype=np.float32), np.eye(4), "image.nii")

    assert align_labels(labels, image(38)).sum() == 38
    with pytest.raises(InputError, match=r"^labels.nii has 8% of its labelled voxels outside of the image: it would"):
        align_labels(labels, image(37))
    assert not align_labels(labels * 0, image(10)).any()


def test_grids_apart_are_refused_though_their_boxes_overlap() -> None:
    diagonal = np.eye(4)
    diagonal[:2, :2] = [[1, -1], [1, 1]]  # along x = y
    beside = diagonal.copy()
    beside[:2, 3] = [10, -10]
    labels = tensor(np.ones((20, 2, 2), dtype=np.int16), beside, "labels.nii")
    with pytest.raises(InputError, match=r"^labels.nii has 100% of its labelled voxels outside of the image: it would"):
        align_labels(labels, tensor(np.zeros((20, 2, 3), dtype=np.float32), diagonal, "image.nii"))


@pytest.mark.parametrize("same_size", [True, False])
def test_an_image_without_a_form_takes_labels_of_its_size(same_size: bool) -> None:
    image = tensor(VALUES.astype(np.float32), np.diag([-2.0, 2, 5, 1]), "image.nii")
    image.meta[GUESSED] = "yes"
    labels = tensor(VALUES if same_size else VALUES[1:], np.diag([2.0, 2, 5, 1]), "labels.nii")
    if same_size:
        np.testing.assert_array_equal(align_labels(labels, image)[0], VALUES)
        return
    with pytest.raises(InputError) as error:
        align_labels(labels, image)
    assert str(error.value) == (
        "labels.nii has 6 x 5 x 4 voxels and image.nii has 7 x 5 x 4, expected one size. Export the labels at the size "
        "of the image."
    )


def test_labels_may_share_either_form_with_the_image(tmp_path: Path) -> None:
    """As 3D Slicer draws on a file by its qform, and nibabel by its sform."""
    sform, qform = np.diag([2.0, 2, 5, 1]), np.diag([2.0, 2, 5, 1])
    qform[0, 3] = 40
    both = nibabel.Nifti1Image(np.arange(16 * 16 * 4, dtype=np.int16).reshape(16, 16, 4), None)
    both.set_sform(sform, 2)
    both.set_qform(qform, 1)
    nibabel.save(both, tmp_path / "image.nii")
    image = read_image(tmp_path / "image.nii")
    drawn = np.zeros((16, 16, 4), np.uint8)
    drawn[2:5, 3:9, 1] = 1
    for affine in (sform, qform):
        nibabel.save(nibabel.Nifti1Image(drawn, affine), tmp_path / "labels.nii")
        np.testing.assert_array_equal(align_labels(read_labels(tmp_path / "labels.nii"), image)[0], drawn)


def test_label_grid_is_one_of_two() -> None:
    image = tensor(VALUES, np.eye(4), "image.nii")
    with pytest.raises(InputError) as error:
        align_labels(image, image, "index")
    assert str(error.value) == "label_grid is 'index', expected affine or voxels."


def test_labels_of_a_picture_follow_its_pixels_whatever_the_affine() -> None:
    photo = tensor(np.zeros((7, 5, 1), dtype=np.float32), np.diag([-1.0, -1, 1, 1]), "photo.png", "picture")
    aligned = align_labels(tensor(VALUES[..., :1], np.eye(4), "labels.nii"), photo)
    np.testing.assert_array_equal(aligned[0], VALUES[..., :1])
    assert torch.equal(aligned.affine, photo.affine)


def test_labels_of_another_size_than_the_picture_are_refused() -> None:
    photo = tensor(np.zeros((8, 5, 1), dtype=np.float32), np.eye(4), "photo.png", "picture")
    with pytest.raises(InputError) as error:
        align_labels(tensor(VALUES[..., :1], np.eye(4), "labels.png", "picture"), photo)
    assert str(error.value) == (
        "labels.png has 7 x 5 pixels and photo.png has 8 x 5, expected one size. "
        "Export the labels at the size of the image."
    )


LABELS = torch.tensor([0, 1, 4, 4, 0])


@pytest.mark.parametrize(
    ("names", "parsed"),
    [
        (None, {"label_1": 1, "label_4": 4}),
        ("null", {"label_1": 1, "label_4": 4}),
        ({"liver": 4}, {"liver": 4}),
        ({"liver": 4, "spleen": 1}, {"liver": 4, "spleen": 1}),
        ('{"liver": 4}', {"liver": 4}),
        ({"liver": np.int64(4)}, {"liver": 4}),
        ('{"liver": "4"}', {"liver": 4}),
        ({"background": 0, "liver": 4}, {"liver": 4}),
        ({"0": "background", "1": "spleen", "2": "kidney"}, {"spleen": 1}),
        ({4: "liver", 1: "spleen"}, {"spleen": 1, "liver": 4}),
    ],
)
def test_label_names(names: dict | str | None, parsed: dict[str, int]) -> None:
    assert parse_label_names(names, LABELS, "labels.nii") == parsed


def test_a_name_that_another_label_would_get_keeps_both() -> None:
    labels = Volume.at(LABELS, torch.eye(4), {"label_names": {"label_4": 1}})
    assert parse_label_names(None, labels, "labels.nii") == {"label_4": 1, "label_4 2": 4}


def test_labels_of_a_legend_that_are_absent_are_left_out_with_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    legend = {"1": "liver", "2": "gallbladder", "4": "spleen", "5": "aorta"}
    assert parse_label_names(legend, LABELS, "labels.nii") == {"liver": 1, "spleen": 4}
    assert parse_label_names({"4": "spleen"}, LABELS, "labels.nii") == {"spleen": 4}, "what it does not name is left"
    assert caplog.messages == ["labels.nii: no voxel is labelled gallbladder, aorta; left out."]


def test_values_above_255_may_be_left_unchosen() -> None:
    assert parse_label_names({"liver": 75}, LABELS * 75, "labels.nii") == {"liver": 75}


@pytest.mark.parametrize(
    ("names", "labels", "message"),
    [
        (
            {"kidney": 2},
            LABELS,
            "labels.nii: no voxel has the value 2 that label_names gives to 'kidney'; "
            "the values found are 1, 4. Correct label_names.",
        ),
        (
            None,
            LABELS * 0,
            "labels.nii: the label map is empty, every voxel is 0. Label at least one structure.",
        ),
        (
            None,
            LABELS * 75,
            "labels.nii: found the label value 300, expected 1 to 255. "
            "Renumber the labels, or choose some of them with label_names.",
        ),
        (
            {"75": "liver"},
            LABELS,
            "labels.nii: no voxel has the value 75 that label_names gives to 'liver'; "
            "the values found are 1, 4. Correct label_names.",
        ),
        ("liver=1", LABELS, 'label_names: \'liver=1\' is not JSON. Write it like {"liver": 1, "spleen": 2}.'),
        (
            "[1, 4]",
            LABELS,
            'label_names: found [1, 4], expected a mapping like {"liver": 1, "spleen": 2}.',
        ),
        (
            {"liver": 0},
            LABELS,
            "label_names: found {'liver': 0}, expected a label besides the background, whose value is 0.",
        ),
        ({}, LABELS, 'label_names: found {}, expected a mapping like {"liver": 1, "spleen": 2}.'),
        (
            {"liver": 1.5},
            LABELS,
            "label_names: found the name 'liver' with the value 1.5, expected text and an integer "
            "from 0 to 255. Correct it.",
        ),
        (
            {"1": "kidney", "4": "kidney"},
            LABELS,
            "label_names: another label has the name 'kidney' or the value 4 too. "
            "Give each label a name and a value of its own.",
        ),
    ],
)
def test_bad_label_names_are_explained(names: dict | str | None, labels: torch.Tensor, message: str) -> None:
    with pytest.raises(InputError) as error:
        parse_label_names(names, labels, "labels.nii")
    assert str(error.value) == message
