"""What a user does with MONAI Label's own panel in OHIF. The tests are one story, in order."""

import numpy as np
import requests
from monai.transforms import Orientation
from scans import LABELLED, dice, ground_truth, middle

from protoseg.data.io.dicom_export import write_series
from protoseg.data.io.volumes import read_labels
from protoseg.data.preprocessing.meta_tensors import meta_tensor


def answered(response, shape):
    """Label values (Z, Y, X) of an NRRD answer."""
    body = response.body()
    return np.frombuffer(body[body.index(b"\n\n") + 2 :], np.uint8).reshape(shape)


def model(chain, name):
    return requests.get(f"{chain.app}/info/").json()["models"][name]


def test_auto_segmentation_draws_what_the_server_answered(chain, viewer):
    viewer.open("test_001")
    response = viewer.auto_segment("oneshot")
    assert response.status == 200, response.text()
    drawn = viewer.label_map()
    shape = ground_truth(chain, "test_001", "liver")[0].shape
    values = answered(response, shape)
    labels = model(chain, "oneshot")["labels"]
    assert set(LABELLED) <= labels.keys()
    for name, value in labels.items():
        np.testing.assert_array_equal(drawn[name].reshape(shape), values == value, err_msg=name)
    viewer.take_picture("ohif_auto_segmentation")
    for organ in LABELLED:  # the right place and not just the same array: above what a flipped map would score
        assert dice(values == labels[organ], ground_truth(chain, "test_001", organ)[0]) > 0.6, organ


def test_one_click_gives_the_whole_organ(chain, viewer):
    viewer.open("test_002")
    spleen, affine = ground_truth(chain, "test_002", "spleen")
    response = viewer.click("oneshot_click", "spleen", middle(spleen, affine))
    assert response.status == 200, response.text()
    drawn = viewer.label_map()["spleen"].reshape(spleen.shape)
    viewer.take_picture("ohif_one_click")
    assert dice(drawn, spleen) > 0.6
    assert drawn.any((1, 2)).sum() > 0.5 * spleen.any((1, 2)).sum()  # not just the slice of the click


def test_a_negative_click_takes_away(chain, viewer):
    before = viewer.label_map()["spleen"]
    spleen, affine = ground_truth(chain, "test_002", "spleen")
    wrong = before.reshape(spleen.shape) & ~spleen
    point = middle(wrong, affine)
    response = viewer.click("oneshot_click", "background", point)
    assert response.status == 200, response.text()
    after = viewer.label_map()["spleen"].reshape(spleen.shape)
    x, y, z = np.round(np.linalg.inv(affine) @ [*point, 1])[:3].astype(int)
    assert not after[z, y, x]
    assert dice(after, spleen) > 0.6
    viewer.take_picture("ohif_negative_click")


def test_filters_of_the_study_list_work(chain):
    studies = f"{chain.app}/proxy/dicom/studies"
    assert len(requests.get(studies).json()) >= 3
    assert len(requests.get(studies, params={"PatientID": "test_001"}).json()) == 1


def test_a_real_ct_is_segmented_by_a_synthetic_label(real_scans, chain, viewer):
    write_series(chain.folder / "real", real_scans / "ct_dicom", patient="real_ct")
    for file in sorted((chain.folder / "real").iterdir()):
        requests.post(f"{chain.orthanc}/instances", data=file.read_bytes()).raise_for_status()
    viewer.open("real_ct")
    response = viewer.auto_segment("oneshot")
    assert response.status == 200, response.text()
    values = answered(response, (20, 512, 512))
    drawn = viewer.label_map()
    labels = model(chain, "oneshot")["labels"]
    for name, value in labels.items():
        np.testing.assert_array_equal(drawn[name].reshape(values.shape), values == value, err_msg=name)
    viewer.take_picture("ohif_real_ct")
    reference = (
        Orientation("LPS", labels=None)(meta_tensor(read_labels(real_scans / "ct_dicom_labels.nii.gz")))[0].numpy().T
    )
    assert dice(values == labels["liver"], reference == 4) > 0.85
    assert dice(values == labels["spleen"], reference == 1) > 0.65


def test_the_server_never_failed(viewer):
    assert viewer.server_errors == []
