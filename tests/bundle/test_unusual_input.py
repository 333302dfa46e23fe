"""What users give that is merely unusual works: other grids and orientations, single slices, pictures.

Every case runs a whole workflow from its configuration, with an untrained network on tiny scans.
"""

import json
from pathlib import Path

import nibabel
import numpy as np
import pytest
import SimpleITK
from PIL import Image
from two_organs import LPS, ct, gray, infer, nifti, organs, picture, train

pytestmark = pytest.mark.usefixtures("surroundings")


def result(output_dir: Path, name: str, *, picture_too: bool = False) -> tuple[np.ndarray, np.ndarray]:
    """Label map and affine of a query; all files of the result are there, and no other."""
    endings = [".json", ".nii.gz", ".png"]
    if picture_too:
        endings.append("_labels.png")
    assert sorted(file.name for file in output_dir.iterdir()) == [f"{name}_seg{end}" for end in endings]
    image = nibabel.load(output_dir / f"{name}_seg.nii.gz")
    assert image.get_data_dtype() == np.uint8
    return np.asarray(image.dataobj), image.affine


def assert_like_organs(labels: np.ndarray, ground_truth: np.ndarray) -> None:
    """Both organs are found: Dice above 0.75, which even an untrained network reaches on its support."""
    assert labels.shape == ground_truth.shape
    assert np.unique(labels).tolist() == [0, 1, 2]
    for value in (1, 2):
        found, wanted = labels == value, ground_truth == value
        assert 2 * (found & wanted).sum() / (found.sum() + wanted.sum()) > 0.75


@pytest.fixture(scope="module")
def usual(tmp_path_factory: pytest.TempPathFactory) -> np.ndarray:
    """Label map of the scan with itself as support."""
    labels, affine = result(infer(tmp_path_factory.mktemp("usual"), {}), "scan")
    np.testing.assert_array_equal(affine, LPS)
    assert_like_organs(labels, organs())
    return labels


def test_label_on_another_grid_is_resampled(tmp_path: Path, usual: np.ndarray) -> None:
    fine = organs()[4:28, 6:18].repeat(2, 0).repeat(2, 1).repeat(2, 2)[::-1]
    affine = LPS @ [[-0.5, 0, 0, 27.25], [0, 0.5, 0, 5.75], [0, 0, 0.5, -0.25], [0, 0, 0, 1]]
    labels, _ = result(infer(tmp_path, {"support_label": nifti(tmp_path / "f.nii", fine, affine)}), "scan")
    np.testing.assert_array_equal(labels, usual)


@pytest.mark.parametrize("stored", ["RAS", "LPI", "SRP", "AIL"])
def test_result_lies_on_the_grid_of_the_query_however_it_is_stored(
    tmp_path: Path, usual: np.ndarray, stored: str
) -> None:
    turn = nibabel.orientations.ornt_transform(nibabel.io_orientation(LPS), nibabel.orientations.axcodes2ornt(stored))
    turned = nibabel.Nifti1Image(ct(), LPS).as_reoriented(turn)
    query = nifti(tmp_path / "turned.nii.gz", turned.get_fdata().astype(np.float32), turned.affine)
    labels, affine = result(infer(tmp_path, {"query": query}), "turned")
    np.testing.assert_array_equal(affine, turned.affine)
    np.testing.assert_array_equal(labels, nibabel.orientations.apply_orientation(usual, turn))


def test_result_keeps_an_oblique_affine(tmp_path: Path, usual: np.ndarray) -> None:
    tilt = np.eye(4)
    tilt[1:3, 1:3] = [[0.8, -0.6], [0.6, 0.8]]
    query = nifti(tmp_path / "tilted.nii", ct(), tilt @ LPS)
    labels, affine = result(infer(tmp_path, {"query": query}), "tilted")
    np.testing.assert_allclose(affine, tilt @ LPS, atol=1e-5)
    np.testing.assert_array_equal(labels, usual)


def test_pixels_that_are_not_square_are_made_square_for_the_network(tmp_path: Path) -> None:
    query = nifti(tmp_path / "narrow.nii", ct().repeat(4, 0), LPS @ np.diag([0.25, 1, 1, 1]))
    labels, affine = result(infer(tmp_path, {"query": query}), "narrow")
    np.testing.assert_array_equal(affine, LPS @ np.diag([0.25, 1, 1, 1]))
    assert_like_organs(labels, organs().repeat(4, 0))


