"""Size, place, shape and intensities of each label of one scan, as TotalSegmentator and pyradiomics measure them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypedDict, cast

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import find_objects

from protoseg.data.preprocessing.orientation import find_orientation
from protoseg.errors import InputError
from protoseg.ops.components import connected_components
from protoseg.ops.volume import Volume
from protoseg.workflows.evaluation.diameters import largest_diameter, largest_in_plane_diameter

__all__ = ["LabelStatistics", "label_statistics"]

PERCENTILES = (5, 25, 50, 75, 95)


class LabelStatistics(TypedDict):
    """One label of one scan. All but the first four are None if the label has no voxel."""

    volume_ml: float
    voxels: int
    slices: int  # that hold a voxel, in the plane of acquisition
    components: int  # 26-connected
    mean: float | None  # of the image's own intensities: HU, signal or gray value; of a color picture, of its channels
    std: float | None  # of all voxels, not of a sample
    min: float | None
    p5: float | None
    p25: float | None
    p50: float | None
    p75: float | None
    p95: float | None
    max: float | None
    diameter_2d_mm: float | None  # largest within a slice, see `largest_in_plane_diameter`
    diameter_3d_mm: float | None  # largest, see `largest_diameter`
    centroid_r_mm: float | None  # RAS+
    centroid_a_mm: float | None
    centroid_s_mm: float | None
    box_min_r_mm: float | None  # RAS+; of the box that holds the voxels whole, from face to face
    box_min_a_mm: float | None
    box_min_s_mm: float | None
    box_max_r_mm: float | None
    box_max_a_mm: float | None
    box_max_s_mm: float | None
    centroid_x: float | None  # voxel index
    centroid_y: float | None
    centroid_z: float | None
    box_min_x: int | None  # voxel index of the first voxel
    box_min_y: int | None
    box_min_z: int | None
    box_max_x: int | None  # and of the last
    box_max_y: int | None
    box_max_z: int | None


def label_statistics(
    image: Volume, label_map: NDArray[np.uint8], labels: Mapping[str, int]
) -> dict[str, LabelStatistics]:
    """Measure each label.

    Args:
        image: (C, X, Y, Z) image, as `read_image` reads it; its affine maps a voxel index to RAS+ mm.
        label_map: (X, Y, Z) label map, on the same voxels.
        labels: value of each label by name.

    Returns:
        Statistics of each label by its name.

    Raises:
        InputError: the image and the label map have different sizes.
    """
    if tuple(image.shape[1:]) != label_map.shape:
        found, expected = (" x ".join(map(str, size)) for size in (label_map.shape, image.shape[1:]))
        raise InputError(
            f"The label map has {found} voxels and the image {expected}, expected one size. Give the image that was "
            "segmented."
        )
    voxels = image.as_tensor().cpu().numpy()
    affine = np.asarray(image.affine, float)
    through = int(np.flatnonzero(find_orientation(image)[:, 0] == 2)[0])
    boxes = find_objects(label_map)
    measured = {}
    for name, value in labels.items():
        box = boxes[value - 1] if value <= len(boxes) else None
        if box is None:
            measured[name] = _absent()
            continue
        mask = label_map[box] == value
        measured[name] = _measure(mask, voxels[:, *box], np.array([side.start for side in box]), affine, through)
    return measured


def _absent() -> LabelStatistics:
    nothing: dict[str, Any] = dict.fromkeys(LabelStatistics.__annotations__)
    return cast(LabelStatistics, {**nothing, "volume_ml": 0.0, "voxels": 0, "slices": 0, "components": 0})


def _measure(
    mask: NDArray[np.bool_], voxels: NDArray[np.float32], corner: NDArray[np.int64], affine: NDArray, through: int
) -> LabelStatistics:
    """Measure a mask that fills its array; `corner` is the index of its first voxel in the image."""
    count = int(mask.sum())
    intensities = voxels[:, mask].mean(axis=0, dtype=float)
    others = [tuple({0, 1, 2} - {axis}) for axis in range(3)]
    profiles = [mask.sum(axis=other) for other in others]
    centroid = corner + [float(profile @ np.arange(len(profile))) / count for profile in profiles]
    last = corner + np.array(mask.shape) - 1
    faces = np.where(list(np.ndindex(2, 2, 2)), last + 0.5, corner - 0.5) @ affine[:3, :3].T + affine[:3, 3]
    places = {
        "centroid_{}_mm": affine[:3, :3] @ centroid + affine[:3, 3],
        "box_min_{}_mm": faces.min(axis=0),
        "box_max_{}_mm": faces.max(axis=0),
    }
    indices = {"centroid_{}": centroid, "box_min_{}": corner, "box_max_{}": last}
    columns = affine[:3, :3]
    percentiles = dict(zip(PERCENTILES, np.percentile(intensities, PERCENTILES).tolist()))
    measured = {
        "volume_ml": count * abs(float(np.linalg.det(columns))) / 1000,
        "voxels": count,
        "slices": int(np.count_nonzero(profiles[through])),
        "components": int(connected_components(mask).max()),
        "mean": float(intensities.mean()),
        "std": float(intensities.std()),
        "min": float(intensities.min()),
        **{f"p{percent}": value for percent, value in percentiles.items()},
        "max": float(intensities.max()),
        "diameter_2d_mm": largest_in_plane_diameter(mask, columns, through),
        "diameter_3d_mm": largest_diameter(mask, columns),
        **{key.format(c): float(v) for key, values in places.items() for c, v in zip("ras", values)},
        **{key.format(c): v.item() for key, values in indices.items() for c, v in zip("xyz", values)},
    }
    return cast(LabelStatistics, measured)
