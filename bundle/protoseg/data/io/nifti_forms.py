"""The place of a NIfTI file's voxels: two forms with their codes, spacings and units.

The two forms may differ. nibabel follows the sform if its code is set. ITK, hence 3D Slicer, ITK-SNAP and SimpleITK,
follows the qform unless the sform's code is 1 ("scanner") and its axes are at right angles. So a result carries both
forms of its query, and each reader shows the one where it shows the other.

Source: nifti1.h of the NIfTI-1.1 standard; ITK 5.4, read and compared in the tests.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import nibabel
import numpy as np
from numpy.typing import NDArray

from protoseg.data.io.dicom import LPS_TO_RAS
from protoseg.ops.volume import Placed

if TYPE_CHECKING:
    import SimpleITK

__all__ = ["NIFTI_FORMS", "NiftiForms", "claimed_affines", "itk_placed", "placement", "right_angled"]

NIFTI_FORMS = "nifti_forms"  # key of an image's metadata; JSON, because MONAI would take a mapping apart with the batch

FIELDS = (
    *("pixdim", "xyzt_units", "qform_code", "sform_code", "quatern_b", "quatern_c", "quatern_d"),
    *("qoffset_x", "qoffset_y", "qoffset_z", "srow_x", "srow_y", "srow_z"),
)
SPATIAL_UNIT = 0b111  # bits of xyzt_units
MILLIMETRES = {1: 1000.0, 3: 0.001}  # in a meter and a micron; other units, and none, count as mm

RIGHT_ANGLE = 1e-3  # of a voxel; the header's float32 quaternion is good to a third of that

Affine = NDArray[np.float64]


@dataclass(frozen=True)
class NiftiForms:
    """The fields of a header that place its voxels, as stored.

    Args:
        fields: values of the header's fields by the standard's names.
        shape: number of voxels along X, Y, Z.
    """

    fields: Mapping[str, Any]
    shape: tuple[int, int, int]

    @classmethod
    def of(cls, header: nibabel.Nifti1Header) -> NiftiForms:
        """Take the fields from a header, also of NIfTI-2."""
        shape = (*header.get_data_shape(), 1, 1, 1)[:3]
        return cls({name: header[name].tolist() for name in FIELDS}, shape)

    @classmethod
    def from_affine(cls, affine: Affine, shape: tuple[int, int, int]) -> NiftiForms:
        """Make the fields from one affine in RAS+ mm: the sform holds it, the qform the nearest one at right angles."""
        header = nibabel.Nifti1Header()
        header.set_sform(affine, code="scanner")
        header.set_qform(right_angled(affine), code="scanner")
        header.set_xyzt_units("mm")
        return cls({name: header[name].tolist() for name in FIELDS}, shape)

    def to_json(self) -> str:
        """Encode the fields; floats survive exactly."""
        return json.dumps({"fields": self.fields, "shape": self.shape})

    @classmethod
    def from_json(cls, text: str) -> NiftiForms:
        """Decode what `to_json` wrote."""
        decoded = json.loads(text)
        return cls(decoded["fields"], tuple(decoded["shape"]))

    def apply(self, header: nibabel.Nifti1Header) -> None:
        """Set a header's fields."""
        for name, value in self.fields.items():
            header[name] = value

    def readable(self) -> NiftiForms:
        """Add a qform at right angles if ITK would refuse the file because its only form is sheared."""
        if self.fields["qform_code"] or not self.sheared:
            return self
        header = self._header()
        header.set_qform(right_angled(header.get_sform()), code="scanner")
        return NiftiForms.of(header)

    @property
    def oriented(self) -> bool:
        """Whether a form is set; if not, left and right are a guess."""
        return bool(self.fields["sform_code"] or self.fields["qform_code"])

    @property
    def affine(self) -> Affine:
        """The affine from voxel index to RAS+ mm that nibabel follows."""
        return self._in_mm(self._header().get_best_affine())

    @property
    def affines(self) -> list[Affine]:
        """All affines that a reader may follow, in RAS+ mm, nibabel's first."""
        header = self.readable()._header()
        forms = [header.get_best_affine()]
        if header["qform_code"]:
            forms.append(header.get_qform())
        if not self.oriented:  # ITK takes the axes for left, posterior, superior
            forms.append(LPS_TO_RAS @ np.diag([*header.get_zooms()[:3], 1.0]))
        return [self._in_mm(form) for form in forms]

    @property
    def sheared(self) -> bool:
        """Whether the sform, if it is set, has axes that are not at right angles."""
        return bool(self.fields["sform_code"]) and not _is_right_angled(self._header().get_sform())

    def _header(self) -> nibabel.Nifti1Header:
        header = nibabel.Nifti1Header()
        header.set_data_shape(self.shape)
        self.apply(header)
        return header

    def _in_mm(self, affine: NDArray) -> Affine:
        scale = MILLIMETRES.get(self.fields["xyzt_units"] & SPATIAL_UNIT, 1.0)
        return np.diag([scale, scale, scale, 1.0]) @ np.asarray(affine, float)


def right_angled(affine: Affine) -> Affine:
    """Set the third axis of an affine at a right angle to the first two, as ITK reads a tilted series.

    Lengths and the first voxel stay; an affine at right angles is returned as it is.
    """
    if _is_right_angled(affine):
        return affine
    lengths = np.linalg.norm(affine[:3, :3], axis=0)
    first, second, third = (affine[:3, :3] / lengths).T
    second = second - (second @ first) * first
    second /= np.linalg.norm(second)
    normal = np.cross(first, second)
    result = affine.copy()
    result[:3, :3] = np.stack([first, second, normal * np.sign(normal @ third)], axis=1) * lengths
    return result


def claimed_affines(image: Placed) -> list[Affine]:
    """List the affines in RAS+ mm that readers may take from an image's file, the one that is used here first."""
    affine = np.asarray(image.affine, float)
    own = [affine] if _is_right_angled(affine) else [affine, right_angled(affine)]
    if NIFTI_FORMS not in image.meta:
        return own
    affines = NiftiForms.from_json(image.meta[NIFTI_FORMS]).affines
    return affines if np.allclose(affines[0], affine) else own  # the image may be on another grid by now


def itk_placed(image: Placed) -> Affine:
    """Give the affine in RAS+ mm by which ITK places the file of an image that is as it was read."""
    affine = np.asarray(image.affine, float)
    if NIFTI_FORMS not in image.meta:
        return affine
    import SimpleITK  # slow, so only for those who write for it

    reader = SimpleITK.ImageFileReader()
    reader.SetFileName(str(image.meta["filename_or_obj"]))
    try:
        reader.ReadImageInformation()
    except RuntimeError:  # its only form is sheared
        return right_angled(affine)
    return placement(reader)


def placement(image: SimpleITK.Image | SimpleITK.ImageFileReader) -> Affine:
    """Give the affine in RAS+ mm of an image of ITK, or of a reader that has read one."""
    dimensions = image.GetDimension()
    spatial = min(dimensions, 3)
    affine = np.eye(4)
    columns = np.reshape(image.GetDirection(), (dimensions, dimensions)) * image.GetSpacing()
    affine[:spatial, :spatial] = columns[:spatial, :spatial]
    affine[:spatial, 3] = image.GetOrigin()[:spatial]
    return LPS_TO_RAS @ affine


def _is_right_angled(affine: Affine) -> bool:
    axes = affine[:3, :3] / np.linalg.norm(affine[:3, :3], axis=0)
    return bool(np.allclose(axes.T @ axes, np.eye(3), rtol=0, atol=RIGHT_ANGLE))
