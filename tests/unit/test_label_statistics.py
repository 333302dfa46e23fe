"""Size, place, shape and intensities of labels, on phantoms of which they are known exactly."""

import csv
from pathlib import Path

import numpy as np
import pytest
import torch
from monai.data import MetaTensor

from protoseg.errors import InputError
from protoseg.workflows.evaluation.diameters import largest_diameter, largest_in_plane_diameter
from protoseg.workflows.evaluation.label_statistics import LabelStatistics, label_statistics
from protoseg.workflows.evaluation.statistics_table import statistics_rows, write_statistics_csv

AFFINE = np.array([[-2.0, 0, 0, 50], [0, 0, -5.0, 30], [0, 3.0, 0, -20], [0, 0, 0, 1]])  # coronal slices, 5 mm apart


def image(voxels: np.ndarray, affine: np.ndarray = AFFINE) -> MetaTensor:
    channels = voxels if voxels.ndim == 4 else voxels[None]
    return MetaTensor(torch.as_tensor(channels.astype(np.float32)), affine=torch.as_tensor(affine))


def phantom() -> tuple[np.ndarray, np.ndarray]:
    """A box of 4 x 3 x 2 voxels with the intensities 1 to 24, and two voxels that touch nowhere."""
    labels = np.zeros((12, 11, 10), np.uint8)
    labels[2:6, 3:6, 4:6] = 3
    labels[9, 9, 1] = labels[11, 10, 9] = 7
    voxels = np.full(labels.shape, -1000)
    voxels[labels == 3] = np.arange(1, 25)
    voxels[labels == 7] = [10, 30]
    return voxels, labels


def test_a_box() -> None:
    voxels, labels = phantom()
    found = label_statistics(image(voxels), labels, {"box": 3})["box"]
    assert list(found) == list(LabelStatistics.__annotations__)
    expected = {
        "volume_ml": 24 * 30 / 1000,
        "voxels": 24,
        "slices": 2,  # along Z, where voxels are longest
        "components": 1,
        "mean": 12.5,
        "std": np.sqrt((24**2 - 1) / 12),
        "min": 1,
        "p5": 2.15,
        "p25": 6.75,
        "p50": 12.5,
        "p75": 18.25,
        "p95": 22.85,
        "max": 24,
        # Between faces half a voxel out, at the centers of the corner voxels.
        "diameter_2d_mm": np.hypot(3 * 2, 3 * 3),
        "diameter_3d_mm": np.sqrt((3 * 2) ** 2 + (2 * 3) ** 2 + (2 * 5) ** 2),
        "centroid_r_mm": 50 - 2 * 3.5,
        "centroid_a_mm": 30 - 5 * 4.5,
        "centroid_s_mm": -20 + 3 * 4,
        "box_min_r_mm": 50 - 2 * 5.5,
        "box_min_a_mm": 30 - 5 * 5.5,
        "box_min_s_mm": -20 + 3 * 2.5,
        "box_max_r_mm": 50 - 2 * 1.5,
        "box_max_a_mm": 30 - 5 * 3.5,
        "box_max_s_mm": -20 + 3 * 5.5,
        "centroid_x": 3.5,
        "centroid_y": 4,
        "centroid_z": 4.5,
        "box_min_x": 2,
        "box_min_y": 3,
        "box_min_z": 4,
        "box_max_x": 5,
        "box_max_y": 5,
        "box_max_z": 5,
    }
    assert found == pytest.approx(expected)
    whole = ("voxels", "slices", "components", "box_min_x", "box_max_z")
    assert all(isinstance(found[key], int) for key in whole)  # type: ignore[literal-required]


def test_parts_far_apart_and_an_absent_label() -> None:
    voxels, labels = phantom()
    found = label_statistics(image(voxels), labels, {"parts": 7, "absent": 2, "beyond": 250})
    assert found["parts"]["components"] == found["parts"]["voxels"] == found["parts"]["slices"] == 2
    assert (found["parts"]["mean"], found["parts"]["std"]) == (20, 10)
    assert found["absent"] == found["beyond"]
    assert {key for key, value in found["absent"].items() if value is not None} == {
        "volume_ml",
        "voxels",
        "slices",
        "components",
    }
    assert found["absent"]["volume_ml"] == found["absent"]["voxels"] == 0


