"""Several series of a study: what the server knows of their kinds, and which examples serve them."""

from pathlib import Path

import pydicom
from monailabel.interfaces.utils.app import app_instance

from protoseg.data.io.dicom_export import write_series

APP = Path(__file__).parents[2] / "monailabel_app"
KINDS = {"person0": "MR T1", "person1": "MR T2", "person3": "MR T2"}


def test_a_query_is_served_by_examples_of_its_kind(start, label, monkeypatch):
    client = start()
    monkeypatch.setattr(app_instance().datastore(), "series_kind", lambda image: KINDS.get(image, ""))
    client.submit("person0", *label(0, ["liver", "spleen"]))
    client.submit("person1", *label(1, ["liver"]))
    listed = client.http.get("/library/").json()["examples"]
    assert [(one["study"], one["series"], one["provenance"]["series"]) for one in listed] == [
        ("person0", "MR T1", "MR T1"),
        ("person1", "MR T2", "MR T2"),
    ]
    labels = client.infer("oneshot", "person3").json()["labels"]
    assert {name: one["support_slice"]["scan"] for name, one in labels.items()} == {
        "liver": "person1",
        "spleen": "person0",
    }, "T2 by T2, and what no T2 example shows by others"
    context = app_instance().context
    assert {origin.scan for origin in context.support("person2").support.origins} == {"person0", "person1"}


def test_the_kind_of_a_series_is_read_from_its_files(dataset, tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(APP))
    from lib.server.series_tags import kind_of_series

    series = tmp_path / "series"
    write_series(series, dataset / "images" / "training_000.nii.gz", patient="person")
    first = min(series.glob("*.dcm"))
    tags = pydicom.dcmread(first)
    tags.Modality, tags.SeriesDescription = "MR", "t2_haste_tra"
    tags.save_as(first)
    assert kind_of_series(series) == "MR T2"
    first.write_bytes(b"no DICOM")
    assert kind_of_series(series) == ""
    assert kind_of_series(tmp_path / "none") == ""
