"""Five people as DICOM, one labelled as RTSTRUCT: the command segments the others, and OHIF opens what it wrote."""

import io
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pydicom
import pytest
import requests
from numpy.typing import NDArray

from protoseg.data.io.dicom import slice_files
from protoseg.data.io.grids import align_labels
from protoseg.data.io.label_files import write_labels
from protoseg.data.io.volumes import read_image, read_labels
from protoseg.synthesis.anatomy import ABDOMEN_LABELS

ORGANS = ("spleen", "right_kidney", "left_kidney", "liver")
PEOPLE = [f"validation_{number:03d}" for number in range(5)]  # scripts/serve draws others, of the test section
LABELLED, *OTHERS = PEOPLE
ORGANS_AT = 22  # a slice that shows all four


def protoseg(*words: str | Path) -> None:
    program = Path(sys.executable).with_name("protoseg")
    subprocess.run([program, *words], check=True, capture_output=True)


def truth(folder: Path, person: str) -> NDArray[np.uint8]:
    """Organs as drawn (X, Y, Z), on the voxels of the series."""
    scan = read_image(folder / "dicom" / person)
    labels = align_labels(read_labels(folder / f"people/labels/{person}.nii.gz"), scan)[0].numpy().astype(np.uint8)
    return np.where(np.isin(labels, [ABDOMEN_LABELS[organ] for organ in ORGANS]), labels, 0).astype(np.uint8)


@pytest.fixture(scope="module")
def cohort(chain, tmp_path_factory) -> Path:
    """Folder of five series in `dicom` and what was found in four of them in `results`; all are on the server."""
    folder = tmp_path_factory.mktemp("cohort")
    protoseg("synthesize", folder / "people", "--training", "0", "--validation", str(len(PEOPLE)), "--test", "0")
    protoseg("to-dicom", *sorted((folder / "people/images").iterdir()), folder / "dicom")
    drawn = folder / "drawn.rtstruct.dcm"
    scan = read_image(folder / "dicom" / LABELLED)
    write_labels(drawn, truth(folder, LABELLED), scan, labels={organ: ABDOMEN_LABELS[organ] for organ in ORGANS})
    queries = [folder / "dicom" / person for person in OTHERS]
    like = ("--like", folder / "dicom" / LABELLED, drawn)
    protoseg("segment", *queries, *like, "--save", "dicom_seg,rtstruct", "-o", folder / "results")
    for file in (*sorted(folder.glob("dicom/*/*.dcm")), *sorted(folder.glob("results/*.dcm"))):
        requests.post(f"{chain.orthanc}/instances", data=file.read_bytes()).raise_for_status()
    return folder


@pytest.mark.parametrize("person", OTHERS)
def test_organs_are_found_and_stored_beside_the_series(cohort, chain, person):
    found = requests.post(f"{chain.orthanc}/tools/find", json={"Level": "Instance", "Query": {"PatientID": person}})
    for ending, modality in ((".seg.dcm", "SEG"), (".rtstruct.dcm", "RTSTRUCT")):
        file = cohort / "results" / f"{person}_seg{ending}"
        stored = [requests.get(f"{chain.orthanc}/instances/{name}/file").content for name in found.json()]
        datasets = [pydicom.dcmread(io.BytesIO(content)) for content in stored]
        (kept,) = (dataset for dataset in datasets if dataset.Modality == modality)
        assert kept == pydicom.dcmread(file)
        scan = read_image(cohort / "dicom" / person)
        labels = align_labels(read_labels(file, scan), scan)
        assert set(labels.meta["label_names"]) == set(ORGANS)
        drawn = truth(cohort, person)
        for organ, value in labels.meta["label_names"].items():
            mask, reference = labels[0].numpy() == value, drawn == ABDOMEN_LABELS[organ]
            assert 2 * (mask & reference).sum() / (mask.sum() + reference.sum()) > 0.8, organ


@pytest.mark.parametrize("person", OTHERS)
def test_dciodvfy_finds_no_error(cohort, person):
    if shutil.which("dciodvfy") is None:
        pytest.skip("dciodvfy, of Debian's dicom3tools, is not installed")
    for ending in (".seg.dcm", ".rtstruct.dcm"):
        file = cohort / "results" / f"{person}_seg{ending}"
        run = subprocess.run(["dciodvfy", file], capture_output=True, text=True, check=False)
        assert [line for line in (run.stdout + run.stderr).splitlines() if "Error" in line] == []


def test_ohif_shows_the_voxels_of_the_segmentation(cohort, viewer):
    person = OTHERS[0]
    slices = {pydicom.dcmread(file).SOPInstanceUID: file for file in slice_files(cohort / "dicom" / person)}
    viewer.open_study(pydicom.dcmread(next(iter(slices.values()))).StudyInstanceUID)
    viewer.load("protoseg segmentation")
    viewer.turn_to(ORGANS_AT)
    viewer.take_picture("ohif_cohort_seg")
    shown = viewer.stored_masks("protoseg segmentation")
    scan = read_image(cohort / "dicom" / person)
    labels = align_labels(read_labels(cohort / "results" / f"{person}_seg.nii.gz"), scan)[0].numpy()
    assert set(shown) == set(ORGANS)
    for organ, masks in shown.items():
        assert set(masks) == set(slices)
        written = labels == ABDOMEN_LABELS[organ]  # X x Y x Z, slices as slice_files orders them
        for z, uid in enumerate(slices):
            np.testing.assert_array_equal(masks[uid], written[:, :, z].T.ravel(), err_msg=f"{organ}, slice {z}")


def test_ohif_shows_the_contours_of_the_structures(cohort, viewer):
    person = OTHERS[1]
    viewer.open_study(pydicom.dcmread(slice_files(cohort / "dicom" / person)[0]).StudyInstanceUID)
    viewer.load("protoseg structures")
    viewer.turn_to(ORGANS_AT)
    viewer.take_picture("ohif_cohort_rtstruct")
    shown = viewer.stored_contours("protoseg structures")
    dataset = pydicom.dcmread(cohort / "results" / f"{person}_seg.rtstruct.dcm")
    names = {roi.ROINumber: roi.ROIName for roi in dataset.StructureSetROISequence}
    assert set(shown) == set(names.values()) == set(ORGANS)
    for structure in dataset.ROIContourSequence:
        contours = shown[names[structure.ReferencedROINumber]]
        assert len(contours) == len(structure.ContourSequence)
        for seen, stored in zip(contours, structure.ContourSequence):
            np.testing.assert_allclose(seen, np.reshape(stored.ContourData, (-1, 3)).astype(float), atol=1e-3)


def test_the_server_never_failed(viewer):
    assert viewer.server_errors == []
