"""The synthetic anatomy: plausible, exact, reproducible, and safe on disk."""

import json

import nibabel as nib
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import label as number_components

from protoseg.data.preparation import synthetic
from protoseg.data.preparation.synthetic import write_dataset
from protoseg.errors import InputError
from protoseg.synthesis.anatomy import ABDOMEN_LABELS, SyntheticScan, synthesise
from protoseg.synthesis.anatomy.canvas import Canvas
from protoseg.synthesis.anatomy.shapes import SmoothNoise, capsule, ellipsoid, smooth_curve, smooth_union
from protoseg.synthesis.anatomy.tissues import Tissue

SMALL = {"shape": (80, 80, 20), "spacing": (4.8, 4.8, 12.0)}
TINY = {"shape": (24, 24, 6), "spacing": (16.0, 16.0, 40.0)}

# Volume in ml, and mean HU over the native, arterial and portal-venous phases.
PLAUSIBLE = {
    "spleen": ((80, 450), (35, 150)),
    "right_kidney": ((80, 300), (20, 220)),
    "left_kidney": ((80, 300), (20, 220)),
    "liver": ((800, 2500), (30, 135)),
    "gallbladder": ((8, 90), (-10, 60)),
    "stomach": ((150, 1200), (-600, 80)),
    "pancreas": ((25, 150), (15, 130)),
    "aorta": ((40, 250), (25, 360)),
    "vena_cava": ((40, 250), (25, 170)),
    "vertebrae": ((200, 600), (150, 320)),
    "bowel": ((600, 3500), (-250, 80)),
    "lungs": ((150, 3500), (-880, -700)),
    "psoas": ((70, 450), (35, 80)),
}


@pytest.fixture(scope="module", params=[0, 1, 2])
def person(request: pytest.FixtureRequest) -> SyntheticScan:
    return synthesise(request.param, shape=(160, 160, 40), spacing=(2.4, 2.4, 6.0))


def centre_ras(scan: SyntheticScan, organ: str) -> np.ndarray:
    middle = np.argwhere(scan.labels == ABDOMEN_LABELS[organ]).mean(axis=0)
    return (scan.affine @ [*middle, 1])[:3]


def test_label_values_start_with_the_four_organs_of_the_literature() -> None:
    assert list(ABDOMEN_LABELS.items())[:4] == [("spleen", 1), ("right_kidney", 2), ("left_kidney", 3), ("liver", 4)]
    assert sorted(ABDOMEN_LABELS.values()) == list(range(1, len(ABDOMEN_LABELS) + 1))


def test_a_scan_is_what_it_says(person: SyntheticScan) -> None:
    assert person.image.shape == person.labels.shape == (160, 160, 40)
    assert (person.image.dtype, person.labels.dtype) == (np.float32, np.uint8)
    assert np.diag(person.affine).tolist() == [2.4, 2.4, 6.0, 1.0]
    assert np.isfinite(person.image).all()
    assert person.image.min() >= -1024 and person.image.max() <= 3071


@pytest.mark.parametrize("organ", ABDOMEN_LABELS)
def test_organs_have_a_plausible_size_and_density(person: SyntheticScan, organ: str) -> None:
    inside = person.labels == ABDOMEN_LABELS[organ]
    (smallest, largest), (darkest, brightest) = PLAUSIBLE[organ]
    assert smallest < inside.sum() * 2.4 * 2.4 * 6 / 1000 < largest
    assert darkest < person.image[inside].mean() < brightest


@pytest.mark.parametrize("organ", ["spleen", "right_kidney", "left_kidney", "liver", "gallbladder"])
def test_solid_organs_are_one_piece(person: SyntheticScan, organ: str) -> None:
    assert number_components(person.labels == ABDOMEN_LABELS[organ])[1] == 1


def test_organs_lie_where_they_belong(person: SyntheticScan) -> None:
    at = {organ: centre_ras(person, organ) for organ in ABDOMEN_LABELS}
    right, front, up = 0, 1, 2
    assert at["liver"][right] > at["vertebrae"][right] + 30
    assert at["spleen"][right] < at["vertebrae"][right] - 50
    assert at["right_kidney"][right] > at["vena_cava"][right] > at["aorta"][right] > at["left_kidney"][right]
    assert at["aorta"][front] > at["vertebrae"][front]
    assert at["gallbladder"][right] > at["pancreas"][right]
    assert at["lungs"][up] > at["liver"][up] > at["right_kidney"][up]


def test_labels_are_sharp_where_the_image_is(person: SyntheticScan) -> None:
    # Inside the liver (without its skin and large vessels) hardly a voxel looks like fat or gas.
    inside = person.image[person.labels == ABDOMEN_LABELS["liver"]]
    assert np.mean(inside < -40) < 0.01
    lungs = person.image[person.labels == ABDOMEN_LABELS["lungs"]]
    assert np.mean(lungs > -200) < 0.06


