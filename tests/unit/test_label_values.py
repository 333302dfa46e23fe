"""Whole numbers from what files hold as the values of labels."""

from pathlib import Path

import nibabel
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from protoseg.data.io.label_values import whole_voxels
from protoseg.data.io.volumes import read_labels
from protoseg.errors import InputError
from protoseg.labels import whole_number


@pytest.mark.parametrize("error", [1e-7, -1e-7, 9e-4, -9e-4])
def test_labels_that_float_arithmetic_moved_are_what_they_were(tmp_path: Path, error: float) -> None:
    labels = np.zeros((9, 10, 4), np.float32)
    labels[2:6, 3:9, 1:3] = 3
    nibabel.save(nibabel.Nifti1Image(labels + np.float32(error), np.eye(4)), tmp_path / "n.nii.gz")
    np.testing.assert_array_equal(read_labels(tmp_path / "n.nii.gz")[0], labels)


@given(st.integers(0, 32767), st.floats(-1, 1))
def test_within_a_thousandth_of_a_whole_number_or_refused(value: int, offset: float) -> None:
    voxels = np.array([value + offset], np.float64)
    distance = abs(voxels[0] - round(voxels[0]))
    if distance <= 1e-3 and 0 <= round(voxels[0]) <= 32767:
        assert whole_voxels(voxels, "a.nii").tolist() == [round(voxels[0])]
    else:
        with pytest.raises(InputError, match=r"such as|the label values run from"):
            whole_voxels(voxels, "a.nii")


@pytest.mark.parametrize("value", [3, 3.0, "3", "3.0", " 3 "])
def test_a_value_is_read_however_it_is_written(value: object) -> None:
    assert whole_number(value) == 3


@pytest.mark.parametrize("value", [3.5, "3.5", "liver", "", None, True, [3], float("nan"), "inf"])
def test_what_is_no_value(value: object) -> None:
    assert whole_number(value) is None
