"""A result is where its query is, for readers that follow the sform and for those that follow the qform."""

from pathlib import Path

import nibabel
import numpy as np
import pytest
import SimpleITK
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from protoseg.data.io.nifti_forms import claimed_affines, itk_placed, placement, right_angled
from protoseg.data.io.volumes import read_image, write_label_map
from protoseg.data.preprocessing.transforms import SaveLabelMap
from protoseg.engine.slice_axes import is_oriented
from protoseg.ops.volume import Volume

RAMP = np.arange(16 * 12 * 4, dtype=np.int16).reshape(16, 12, 4)
AFFINE = np.array([[2.0, 0, 0, -100], [0, 2, 0, -80], [0, 0, 5, 30], [0, 0, 0, 1]])
SHEARED = AFFINE + np.array([[0, 0, 0, 0], [0, 0, 1.6, 0], [0] * 4, [0] * 4])
LPS_TO_RAS = np.diag([-1.0, -1, 1, 1])


def moved(mm: float) -> np.ndarray:
    """The affine, further to the right."""
    affine = AFFINE.copy()
    affine[0, 3] += mm
    return affine


def write(path: Path, sform: np.ndarray, sform_code: int, qform: np.ndarray, qform_code: int, unit: str = "mm") -> Path:
    image = nibabel.Nifti1Image(RAMP, None)
    image.set_sform(sform, sform_code)
    image.set_qform(qform, qform_code)
    image.header["qform_code"], image.header["sform_code"] = qform_code, sform_code
    image.header.set_xyzt_units(unit)
    nibabel.save(image, path)
    return path


def result_of(query: Path) -> Path:
    image = read_image(query)
    SaveLabelMap(query.parent / "out")(Volume.at(image.as_tensor() % 7, image.affine, image.meta))
    return query.parent / "out" / f"{query.name.removesuffix('.nii')}_seg.nii.gz"


def seen_by_itk(path: Path) -> np.ndarray | None:
    """Affine by which ITK places a file; None where it refuses it."""
    try:
        return placement(SimpleITK.ReadImage(str(path)))
    except RuntimeError:
        return None


def codes(path: Path) -> tuple[int, int, str]:
    header = nibabel.load(path).header
    return int(header["sform_code"]), int(header["qform_code"]), header.get_xyzt_units()[0]


@pytest.mark.parametrize(
    ("sform_code", "qform_code", "unit"),
    [
        (2, 1, "mm"),
        (1, 1, "mm"),
        (1, 2, "mm"),
        (4, 1, "mm"),
        (4, 0, "mm"),
        (0, 1, "mm"),
        (0, 0, "mm"),
        (1, 1, "micron"),
        (2, 1, "meter"),
        (3, 3, "unknown"),
    ],
)
def test_a_result_keeps_both_forms_and_their_codes_and_units(
    tmp_path: Path, sform_code: int, qform_code: int, unit: str
) -> None:
    query = write(tmp_path / "query.nii", AFFINE, sform_code, moved(40), qform_code, unit)
    result = result_of(query)
    assert codes(result) == (sform_code, qform_code, unit)
    one, other = nibabel.load(query), nibabel.load(result)
    np.testing.assert_array_equal(other.affine, one.affine)
    np.testing.assert_array_equal(other.header.get_qform(), one.header.get_qform())
    np.testing.assert_array_equal(seen_by_itk(result), seen_by_itk(query))


@pytest.mark.parametrize(("unit", "scale"), [("micron", 0.001), ("mm", 1), ("meter", 1000), ("unknown", 1)])
def test_lengths_are_read_in_mm_whatever_the_units_of_the_file(tmp_path: Path, unit: str, scale: float) -> None:
    image = read_image(write(tmp_path / "query.nii", AFFINE, 1, AFFINE, 1, unit))
    np.testing.assert_allclose(image.affine, np.diag([scale, scale, scale, 1]) @ AFFINE)
    np.testing.assert_allclose(image.affine, seen_by_itk(tmp_path / "query.nii"))


