"""Slices follow the acquisition, a query's follow the support's, and label maps find the way back."""

from itertools import permutations, product

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from monai.data import MetaTensor
from monai.transforms import Orientation
from nibabel.orientations import aff2axcodes, inv_ornt_aff
from scipy.spatial.transform import Rotation

from protoseg.data.io.queries import follow_slices
from protoseg.data.preprocessing.planes import SLICE_AXES, OrientSlices, OrientSlicesd
from protoseg.data.preprocessing.transforms import Preprocessing
from protoseg.engine.slice_axes import GUESSED, PLANE_AXES, plane_of, same_plane, slice_axes
from protoseg.engine.support import support_from_scan
from protoseg.errors import InputError
from protoseg.workflows.invert import InvertLabelMapd

SHORT_AXIS = Rotation.from_euler("xyz", [40, 35, 20], degrees=True).as_matrix()  # of a heart: between all planes


def scan(size: tuple[int, ...], spacing: tuple[float, ...], turn: np.ndarray | None = None, **meta: str) -> MetaTensor:
    affine = np.eye(4)
    affine[:3, :3] = (np.eye(3) if turn is None else turn) @ np.diag(spacing)
    affine[:3, 3] = [5, -7, 11]
    voxels = torch.arange(np.prod(size), dtype=torch.float32).reshape(1, *size)
    return MetaTensor(voxels, affine=torch.as_tensor(affine), meta=meta)


def stored(image: MetaTensor, order: tuple[int, ...], flips: tuple[int, ...]) -> MetaTensor:
    """The same voxels, stored with other axes."""
    voxels = image.as_tensor().flip([axis + 1 for axis in range(3) if flips[axis] < 0])
    voxels = voxels.permute(0, *(axis + 1 for axis in order))
    orientation = np.stack([np.argsort(order), flips], axis=1)
    affine = image.affine.numpy() @ inv_ornt_aff(orientation, image.shape[1:])
    return MetaTensor(voxels.clone(), affine=torch.as_tensor(affine))


@pytest.mark.parametrize(
    ("size", "spacing", "axcodes"),
    [
        ((30, 40, 20), (0.7, 0.7, 5), "LPS"),
        ((30, 40, 20), (1, 1, 1), "LPS"),
        ((30, 40, 20), (1, 1, 1.4), "LPS"),
        ((30, 40, 20), (1.4, 1, 1), "LPS"),  # nearly as deep as wide
        ((30, 40, 20), (0.5, 3, 3), "LPS"),  # no plane has the finest pixels
        ((10, 40, 30), (4, 0.5, 0.5), "PIL"),
        ((30, 10, 40), (0.5, 4, 0.5), "LIP"),
        ((30, 40, 1), (0.5, 0.5, 0.2), "LPS"),
        ((1, 40, 30), (1, 1, 1), "PIL"),
        ((30, 1, 40), (1, 1, 1), "LIP"),
    ],
)
def test_slices_follow_the_acquisition(size: tuple[int, ...], spacing: tuple[float, ...], axcodes: str) -> None:
    turned = OrientSlices()(scan(size, spacing))
    assert "".join(aff2axcodes(turned.affine.numpy())) == axcodes


@pytest.mark.parametrize(("plane", "axcodes"), [("axial", "LPS"), ("coronal", "LIP"), ("sagittal", "PIL")])
def test_a_plane_can_be_chosen(plane: str, axcodes: str) -> None:
    turned = OrientSlices(plane)(scan((10, 40, 30), (4, 0.5, 0.5)))
    assert "".join(aff2axcodes(turned.affine.numpy())) == axcodes
    assert plane_of(slice_axes(turned)) == plane
    np.testing.assert_allclose(slice_axes(turned), PLANE_AXES[plane], atol=1e-12)


def test_an_unknown_plane_is_explained() -> None:
    with pytest.raises(InputError) as error:
        OrientSlices("oblique")
    assert str(error.value) == "plane is 'oblique', expected auto, axial, coronal, sagittal."


@settings(deadline=None, max_examples=60)
@given(
    degrees=st.tuples(st.integers(-3, 3), *[st.floats(-25, 25)] * 3),
    spacing=st.tuples(*[st.floats(1, 1.4)] * 3),
)
def test_axial_slices_are_those_of_monai(degrees: tuple[float, ...], spacing: tuple[float, ...]) -> None:
    quarters, *tilts = degrees  # never so oblique that two axes are equally near
    turn = Rotation.from_euler("z", 90 * quarters, degrees=True) * Rotation.from_euler("xyz", tilts, degrees=True)
    image = scan((3, 4, 5), spacing, turn.as_matrix())
    ours, theirs = OrientSlices()(image), Orientation("LPS", labels=None)(image)
    np.testing.assert_array_equal(ours.numpy(), theirs.numpy())
    np.testing.assert_allclose(ours.affine, theirs.affine, atol=1e-12)