def test_an_oblique_grid_measures_along_its_own_axes() -> None:
    angle = np.deg2rad(30)
    turned = np.eye(4)
    turned[:2, :2] = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
    voxels, labels = phantom()
    straight, oblique = (
        label_statistics(image(voxels, affine), labels, {"box": 3})["box"] for affine in (AFFINE, turned @ AFFINE)
    )
    same = ("volume_ml", "slices", "diameter_2d_mm", "diameter_3d_mm", "mean")
    assert [oblique[key] for key in same] == pytest.approx([straight[key] for key in same])  # type: ignore
    center = np.array([straight[f"centroid_{c}_mm"] for c in "ras"])  # type: ignore[literal-required]
    assert [oblique[f"centroid_{c}_mm"] for c in "ras"] == pytest.approx(turned[:3, :3] @ center)  # type: ignore


def test_a_color_picture_is_measured_by_the_mean_of_its_channels() -> None:
    colors = np.zeros((3, 16, 16, 1))
    colors[:, 4, 5] = np.array([[30], [60], [90]])
    labels = np.zeros((16, 16, 1), np.uint8)
    labels[4, 5] = 1
    found = label_statistics(image(colors, np.eye(4)), labels, {"polyp": 1})["polyp"]
    assert (found["mean"], found["std"], found["slices"]) == (60, 0, 1)
    assert found["diameter_2d_mm"] == 1


def test_a_ball_is_as_wide_as_it_was_drawn() -> None:
    steps = np.array([0.5, 0.7, 1.3])
    x, y, z = (np.arange(-n, n + 1) * step for n, step in zip((45, 34, 18), steps))
    ball = x[:, None, None] ** 2 + y[:, None] ** 2 + z**2 < 20**2
    assert largest_diameter(ball, np.diag(steps)) == pytest.approx(40, abs=1.3)  # a voxel
    assert largest_in_plane_diameter(ball, np.diag(steps), 2) == pytest.approx(40, abs=0.7)


def test_diameters_are_those_between_all_points_of_the_surface() -> None:
    mask = np.random.default_rng(3).random((7, 6, 5)) < 0.3
    columns = np.array([[1.0, 0.2, 0], [0, 1.5, 0.3], [0, 0, 3]])
    points = []
    for axis in range(3):
        padded = np.pad(mask, 1).astype(int)
        cuts = np.argwhere(np.diff(padded, axis=axis)).astype(float) - 1
        cuts[:, axis] += 0.5
        points.append(cuts)
    surface = np.concatenate(points) @ columns.T
    apart = np.linalg.norm(surface[:, None] - surface, axis=-1)
    assert largest_diameter(mask, columns) == pytest.approx(apart.max())


def test_sizes_must_agree() -> None:
    voxels, labels = phantom()
    with pytest.raises(InputError) as error:
        label_statistics(image(voxels), labels[1:], {"box": 3})
    assert str(error.value) == (
        "The label map has 11 x 11 x 10 voxels and the image 12 x 11 x 10, expected one size. Give the image that was "
        "segmented."
    )


def test_a_table_over_a_cohort(tmp_path: Path) -> None:
    voxels, labels = phantom()
    rows = []
    for query in ("Ännchen", "bert"):
        rows += statistics_rows(query, label_statistics(image(voxels), labels, {"box": 3, "absent": 2}))
    write_statistics_csv(tmp_path / "out" / "statistics.csv", rows)
    with (tmp_path / "out" / "statistics.csv").open(encoding="utf-8", newline="") as file:
        read = list(csv.DictReader(file))
    assert [(row["query"], row["label"], row["voxels"], row["mean"]) for row in read] == [
        ("Ännchen", "box", "24", "12.5"),
        ("Ännchen", "absent", "0", ""),
        ("bert", "box", "24", "12.5"),
        ("bert", "absent", "0", ""),
    ]
    assert list(read[0])[:6] == ["query", "label", "volume_ml", "voxels", "slices", "components"]
    assert list((tmp_path / "out").iterdir()) == [tmp_path / "out" / "statistics.csv"]