@settings(deadline=None, max_examples=4)
@given(seed=st.integers(0, 2**32), contrast=st.sampled_from(["ct", "t1", "t2"]))
def test_a_seed_gives_the_same_scan_whatever_the_global_state(seed: int, contrast: str) -> None:
    first = synthesise(seed, contrast=contrast, **TINY)
    np.random.seed(3)  # noqa: NPY002
    second = synthesise(seed, contrast=contrast, **TINY)
    assert np.array_equal(first.image, second.image) and np.array_equal(first.labels, second.labels)
    assert np.array_equal(first.affine, second.affine)
    assert first.image.min() >= 0 or contrast == "ct"


def test_another_contrast_shows_the_same_person() -> None:
    scans = [synthesise(5, contrast=contrast, **SMALL) for contrast in ("ct", "t1", "t2")]
    assert all(np.array_equal(scan.labels, scans[0].labels) for scan in scans)
    t1, t2 = ([s.image[s.labels == ABDOMEN_LABELS[o]].mean() for o in ("liver", "spleen")] for s in scans[1:])
    assert t1[0] > t1[1]  # liver brighter than spleen on T1,
    assert t2[0] < t2[1]  # darker on T2


def test_another_seed_gives_another_person() -> None:
    first, second = (synthesise(seed, **SMALL).labels > 0 for seed in (1, 2))
    assert 0.03 < np.mean(first != second) < 0.5


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"contrast": "pet"}, "contrast is 'pet'; expected one of ct, t1, t2."),
        ({"shape": (64, 64)}, "shape is (64, 64); expected three numbers of voxels, each at least 4."),
        ({"spacing": (1, 0, 1)}, "spacing is (1, 0, 1); expected three positive lengths in mm."),
    ],
)
def test_unusable_arguments_are_refused(arguments: dict, message: str) -> None:
    with pytest.raises(InputError) as error:
        synthesise(0, **arguments)
    assert str(error.value) == message


# --- shapes and canvas


def test_distances_are_exact_on_axes() -> None:
    x = np.array([0.0, 3.0, 5.0, 8.0], dtype=np.float32)
    rod = capsule(x, 0 * x, 0 * x, start=(0, 0, 0), end=(0, 0, 10), radii=(5, 5))
    assert rod.tolist() == [-5, -2, 0, 3]
    ball = ellipsoid(x, 0 * x, 0 * x, centre=(0, 0, 0), radii=(5, 5, 5))
    assert np.allclose(ball[1:], [-2, 0, 3], atol=1e-4)


def test_smooth_union_is_the_union_away_from_the_seam() -> None:
    a, b = np.array([-5.0, 1.0, 9.0]), np.array([8.0, 1.0, -4.0])
    assert smooth_union(a, b, 4.0).tolist() == [-5, 0, -4]


def test_a_curve_passes_its_ends() -> None:
    points, radii = smooth_curve([(0, 0, 0), (10, 0, 0), (20, 10, 0)], [1, 2, 3], step=2)
    assert np.allclose(points[[0, -1]], [(0, 0, 0), (20, 10, 0)])
    assert (radii[0], radii[-1]) == (1, 3)


def test_noise_does_not_depend_on_the_sampling() -> None:
    noise = SmoothNoise(np.random.default_rng(0), 20.0)
    coarse = [np.arange(-100, 100, 10, dtype=np.float32)] * 3
    fine = [np.arange(-100, 100, 5, dtype=np.float32)] * 3
    assert np.allclose(noise(coarse), noise(fine)[::2, ::2, ::2], atol=1e-5)
    assert 0.7 < noise(fine).std() < 1.3


def test_paint_mixes_tissues_on_a_surface_and_spares_what_it_must() -> None:
    axes = [np.arange(-4, 5, dtype=np.float32)] * 3
    canvas = Canvas(np.random.default_rng(0), axes=axes, proportions=(1, 1, 1), deformation=0)
    distance = np.broadcast_to(canvas.x - 0.25, canvas.shape)
    canvas.paint(canvas.everywhere, distance, Tissue.LIVER, label=4)
    row = (slice(None), 4, 4)
    assert canvas.labels[row].tolist() == [4, 4, 4, 4, 4, 0, 0, 0, 0]
    assert canvas.coverage[row].tolist() == [1, 1, 1, 1, 0.75, 1, 1, 1, 1]
    assert canvas.neighbour[4, 4, 4] == Tissue.AIR
    canvas.paint(canvas.everywhere, 0 * distance - 9, Tissue.CYST, label=None, over={Tissue.LIVER})
    assert canvas.labels[row].tolist() == [4, 4, 4, 4, 4, 0, 0, 0, 0]
    assert canvas.tissue[row].tolist() == [Tissue.CYST] * 5 + [Tissue.AIR] * 4


