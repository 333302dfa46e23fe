"""Labels that are carried from one series of a study to another: by the frame of reference, or not at all."""

import nibabel
import numpy as np
import pytest
from monailabel.interfaces.utils.app import app_instance

from lib.server.series_tags import SeriesPlace, place_of_series
from protoseg.data.io.dicom_export import write_series

PLACES = {
    "person0": SeriesPlace("study", "frame", "t1"),
    "person1": SeriesPlace("study", "frame", "t2"),
    "person2": SeriesPlace("study", "elsewhere", "dwi"),
    "person3": SeriesPlace("another", "frame", "t1"),
}


@pytest.fixture
def client(start, studies, monkeypatch):
    """An app in which person1 is person0 once more, in every other slice and shifted by some voxels."""
    image = nibabel.load(studies / "person0.nii.gz")
    affine = image.affine @ [[1, 0, 0, 10], [0, 1, 0, 0], [0, 0, 2, 2], [0, 0, 0, 1]]
    voxels = np.asarray(image.dataobj)[10:, :80, 2::2]
    nibabel.save(nibabel.Nifti1Image(voxels, affine), studies / "person1.nii.gz")
    made = start()
    monkeypatch.setattr(app_instance().datastore(), "series_place", lambda image: PLACES[image])
    return made


def test_a_label_is_carried_to_where_it_is_in_another_series(client, label, ground_truth):
    client.submit("person0", *label(0, ["liver", "spleen"], first_value=5))
    expected = np.zeros((86, 80, 5), np.uint8)
    for value, name in enumerate(("liver", "spleen"), start=5):
        expected[ground_truth(0, name)[10:, :80, 2::2]] = value

    (source,) = client.http.get("/sessions/carried?image=person1").json()["sources"]
    assert (source["source"], source["description"], source["kind"]) == ("person0", "t1", "")
    assert source["label"]["values"] == {"liver": 5, "spleen": 6}
    sent = client.http.get("/sessions/carried/voxels?image=person1&source=person0")
    assert np.array_equal(np.frombuffer(sent.content, np.uint8).reshape(expected.shape, order="F"), expected)
    assert client.http.get("/sessions/submits?image=person1").json()["versions"] == [], "nothing is stored by looking"

    address = "/sessions/carried?image=person1&source=person0"
    stored = client.http.post(address, headers={"X-Remote-User": "anna"}).json()["versions"][0]
    assert (stored["by"], stored["values"]) == ("anna", {"liver": 5, "spleen": 6})
    assert stored["labels"] == {name: int((expected == value).sum()) for name, value in stored["values"].items()}
    assert {one["study"] for one in client.http.get("/library/").json()["examples"]} == {"person0", "person1"}
    assert client.http.get("/sessions/carried?image=person2").json() == {"sources": []}


def test_a_label_is_not_carried_to_where_it_does_not_belong(client, label, studies):
    client.submit("person0", *label(0, ["liver"]))
    for image, source, message in (
        ("person2", "person0", "the two series do not have the same frame of reference."),
        ("person3", "person0", "they are of different studies."),
        ("person0", "person1", "person1 has no label to carry."),
    ):
        for method, path in (("GET", "/voxels"), ("POST", "")):
            refused = client.http.request(method, f"/sessions/carried{path}?image={image}&source={source}")
            assert (refused.status_code, refused.json()["detail"].endswith(message)) == (400, True), refused.text
    image = nibabel.load(studies / "person1.nii.gz")
    affine = image.affine.copy()
    affine[0, 3] += 5000
    nibabel.save(nibabel.Nifti1Image(np.asarray(image.dataobj), affine), studies / "person1.nii.gz")
    refused = client.http.post("/sessions/carried?image=person1&source=person0")
    assert refused.json()["detail"] == "Nothing of the label of person0 is inside person1."
    assert client.http.get("/sessions/carried?image=nobody").status_code == 404


def test_files_say_nothing_of_a_frame_of_reference(start, label, dataset, tmp_path):
    client = start()
    client.submit("person0", *label(0, ["liver"]))
    assert client.http.get("/sessions/carried?image=person1").json() == {"sources": []}
    refused = client.http.post("/sessions/carried?image=person1&source=person0")
    assert refused.json()["detail"].endswith("do not have the same frame of reference.")
    write_series(tmp_path / "series", dataset / "images" / "training_000.nii.gz", patient="person")
    place = place_of_series(tmp_path / "series")
    assert place.study and place.frame and place.description == "Abdomen CT"
    assert place_of_series(tmp_path / "none") == ("", "", "")
