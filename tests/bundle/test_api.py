"""The way in from Python: paths and objects in, label maps on the image's own voxels out."""

import copy
import pickle
import re
import subprocess
import sys
import traceback
from dataclasses import replace
from pathlib import Path

import nibabel
import numpy as np
import pytest
import SimpleITK
from monai.data import MetaTensor
from PIL import Image
from two_organs import LPS, ct, gray, nifti, organs

import protoseg
from protoseg import Segmenter
from protoseg.data.io.dicom_export import write_series
from protoseg.data.io.grids import align_labels
from protoseg.data.io.volumes import read_image, read_labels
from protoseg.errors import InputError

NAMES = {"liver": 1, "spleen": 2}


@pytest.fixture(scope="module")
def pretrained():
    return Segmenter.from_pretrained(image_size=64, precision="float32", device="cpu", component_filter="none")


@pytest.fixture
def segmenter(pretrained):
    """One that knows nothing yet."""
    return Segmenter(pretrained.parts)


@pytest.fixture
def scan(tmp_path):
    return nifti(tmp_path / "scan.nii.gz", ct())


@pytest.fixture
def labels(tmp_path):
    return nifti(tmp_path / "labels.nii.gz", organs())


def dice(found, value):
    return 2 * ((found == value) & (organs() == value)).sum() / ((found == value).sum() + (organs() == value).sum())


def test_label_one_get_the_rest(segmenter, scan, labels, tmp_path):
    found = segmenter.add_support(scan, labels, names=NAMES).segment(scan)
    assert found.label_map.shape == ct().shape
    assert all(dice(found.label_map, value) > 0.7 for value in NAMES.values())
    assert found.volume_ml("liver") == pytest.approx(found.mask("liver").sum())  # voxels of 1 cm
    assert found.report()["spleen"]["support_slice"]["scan"] == str(scan)
    assert "liver: " in str(found)
    kept = nibabel.load(found.save(tmp_path / "out" / "found.nii.gz"))
    np.testing.assert_array_equal(np.asarray(kept.dataobj), found.label_map)
    np.testing.assert_allclose(kept.affine, LPS)


def test_objects_give_what_their_files_give(segmenter, scan, labels):
    of_files = segmenter.add_support(scan, labels, names=NAMES).segment(scan).label_map
    image, drawn = nibabel.load(scan), nibabel.load(labels)
    itk = (SimpleITK.ReadImage(str(scan)), SimpleITK.ReadImage(str(labels)))
    read = (read_image(scan), read_labels(labels))
    bare = (MetaTensor(read[0].as_tensor(), affine=read[0].affine), MetaTensor(read[1].as_tensor(), affine=LPS))
    arrays = (nibabel.Nifti1Image(ct(), LPS), nibabel.Nifti1Image(organs(), LPS))
    for a_scan, its_labels in ((image, drawn), itk, read, bare, arrays):
        other = Segmenter(segmenter.parts).add_support(a_scan, its_labels, names=NAMES)
        np.testing.assert_array_equal(other.segment(a_scan).label_map, of_files)


def test_itk_reads_every_format_where_it_reads_the_scan(segmenter, scan, labels, tmp_path):
    found = segmenter.add_support(scan, labels).segment(scan)
    expected = SimpleITK.ReadImage(str(scan))
    for name in ("a.nrrd", "a.mha", "a.nii"):
        written = SimpleITK.ReadImage(str(found.save(tmp_path / name)))
        assert written.GetOrigin() == pytest.approx(expected.GetOrigin())
        assert written.GetDirection() == pytest.approx(expected.GetDirection())
        assert written.GetSpacing() == pytest.approx(expected.GetSpacing())
        np.testing.assert_array_equal(SimpleITK.GetArrayFromImage(written).T, found.label_map)


def test_a_picture_in_memory(segmenter, tmp_path):
    drawn = Image.fromarray(organs()[:, :, 1].T)
    found = segmenter.add_support(Image.fromarray(gray()), drawn, names=NAMES).segment(Image.fromarray(gray()))
    assert found.label_map.shape == (32, 32, 1)
    saved = found.save(tmp_path / "labels.png")
    np.testing.assert_array_equal(np.asarray(Image.open(saved)), found.label_map[:, :, 0].T)