def test_a_file_without_a_form_is_read_with_one_warning(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    query = write(tmp_path / "query.nii", AFFINE, 0, AFFINE, 0)
    image = read_image(query)
    assert not is_oriented(image)
    assert caplog.messages == [
        f"{query} says nothing about where left and right are (qform and sform codes are 0): they are a guess. Convert "
        "the scan again from its source to be sure."
    ]
    assert is_oriented(read_image(write(tmp_path / "formed.nii", AFFINE, 0, AFFINE, 1)))


def test_an_image_that_lost_its_affine_is_read_with_a_warning(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    array = write(tmp_path / "array.nii", np.eye(4), 2, np.eye(4), 0)
    assert is_oriented(read_image(array))
    [message] = caplog.messages
    assert message.startswith(f"{array} has the identity for an affine, as an array that was saved without its own: ")


@pytest.mark.parametrize("query_is_sheared", [True, False])
def test_a_sheared_label_map_is_one_that_itk_reads(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, query_is_sheared: bool
) -> None:
    target = tmp_path / "labels.nii.gz"
    if query_is_sheared:
        query = write(tmp_path / "query.nii", SHEARED, 2, AFFINE, 0)
        assert seen_by_itk(query) is None
        write_label_map(target, RAMP % 7, read_image(query))
    else:
        write_label_map(target, RAMP % 7, SHEARED)
    np.testing.assert_allclose(nibabel.load(target).affine, SHEARED, atol=1e-6)
    straight = AFFINE.copy()
    straight[2, 2] = np.hypot(5, 1.6)  # mm from slice to slice, as ITK counts them in a tilted series
    np.testing.assert_allclose(seen_by_itk(target), straight, atol=1e-5)
    assert caplog.messages == [
        f"{target}: the slices are sheared, as by a tilted gantry. nibabel reads them in place; ITK (3D Slicer, "
        "ITK-SNAP) knows right angles only and stacks them straight, as it stacks the scan."
    ]


def test_a_resampled_image_is_written_where_it_is_now(tmp_path: Path) -> None:
    image = read_image(write(tmp_path / "query.nii", AFFINE, 2, moved(40), 1))
    half = Volume.at(image[:, ::2], AFFINE @ np.diag([2, 1, 1, 1]), image.meta)
    write_label_map(tmp_path / "half.nii", half % 7, half)
    np.testing.assert_allclose(nibabel.load(tmp_path / "half.nii").affine, AFFINE @ np.diag([2, 1, 1, 1]))
    assert codes(tmp_path / "half.nii") == (1, 1, "mm")


@settings(deadline=None, max_examples=60)
@given(
    turned=st.tuples(*[st.floats(-1, 1)] * 4).filter(lambda q: np.linalg.norm(q) > 0.1),
    mirrored=st.booleans(),
    shear=st.sampled_from([0.0, 0.0, 0.3, -0.5]),
    spacing=st.tuples(*[st.floats(0.3, 8)] * 3),
    offsets=st.tuples(*[st.floats(-500, 500)] * 6),
    form_codes=st.tuples(st.integers(0, 4), st.integers(0, 4)),
    unit=st.sampled_from(["mm", "micron", "meter", "unknown"]),
)
def test_every_reader_sees_the_result_where_it_sees_the_query(
    tmp_path_factory, turned, mirrored, shear, spacing, offsets, form_codes, unit
) -> None:
    folder = tmp_path_factory.mktemp("forms")
    rigid = np.eye(4)
    rigid[:3, :3] = Rotation.from_quat(turned).as_matrix() @ np.diag([-1 if mirrored else 1, 1, 1]) * spacing
    sform, qform = rigid.copy(), rigid.copy()
    sform[:3, 2] += shear * rigid[:3, 1]
    sform[:3, 3], qform[:3, 3] = offsets[:3], offsets[3:]
    query = write(folder / "query.nii", sform, form_codes[0], qform, form_codes[1], unit)
    result = result_of(query)
    landmark = np.array([3, 7, 2, 1.0])
    np.testing.assert_array_equal(nibabel.load(result).affine @ landmark, nibabel.load(query).affine @ landmark)
    seen = seen_by_itk(query)
    found = seen_by_itk(result)
    assert found is not None
    if seen is not None:
        np.testing.assert_array_equal(found @ landmark, seen @ landmark)
    image = read_image(query)
    size = float(image.affine[:3].abs().max())
    assert any(np.allclose(found, claimed, atol=1e-4 * size) for claimed in claimed_affines(image))
    np.testing.assert_allclose(itk_placed(image), found, atol=1e-4 * size)


@settings(deadline=None, max_examples=30)
@given(matrix=st.lists(st.floats(-2, 2), min_size=9, max_size=9).map(lambda v: np.reshape(v, (3, 3)) + 3 * np.eye(3)))
def test_right_angles_keep_lengths_and_the_first_axis(matrix: np.ndarray) -> None:
    affine = np.eye(4)
    affine[:3, :3] = matrix
    straight = right_angled(affine)[:3, :3]
    lengths = np.linalg.norm(matrix, axis=0)
    np.testing.assert_allclose(straight.T @ straight, np.diag(lengths**2), atol=1e-2 * lengths.max() ** 2)
    np.testing.assert_allclose(straight[:, 0], matrix[:, 0], atol=1e-12)
    assert np.sign(np.linalg.det(straight)) == np.sign(np.linalg.det(matrix)) or abs(np.linalg.det(matrix)) < 1e-6