@pytest.mark.parametrize("stored", ["PSR", "AIL", "RPS"])
def test_slices_are_cut_as_they_were_acquired_however_they_are_stored(tmp_path: Path, stored: str) -> None:
    """Four sagittal slices of 20 mm, stored in another way than the support's."""
    affine = np.array([[0, 0, -20.0, 0], [-10, 0, 0, 0], [0, -10, 0, 0], [0, 0, 0, 1]])  # axes P, I, L
    image, labels = ct(), organs()
    turn = nibabel.orientations.ornt_transform(
        nibabel.io_orientation(affine), nibabel.orientations.axcodes2ornt(stored)
    )
    query = nibabel.Nifti1Image(image, affine).as_reoriented(turn)
    nibabel.save(query, tmp_path / "query.nii.gz")
    support = {
        "support_image": nifti(tmp_path / "s.nii", image, affine),
        "support_label": nifti(tmp_path / "l.nii", labels, affine),
    }
    found, place = result(infer(tmp_path, {**support, "query": tmp_path / "query.nii.gz"}), "query")
    report = json.loads((tmp_path / "out" / "query_seg.json").read_text(encoding="utf-8"))
    assert report["settings"]["plane"] == "sagittal"
    np.testing.assert_array_equal(place, query.affine)
    assert_like_organs(found, nibabel.orientations.apply_orientation(labels, turn))


def turned(degrees: float, right: float) -> np.ndarray:
    """An affine in mm that turns about the body's axis and moves to the right."""
    cos, sin = np.cos(np.deg2rad(degrees)), np.sin(np.deg2rad(degrees))
    return np.array([[cos, -sin, 0, right], [sin, cos, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]])


@pytest.mark.parametrize(
    ("plane", "sform_code", "qform_code", "unit", "shear"),
    [
        ("auto", 2, 1, "mm", 0),
        ("axial", 1, 4, "micron", 0),
        ("coronal", 0, 3, "meter", 0),
        ("sagittal", 4, 2, "mm", 0),
        ("auto", 1, 1, "mm", 4),
        ("sagittal", 3, 0, "mm", 4),
    ],
)
def test_every_reader_sees_the_result_where_it_sees_the_query(
    tmp_path: Path, plane: str, sform_code: int, qform_code: int, unit: str, shear: float
) -> None:
    scale = {"mm": 1, "micron": 1000, "meter": 0.001}[unit]  # of the file's unit in a millimetre
    sform, qform = (np.diag([scale, scale, scale, 1]) @ turned(*place) @ LPS for place in ((10, 5), (12, 40)))
    sform[1, 2] += shear * scale
    query = nibabel.Nifti1Image(ct(), None)
    query.set_sform(sform, sform_code)
    query.set_qform(qform, qform_code)
    query.header["sform_code"], query.header["qform_code"] = sform_code, qform_code
    query.header.set_xyzt_units(unit)
    nibabel.save(query, tmp_path / "query.nii")
    infer(tmp_path, {"query": tmp_path / "query.nii", "plane": plane})
    seen, found = nibabel.load(tmp_path / "query.nii"), nibabel.load(tmp_path / "out" / "query_seg.nii.gz")
    np.testing.assert_array_equal(found.affine @ [7, 9, 2, 1], seen.affine @ [7, 9, 2, 1])
    assert found.header["sform_code"] == sform_code
    assert found.header.get_xyzt_units() == seen.header.get_xyzt_units()
    there = SimpleITK.ReadImage(str(tmp_path / "out" / "query_seg.nii.gz")).TransformIndexToPhysicalPoint((7, 9, 2))
    if qform_code or not shear:  # ITK refuses a query whose only form is sheared
        here = SimpleITK.ReadImage(str(tmp_path / "query.nii")).TransformIndexToPhysicalPoint((7, 9, 2))
        assert there == here
    if plane in ("auto", "axial"):  # four rows are too few for an untrained network
        assert np.unique(found.dataobj).tolist() == [0, 1, 2]


def test_training_does_not_need_every_label_of_the_data_set_in_the_support(tmp_path: Path) -> None:
    case = {"image": str(nifti(tmp_path / "a.nii", ct())), "label": str(nifti(tmp_path / "b.nii", organs()))}
    dataset = {"labels": {"liver": 1, "spleen": 2, "gallbladder": 3}, "training": [case], "validation": [case] * 2}
    named = tmp_path / "named.json"
    named.write_text(json.dumps(dataset))
    train(tmp_path, {"dataset_json": named})
    assert (tmp_path / "out" / "best.pt").exists()