def test_labels_of_a_dicom_series_are_saved_as_dicom(segmenter, scan, labels, tmp_path):
    write_series(tmp_path / "series", scan, patient="Doe^Anna")
    found = segmenter.add_support(scan, labels, names=NAMES).segment(tmp_path / "series")
    series = read_image(tmp_path / "series")
    for name in ("a.seg.dcm", "a.rtstruct.dcm"):
        again = align_labels(read_labels(found.save(tmp_path / "out" / name), series), series)
        assert again.meta["label_names"] == NAMES
        np.testing.assert_array_equal(again[0].numpy(), found.label_map)
    with pytest.raises(InputError, match=r"scan.nii.gz is no folder with a DICOM series"):
        segmenter.segment(scan).save(tmp_path / "out" / "b.seg.dcm")


def test_statistics_are_of_the_image_itself(segmenter, scan, labels):
    found = segmenter.add_support(scan, labels, names=NAMES).segment(scan)
    for image in (scan, nibabel.load(scan), read_image(scan)):
        statistics = found.statistics(image)
        for name in NAMES:
            assert statistics[name]["volume_ml"] == pytest.approx(found.volume_ml(name))
            assert statistics[name]["mean"] == pytest.approx(ct()[found.mask(name)].mean(), abs=1e-3)
    with pytest.raises(InputError, match="The image lies elsewhere than the one that was segmented"):
        found.statistics(nibabel.Nifti1Image(ct(), 2 * LPS))


def test_labels_of_several_scans_get_values_of_their_own(segmenter, scan, tmp_path):
    for number, name in enumerate(("liver", "spleen"), start=1):
        mask = nifti(tmp_path / f"{name}.nii.gz", (organs() == number).astype(np.uint8))
        segmenter.add_support(scan, mask, names={name: 1})
    assert segmenter.labels == {"liver": 1, "spleen": 2}
    found = segmenter.segment(scan)
    assert all(dice(found.label_map, value) > 0.7 for value in (1, 2))


def test_a_support_that_was_saved_serves_again(segmenter, scan, labels, tmp_path):
    found = segmenter.add_support(scan, labels, names=NAMES).segment(scan)
    segmenter.save_support(tmp_path / "organs.support")
    again = Segmenter(segmenter.parts).load_support(tmp_path / "organs.support")
    assert again.labels == NAMES
    np.testing.assert_array_equal(again.segment(scan).label_map, found.label_map)
    other = Segmenter(replace(segmenter.parts, image_size=2 * segmenter.parts.image_size))
    with pytest.raises(InputError, match=r"organs\.support: The support was made by the preprocessing \w+, and this"):
        other.load_support(tmp_path / "organs.support")
    assert not other.labels


def test_a_scan_that_is_added_again_is_replaced(segmenter, scan, labels, tmp_path):
    wrong = organs()
    wrong[18:26, 20:24] = 1
    wrong[wrong == 2] = 0
    segmenter.add_support(scan, labels, names=NAMES)
    expected = segmenter.segment(scan).label_map
    segmenter.add_support(scan, nifti(tmp_path / "wrong.nii.gz", wrong), names={"liver": 1}, slices="all")
    assert segmenter.labels == NAMES
    assert segmenter.support.components == {"liver": 2, "spleen": 1}
    segmenter.add_support(scan, labels, names=NAMES)
    assert segmenter.support.components == {"liver": 1, "spleen": 1}
    np.testing.assert_array_equal(segmenter.segment(scan).label_map, expected)
    segmenter.add_support(scan, labels, names={"liver": 1}, slices=[1])
    segmenter.add_support(scan, labels, names={"liver": 1}, slices=[2])
    assert [origin.slice_index for origin in segmenter.support.origins] == [1, 2], "slices that are named are added"