# --- data set


def test_dataset_round_trip(tmp_path) -> None:
    listing = write_dataset(tmp_path / "set", training=3, validation=1, test=0, seed=7, **TINY)
    content = json.loads(listing.read_text(encoding="utf-8"))
    assert (content["modality"], len(content["training"]), len(content["validation"])) == ("ct", 3, 1)
    assert content["test"] == [] and content["labels"]["1"] == "spleen"
    orientations = set()
    for case in content["training"] + content["validation"]:
        image, label = (nib.load(listing.parent / case[key]) for key in ("image", "label"))
        assert (image.get_data_dtype(), label.get_data_dtype()) == (np.int16, np.uint8)
        assert np.array_equal(image.affine, label.affine)
        assert np.allclose(sorted(image.header.get_zooms()), [16, 16, 40])
        orientations.add("".join(nib.aff2axcodes(image.affine)))
    assert orientations == {"LPS", "RAS", "LAS"}
    assert sorted(path.name for path in listing.parent.iterdir()) == [
        "dataset.json", "images", "labels", "synthesis.json",
    ]  # fmt: skip


def test_stored_orientation_keeps_the_scan(monkeypatch: pytest.MonkeyPatch, tmp_path) -> None:
    made: list[SyntheticScan] = []
    monkeypatch.setattr(synthetic, "synthesise", lambda *a, **k: made.append(synthesise(*a, **k)) or made[-1])
    listing = write_dataset(tmp_path, training=3, validation=0, test=0, contrast="t2", **TINY)
    for number, scan in enumerate(made):
        image = nib.as_closest_canonical(nib.load(listing.parent / f"images/training_{number:03d}.nii.gz"))
        assert np.array_equal(image.get_fdata(dtype=np.float32), scan.image)
        assert np.allclose(image.affine, scan.affine, atol=1e-4)


def test_a_stopped_run_goes_on_and_leaves_no_half_file(monkeypatch: pytest.MonkeyPatch, tmp_path) -> None:
    written: list[str] = []
    to_filename = nib.Nifti1Image.to_filename

    def fail_on_fourth(image: nib.Nifti1Image, path) -> None:
        written.append(path.name)
        to_filename(image, path)
        if len(written) == 4:
            path.write_bytes(path.read_bytes()[:100])
            raise OSError("disk full")

    arguments = {"training": 3, "validation": 0, "test": 0, **TINY}
    with monkeypatch.context() as broken:
        broken.setattr(nib.Nifti1Image, "to_filename", fail_on_fourth)
        with pytest.raises(OSError, match="disk full"):
            write_dataset(tmp_path, **arguments)
    assert not (tmp_path / "dataset.json").exists()
    assert sorted(p.name for p in tmp_path.glob("labels/*")) == ["training_000.nii.gz"]
    for path in tmp_path.glob("*/*.nii.gz"):
        if path.parent.name in ("images", "labels"):
            nib.load(path).get_fdata()
    kept = (tmp_path / "labels/training_000.nii.gz").stat().st_mtime_ns
    (tmp_path / "labels" / f".{'0' * 32}.training_001.nii.gz").write_bytes(b"of a run that was killed")
    write_dataset(tmp_path, **arguments)
    assert (tmp_path / "labels/training_000.nii.gz").stat().st_mtime_ns == kept
    assert len(list(tmp_path.glob("labels/*"))) == 3

    write_dataset(tmp_path / "at once", **arguments)
    for path in tmp_path.glob("images/*"):
        again = nib.load(tmp_path / "at once/images" / path.name)
        assert np.array_equal(nib.load(path).get_fdata(), again.get_fdata())


def test_another_recipe_or_foreign_folder_is_refused(tmp_path) -> None:
    folder = tmp_path / "set"
    write_dataset(folder, training=1, validation=0, test=0, **TINY)
    other_seed = r"set holds synthetic scans made with .*'seed': 0.*not with.*'seed': 1"
    with pytest.raises(InputError, match=other_seed):
        write_dataset(folder, training=1, validation=0, test=0, seed=1, **TINY)
    (tmp_path / "mine/images").mkdir(parents=True)
    with pytest.raises(InputError, match="mine holds a data set that was not made here"):
        write_dataset(tmp_path / "mine", training=1, validation=0, test=0)
    with pytest.raises(InputError, match="expected at least one scan"):
        write_dataset(tmp_path / "none", training=0, validation=0, test=0)
    with pytest.raises(InputError, match="contrast is 'pet'"):
        write_dataset(tmp_path / "none", contrast="pet")
    assert not (tmp_path / "none").exists()
