"""Scans are where their viewer shows them: answers and labels of files with two forms, and of other planes."""

import json
from email import message_from_bytes

import nibabel
import numpy as np
import pytest
import SimpleITK

LANDMARK = (40, 45, 5)


def image_of(answer, folder, suffix):
    """The label map in an answer of `output=image`."""
    path = folder / f"answer{suffix}"
    path.write_bytes(answer.content)
    return path


def point(path):
    """Where ITK, and so the viewers, see a voxel of a file."""
    return SimpleITK.ReadImage(str(path)).TransformIndexToPhysicalPoint(LANDMARK)


def as_drawn_in_slicer(path, like, folder):
    """A label map on an image's voxels, as ITK reads and writes them."""
    image = SimpleITK.GetImageFromArray(np.asarray(nibabel.load(path).dataobj).T)
    image.CopyInformation(SimpleITK.ReadImage(str(like)))
    SimpleITK.WriteImage(image, str(folder / "drawn.nii.gz"))
    return folder / "drawn.nii.gz"


@pytest.mark.parametrize("suffix", [".nrrd", ".nii.gz"])
def test_answers_are_where_itk_sees_a_scan_with_two_forms(studies, label, ground_truth, start, tmp_path, suffix):
    for person in ("person0", "person1"):
        scan = nibabel.load(studies / f"{person}.nii.gz")
        moved = scan.affine.copy()
        moved[0, 3] += 40
        scan.set_sform(scan.affine, 2)
        scan.set_qform(moved, 1)
        nibabel.save(scan, studies / f"{person}.nii.gz")
    client = start()
    file, info = label(0, ["liver"])
    drawn = as_drawn_in_slicer(file, studies / "person0.nii.gz", tmp_path)
    submitted = client.submit("person0", drawn, info)
    assert submitted.status_code == 200, submitted.text
    answer = client.infer("oneshot", "person1", output="image", result_extension=suffix)
    assert answer.status_code == 200, answer.text
    found = image_of(answer, tmp_path, suffix)
    np.testing.assert_allclose(point(found), point(studies / "person1.nii.gz"), atol=1e-3)
    voxels = SimpleITK.GetArrayFromImage(SimpleITK.ReadImage(str(found))).T == 1
    liver = ground_truth(1, "liver")
    assert 2 * (voxels & liver).sum() / (voxels.sum() + liver.sum()) > 0.5
    if suffix == ".nii.gz":
        header = nibabel.load(found).header
        assert (int(header["sform_code"]), int(header["qform_code"])) == (2, 1)


def test_a_label_that_lies_elsewhere_is_refused_with_both_affines(studies, label, start, tmp_path):
    client = start()
    file, info = label(0, ["liver"])
    labels = nibabel.load(file)
    affine = labels.affine.copy()
    affine[1, 3] += 20
    nibabel.save(nibabel.Nifti1Image(np.asarray(labels.dataobj), affine), tmp_path / "moved.nii.gz")
    refused = client.submit("person0", tmp_path / "moved.nii.gz", info)
    assert refused.status_code == 400
    assert refused.json()["detail"].startswith("The label map lies elsewhere than the image: its affine is [[")


def test_studies_of_two_planes_are_served_by_labels_of_their_own(studies, label, start, tmp_path, dataset):
    """Persons 0 and 1 were scanned in axial slices, 2 and 3 in sagittal ones; a liver is labelled in one of each."""
    for number in (2, 3):
        for folder, name in ((studies, f"person{number}"), (dataset / "labels", f"training_00{number}")):
            source = nibabel.load(folder / f"{name}.nii.gz")
            target = folder if folder == studies else tmp_path
            nibabel.save(sagittal(source), target / f"{name}.nii.gz")
    client = start()
    file, info = label(0, ["liver"])
    assert client.submit("person0", file, info).status_code == 200
    organs = nibabel.load(tmp_path / "training_002.nii.gz")
    liver = (np.asarray(organs.dataobj) == 4).astype(np.uint8)
    nibabel.save(nibabel.Nifti1Image(liver, organs.affine), tmp_path / "liver.nii.gz")
    assert client.submit("person2", tmp_path / "liver.nii.gz", info).status_code == 200
    for person, support in (("person1", "person0"), ("person3", "person2")):
        answer = said(client.infer("oneshot", person, output="all", result_extension=".nii.gz"))
        assert answer["labels"]["liver"]["support_slice"]["scan"] == support
        assert answer["labels"]["liver"]["volume_ml"] > 200


def sagittal(image):
    """The same part of the body in sagittal slices: 18 mm from left to right, fine pixels in the others."""
    left_right = int(np.argmax(np.abs(image.affine[0, :3])))
    coarse = np.take(np.asarray(image.dataobj), range(2, 96, 5), axis=left_right).repeat(4, 2)
    affine = image.affine.copy()
    affine[:3, 3] += 2 * affine[:3, left_right]
    affine[:3, left_right] *= 5
    affine[:3, 2] /= 4
    return nibabel.Nifti1Image(coarse, affine)


def said(response):
    """The JSON of an answer that holds it beside the label map."""
    assert response.status_code == 200, response.text
    head = f"Content-Type: {response.headers['content-type']}\r\n\r\n".encode()
    parts = message_from_bytes(head + response.content).get_payload()
    return json.loads(next(part.get_payload() for part in parts if "params" in part["Content-Disposition"]))