def test_results_and_segmenters_can_be_copied(segmenter, scan, labels):
    found = copy.deepcopy(segmenter.add_support(scan, labels, names=NAMES).segment(scan))
    for again in (copy.deepcopy(segmenter), pickle.loads(pickle.dumps(segmenter))):
        np.testing.assert_array_equal(again.segment(scan).label_map, found.label_map)


def test_a_click_and_its_opposite_leave_a_label_that_is_not_found(segmenter, scan):
    session = segmenter.session(scan, labels="liver")
    session.click((10, 12, 1))
    found = session.click((10, 12, 1), positive=False)
    assert not found.label_map.any()
    assert found.findings["liver"].warning == "not found"


def test_clicks_are_answered_and_taken_back(segmenter, scan):
    session = segmenter.session(scan, labels=["liver"])
    first = session.click((10, 12, 1))
    assert first.mask("liver")[10, 12, 1]
    place = LPS @ (10, 12, 2, 1)
    second = session.click(tuple(place[:3]), "liver", positive=False, millimeters=True)
    assert not second.mask("liver")[10, 12, 2]
    np.testing.assert_array_equal(session.undo().label_map, first.label_map)
    assert session.undo() is None
    with pytest.raises(InputError, match="There is no click to take back"):
        session.undo()


@pytest.mark.parametrize(
    ("at", "message"),
    [
        ("abc", "A click is at 'abc', expected three numbers x, y, z."),
        ((1, None, 2), "A click is at (1, None, 2), expected three numbers x, y, z."),
        ((32, 0, 0), "A click is at the voxel 32, 0, 0, outside of the image of 32 x 32 x 4 voxels."),
        ((0, 0, 1), "A click is at (0, 0, 1), outside of the body that was found. Click on the structure."),
    ],
)
def test_a_click_on_no_place_of_the_body_is_refused(segmenter, scan, at, message):
    session = segmenter.session(scan, labels=["liver"])
    with pytest.raises(InputError, match=f"^{re.escape(message)}$"):
        session.click(at)
    assert not session.clicks


def test_a_label_that_was_not_clicked_on_yet_is_not_told(segmenter, scan, labels):
    session = segmenter.add_support(scan, labels, names=NAMES).session(scan, labels=["tumor"])
    found = session.segment()
    assert list(found.report()) == ["liver", "spleen"]
    assert "tumor" not in str(found)
    assert list(session.click((10, 20, 1), "tumor").report()) == ["liver", "spleen", "tumor"]


def test_a_session_begins_with_what_serves(segmenter, scan, labels):
    session = segmenter.add_support(scan, labels, names=NAMES).session(scan, labels=["tumor"])
    assert session.labels == {**NAMES, "tumor": 3}
    np.testing.assert_array_equal(session.segment().mask("liver"), segmenter.segment(scan).mask("liver"))


def test_labelled_scans_that_conflict_are_told_by_every_result(segmenter, scan, labels, tmp_path):
    mixed_up = nifti(tmp_path / "mixed_up.nii.gz", np.array([0, 2, 1], np.uint8)[organs()])
    other = nifti(tmp_path / "b" / scan.name, ct())  # of the same name in another folder
    segmenter.add_support(scan, labels, names=NAMES)
    assert segmenter.check_support() == {}
    assert "check" not in segmenter.segment(scan).findings["liver"].warning
    segmenter.add_support(other, mixed_up, names=NAMES)
    assert {one: set(mine) for one, mine in segmenter.check_support().items()} == {
        str(one): set(NAMES) for one in (scan, other)
    }
    for found in (segmenter.segment(scan), segmenter.session(scan).segment()):
        for one in (scan, other):
            assert f"check its label in {one}, which agrees with the other" in found.findings["liver"].warning