@pytest.mark.parametrize("two_dimensional", [True, False])
def test_one_slice_as_support_and_query(tmp_path: Path, two_dimensional: bool) -> None:
    chosen = (slice(None), slice(None), 1 if two_dimensional else slice(1, 2))
    one = nifti(tmp_path / "one.nii.gz", ct()[chosen])
    support_label = nifti(tmp_path / "one_labels.nii.gz", organs()[chosen])
    overrides = {"support_image": one, "support_label": support_label, "query": one}
    labels, affine = result(infer(tmp_path, overrides), "one")
    np.testing.assert_array_equal(affine, LPS)
    assert_like_organs(labels, organs()[:, :, 1:2])


@pytest.mark.parametrize("pixels", [gray(), np.dstack([gray(), 250 - gray(), gray() // 2])], ids=["gray", "RGB"])
def test_picture_as_support_and_query(tmp_path: Path, pixels: np.ndarray) -> None:
    photo = picture(tmp_path / "photo.png", pixels)
    mask = picture(tmp_path / "mask.png", organs()[:, :, 1].T)
    overrides = {"support_image": photo, "support_label": mask, "query": photo}
    labels, affine = result(infer(tmp_path, overrides), "photo", picture_too=True)
    assert affine.diagonal().tolist() == [-1, -1, 1, 1]
    assert_like_organs(labels, organs()[:, :, 1:2])
    drawn = tmp_path / "out" / "photo_seg_labels.png"
    np.testing.assert_array_equal(np.asarray(Image.open(drawn)), labels[:, :, 0].T)
    again = {**overrides, "support_label": drawn, "output_dir": tmp_path / "again"}
    infer(tmp_path, again)
    found, _ = result(tmp_path / "again", "photo", picture_too=True)
    assert np.unique(found).tolist() == [0, 1, 2], "a result serves as support"


def test_a_photo_that_its_header_turns_has_labels_as_it_is_shown(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by 90 degrees
    Image.fromarray(np.rot90(gray()).copy()).save(tmp_path / "photo.png", exif=exif)
    mask = picture(tmp_path / "mask.png", organs()[:, :, 1].T)
    overrides = {"support_image": tmp_path / "photo.png", "support_label": mask, "query": tmp_path / "photo.png"}
    labels, _ = result(infer(tmp_path, overrides), "photo", picture_too=True)
    assert_like_organs(labels, organs()[:, :, 1:2])
    shown = Image.open(tmp_path / "out" / "photo_seg_labels.png")
    np.testing.assert_array_equal(np.asarray(shown), labels[:, :, 0].T)


def test_a_second_run_beside_the_images_takes_no_results_for_queries(tmp_path: Path) -> None:
    beside = {"query": tmp_path / "images", "output_dir": tmp_path / "images"}
    nifti(tmp_path / "images" / "a.nii.gz", ct())
    picture(tmp_path / "images" / "b.png", gray())
    infer(tmp_path, beside)
    first = {file.name: file.read_bytes() for file in (tmp_path / "images").iterdir()}
    assert len(first) == 2 + 3 + 4
    infer(tmp_path, beside)
    assert {file.name for file in (tmp_path / "images").iterdir()} == first.keys()


def test_a_folder_of_masks_as_support(tmp_path: Path, usual: np.ndarray) -> None:
    masks = tmp_path / "masks"
    for value, name in ((1, "liver"), (2, "spleen")):
        nifti(masks / f"{name}.nii.gz", (organs() == value).astype(np.uint8))
    labels, _ = result(infer(tmp_path, {"support_label": masks}), "scan")
    np.testing.assert_array_equal(labels, usual)
    report = json.loads((tmp_path / "out" / "scan_seg.json").read_text(encoding="utf-8"))
    assert {name: entry["value"] for name, entry in report["labels"].items()} == {"liver": 1, "spleen": 2}
    chosen, _ = result(infer(tmp_path, {"support_label": masks, "label_names": ["spleen"]}), "scan")
    assert np.unique(chosen).tolist() == [0, 2]


def test_names_that_look_like_numbers_are_paths(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As MONAI's command line gives `--query 12 --output_dir 20240101`."""
    monkeypatch.chdir(tmp_path)
    nifti(tmp_path / "12" / "a.nii.gz", ct())
    infer(tmp_path, {"query": 12, "output_dir": 20240101, "resume": True})
    assert (tmp_path / "20240101" / "a_seg.nii.gz").exists()