@settings(deadline=None, max_examples=60)
@given(
    turn=st.tuples(*[st.floats(-1, 1)] * 4).filter(lambda q: np.linalg.norm(q) > 0.1),
    spacing=st.tuples(*[st.floats(0.3, 8)] * 3),
    plane=st.sampled_from(["auto", "axial", "coronal", "sagittal"]),
    like=st.sampled_from([None, *PLANE_AXES.values()]),
)
def test_voxels_stay_in_place_and_a_label_map_comes_back(turn, spacing, plane, like) -> None:
    image = scan((6, 4, 5), spacing, Rotation.from_quat(turn).as_matrix())
    orient = Preprocessing([OrientSlicesd(["image", "label"], plane=plane, allow_missing_keys=True)])
    data = orient({"image": image, SLICE_AXES: like})
    assert SLICE_AXES not in data
    for index in ((0, 0, 0), (1, 3, 2)):
        value = image[(0, *index)]
        (found,) = (data["image"][0] == value).nonzero().tolist()
        np.testing.assert_allclose(
            data["image"].affine.numpy() @ [*found, 1], image.affine.numpy() @ [*index, 1], atol=1e-9
        )
    data["pred"] = data["image"].clone()
    back = InvertLabelMapd(keys="pred", transform=orient, orig_keys="image")(data)["pred"]
    np.testing.assert_array_equal(back.numpy(), image.numpy())
    np.testing.assert_allclose(back.affine, image.affine, atol=1e-9)


@pytest.mark.parametrize("order", list(permutations(range(3))))
@pytest.mark.parametrize("turn", [np.eye(3), SHORT_AXIS], ids=["straight", "oblique"])
def test_slices_do_not_depend_on_how_the_scan_is_stored(order: tuple[int, ...], turn: np.ndarray) -> None:
    image = scan((12, 9, 4), (1.4, 1.4, 8), turn)
    expected = OrientSlices()(image)
    for flips in product((1, -1), repeat=3):
        turned = OrientSlices()(stored(image, order, flips))
        np.testing.assert_array_equal(turned.numpy(), expected.numpy())
        np.testing.assert_allclose(turned.affine, expected.affine, atol=1e-9)
    assert expected.shape[-1] == 4, "the four slices as acquired"


def test_a_query_of_another_plane_is_cut_as_the_support(caplog: pytest.LogCaptureFixture) -> None:
    support_image = OrientSlices()(scan((8, 40, 40), (4, 1, 1)))
    label_map = torch.zeros_like(support_image.as_tensor())
    label_map[0, 10:20, 10:20, 4] = 1
    support = support_from_scan(support_image, label_map, {"disc": 1}, image_size=32, scan="a")
    assert plane_of(support.slice_axes) == "sagittal"
    (case,) = follow_slices([{"image": scan((40, 40, 8), (1, 1, 4))}], support)
    query = OrientSlicesd("image")(case)["image"]
    assert query.shape == (1, 40, 8, 40)
    assert same_plane(slice_axes(query), support.slice_axes)
    [message] = caplog.messages
    assert message.startswith("The image states that its slices lie across those of the labelled scan: ")
    caplog.clear()
    OrientSlices()(scan((8, 40, 40), (4, 1, 1)), support.slice_axes)
    assert not caplog.messages


def test_oblique_slices_nearest_to_other_planes_still_follow_each_other() -> None:
    """Short axes of two hearts, 30 degrees apart: one is nearest to a sagittal plane, one to a coronal."""
    tilts = (Rotation.from_euler("z", angle, degrees=True).as_matrix() for angle in (30, 60))
    sideways = np.array([[0, 0, 1.0], [1, 0, 0], [0, 1, 0]])  # third axis to the right
    one, other = (OrientSlices()(scan((12, 12, 4), (1, 1, 8), tilt @ sideways)) for tilt in tilts)
    assert {plane_of(slice_axes(image)) for image in (one, other)} == {"sagittal", "coronal"}
    assert same_plane(slice_axes(one), slice_axes(other))
    followed = OrientSlices()(other, slice_axes(one))
    assert followed.shape == (1, 12, 12, 4)
    agreement = np.sum(np.multiply(slice_axes(followed), slice_axes(one)), axis=1)
    np.testing.assert_allclose(agreement, [np.cos(np.deg2rad(30)), 1, np.cos(np.deg2rad(30))], atol=1e-9)


@pytest.mark.parametrize("meta", [{"kind": "picture"}, {GUESSED: "yes"}])
def test_what_has_no_orientation_follows_nothing(meta: dict[str, str]) -> None:
    image = scan((12, 9, 4), (1, 1, 4), np.diag([-1, -1, 1]), **meta)
    turned = OrientSlices()(image, PLANE_AXES["sagittal"])
    np.testing.assert_array_equal(turned.numpy(), image.numpy())
    assert slice_axes(turned) is None


def test_a_single_slice_is_never_seen_from_its_edge() -> None:
    turned = OrientSlices()(scan((40, 30, 1), (1, 1, 1)), PLANE_AXES["sagittal"])
    assert turned.shape == (1, 40, 30, 1)


def test_supports_of_two_planes_are_not_merged() -> None:
    axial, sagittal = (OrientSlices(plane)(scan((16, 16, 16), (1, 1, 1))) for plane in ("axial", "sagittal"))
    label_map = torch.zeros(1, 16, 16, 16)
    label_map[0, 4:8, 4:8, 8] = 1
    supports = [support_from_scan(image, label_map, {"a": 1}, image_size=16, scan="s") for image in (axial, sagittal)]
    with pytest.raises(InputError) as error:
        supports[0].merge(supports[1])
    assert str(error.value) == (
        "Supports of axial and of sagittal slices cannot be merged: their slices do not compare. Set plane, which "
        "then holds for both."
    )