@pytest.mark.parametrize(
    ("what", "message"),
    [
        (lambda s, scan, labels: s.segment(scan), "Nothing is labelled yet: add a labelled scan by add_support"),
        (lambda s, scan, labels: s.session(scan), "There is nothing to click on: name labels, or add a labelled scan"),
        (lambda s, scan, labels: s.add_support(scan, np.zeros((8, 8, 8))), "labels of .*: an array does not say where"),
        (lambda s, scan, labels: s.add_support(7, labels), "support 1 is of the type int; expected a path, or an"),
        (lambda s, scan, labels: s.add_support(scan, labels, names=["liver"]), "names"),
        (
            lambda s, scan, labels: s.add_support(scan, labels).segment(scan).save("found.tif"),
            r"found.tif: label maps are written as .nii.gz, .nii, .nrrd, .mha, .png",
        ),
        (lambda s, scan, labels: s.add_support(scan, labels).segment(scan).save("found.png"), "4 slices is no picture"),
        (lambda s, scan, labels: s.add_support(scan, labels).segment(scan).mask("lung"), "There is no label 'lung'"),
        (lambda s, scan, labels: s.session(scan, labels=" "), r"The labels to click on are \[' '\]; expected names"),
        (lambda s, scan, labels: s.session(scan, labels=["a"]).click((1, 2)), "A click is at .* three numbers x, y, z"),
        (
            lambda s, scan, labels: s.session(scan, labels=["a"]).click((1, 2, 40)),
            "A click is at the voxel 1, 2, 40, outside of the image of 32 x 32 x 4 voxels",
        ),
        (
            lambda s, scan, labels: s.session(scan, labels=["a", "b"]).click((1, 2, 3)),
            "A click is on no label; name one of a, b",
        ),
        (
            lambda s, scan, labels: s.session(scan, labels=["a"]).click((1, 2, 3), "c"),
            "A click is on the label 'c'; name one of a",
        ),
        (lambda s, scan, labels: Segmenter.from_pretrained(choise="all"), "has no entry 'choise'"),
        (lambda s, scan, labels: Segmenter.from_pretrained(support_slices="all"), "support_slices is for the command"),
        (lambda s, scan, labels: Segmenter.from_pretrained(configs="absent.yaml"), "absent.yaml does not exist"),
        (lambda s, scan, labels: Segmenter(s.parts, feature_cache_mb=-1), "feature_cache_mb is -1; expected 0 or more"),
        (lambda s, scan, labels: Segmenter.from_pretrained("absent.pt"), "Weights file absent.pt does not exist"),
        (lambda s, scan, labels: Segmenter.from_pretrained(configs=["absent.yaml"]), "absent.yaml does not exist"),
    ],
)
def test_bad_input_is_told_in_a_sentence(segmenter, scan, labels, what, message):
    with pytest.raises(InputError, match=message):
        what(segmenter, scan, labels)


def test_a_refused_click_leaves_the_session_as_it_was(segmenter, scan):
    session = segmenter.session(scan, labels=["liver"])
    with pytest.raises(InputError):
        session.click((10, 12, 1), positive=False)  # a negative click alone finds nothing
    assert session.clicks == ()


def test_the_version_does_not_import_the_engine():
    command = "import sys, protoseg; protoseg.__version__; print('monai' in sys.modules)"
    run = subprocess.run([sys.executable, "-c", command], capture_output=True, text=True, encoding="utf-8", check=True)
    assert run.stdout.split() == ["False"]


def test_six_files_lead_from_a_scan_to_the_network(segmenter, scan, labels, tmp_path):
    """Those that CONTRIBUTING.md tells a newcomer to read."""
    package = Path(protoseg.__file__).parent
    ways = []

    def note(*_):
        files = [Path(frame.filename) for frame in traceback.extract_stack()]
        ways.append([str(file.relative_to(package)) for file in files if file.is_relative_to(package)])

    segmenter.encoder.frozen.register_forward_pre_hook(note)
    other = np.concatenate([ct() + 10 * k for k in range(1, 4)], axis=2)  # more than the slices that contrast looks at
    segmenter.add_support(scan, labels).segment(nifti(tmp_path / "other.nii.gz", other))
    shortest = min((list(dict.fromkeys(way)) for way in ways), key=len)
    text = (package.parents[1] / "CONTRIBUTING.md").read_text(encoding="utf-8")
    assert shortest == re.findall(r"(?m)^\d\. `([\w/]+\.py)`", text)
    assert len(shortest) <= 6
