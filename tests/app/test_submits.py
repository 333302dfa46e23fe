"""Labels that several people submit: nothing is lost, the later one learns of the earlier, and each can be undone."""

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import nibabel
import numpy as np
import pytest

from protoseg.errors import InputError

APP = Path(__file__).parents[2] / "monailabel_app"


@pytest.fixture
def draw(studies, tmp_path):
    """Write a label map of one value with so many voxels."""
    image = nibabel.load(studies / "person0.nii.gz")

    def write(voxels, value=1):
        labels = np.zeros(image.shape, np.uint8)
        labels[20:30, 20:30, 6].flat[:voxels] = 0
        labels[:, :, 6].reshape(-1)[:voxels] = value
        path = tmp_path / f"{voxels}-{value}.nii.gz"
        nibabel.save(nibabel.Nifti1Image(labels, image.affine), path)
        return path

    return write


def submit(client, file, by, **params):
    told = {"label_info": [{"name": "liver", "idx": 1}, {"name": "spleen", "idx": 2}], **params}
    with file.open("rb") as content:
        return client.http.put(
            "/datastore/label?image=person0",
            data={"params": json.dumps(told)},
            files={"label": (file.name, content)},
            headers={"X-Remote-User": by},
        )


def versions(client):
    answer = client.http.get("/sessions/submits?image=person0")
    assert answer.status_code == 200, answer.text
    return answer.json()


def told(client):
    return [(one["state"], one["by"], one["labels"]) for one in versions(client)["versions"]]


def move(client, path, **params):
    answer = client.http.post(f"/sessions/submits/{path}", params={"image": "person0", **params})
    assert answer.status_code == 200, answer.text
    return answer.json()


def test_the_later_of_two_people_sees_what_changed_and_nothing_is_lost(start, draw, studies):
    client = start()
    first = submit(client, draw(100), "anna", drawn_on="").json()
    assert first["replaced"] is None
    assert "message" not in first
    second = submit(client, draw(140), "bob", drawn_on=first["version"]).json()
    assert (second["replaced"]["version"], second["replaced"]["labels"]) == (first["version"], {"liver": 100})

    refused = submit(client, draw(60, 2), "carol", drawn_on=first["version"])
    assert refused.status_code == 409
    answer = refused.json()
    assert answer["detail"].startswith("person0 was labelled by bob at 20")
    assert (answer["current"]["by"], answer["current"]["version"]) == ("bob", second["version"])
    assert answer["changes"] == [
        {"label": "liver", "drawn_on": 100, "current": 140, "yours": 0},
        {"label": "spleen", "drawn_on": 0, "current": 0, "yours": 60},
    ]
    liver = {"liver": 140}
    assert told(client) == [
        ("current", "bob", liver),
        ("refused", "carol", {"spleen": 60}),
        ("replaced", "anna", {"liver": 100}),
    ]
    kept = client.http.get(f"/sessions/submits/{answer['refused']['version']}?image=person0")
    assert kept.content == draw(60, 2).read_bytes(), "it can be had, to the byte"
    assert submit(client, draw(60, 2), "carol", drawn_on="").status_code == 409

    forced = move(client, f"{answer['refused']['version']}/restore")["versions"][0]
    assert (forced["by"], forced["labels"], forced["replaces"]) == ("carol", {"spleen": 60}, second["version"])
    assert forced["restored_from"] == answer["refused"]["version"]
    last = submit(client, draw(20), "dora", drawn_on=first["version"], force=True)
    assert (last.status_code, last.json()["replaced"]["by"]) == (200, "carol")
    assert told(client)[0] == ("current", "dora", {"liver": 20})
    entries = (studies / ".protoseg" / "audit.jsonl").read_text(encoding="ascii")
    assert [json.loads(line)["status"] for line in entries.splitlines()].count(409) == 2
    assert client.http.delete("/datastore/image?id=person0").status_code == 200
    assert not list((studies / ".protoseg" / "versions").glob("*/*")), "a patient who is removed is"


def test_a_version_is_shown_by_its_voxels_and_its_names(start, draw, studies):
    client = start()
    assert submit(client, draw(100, 2), "anna").status_code == 200
    assert submit(client, draw(40), "bob").status_code == 200
    (current, replaced) = versions(client)["versions"]
    assert [(one["by"], one["values"]) for one in (current, replaced)] == [
        ("bob", {"liver": 1}),
        ("anna", {"spleen": 2}),
    ]
    for version, file in ((current, draw(40)), (replaced, draw(100, 2))):
        address = f"/sessions/submits/{version['version']}/voxels?image=person0"
        plain, small = (client.http.get(address, headers={"Accept-Encoding": how}) for how in ("identity", "gzip"))
        expected = np.asarray(nibabel.load(file).dataobj).tobytes(order="F")
        assert plain.content == small.content == expected
        assert (plain.headers.get("content-encoding"), small.headers["content-encoding"]) == (None, "gzip")
    assert client.http.get("/sessions/submits/0/voxels?image=person0").status_code == 404


def test_submits_are_undone_and_redone(start, draw):
    client = start()
    old = [submit(client, draw(size), by) for size, by in ((100, "anna"), (140, "bob"), (180, "bob"))]
    assert "This replaced the label by anna of 20" in old[1].json()["message"], "a client that says nothing is told"
    by_version = [one.json()["version"] for one in old]
    at = versions(client)["versions"][-1]["at"]

    after = move(client, "undo", version=by_version[2])
    assert (after["versions"][0]["version"], after["undo"], after["redo"]) == (by_version[1], True, True)
    stale = client.http.post("/sessions/submits/undo", params={"image": "person0", "version": by_version[2]})
    assert (stale.status_code, stale.json()["refused"]) == (409, None)
    assert submit(client, draw(10), "carol", drawn_on=by_version[2]).status_code == 409, "undone, too, is a change"
    client = start()  # another server over the same folder
    after = move(client, "undo")
    assert (after["versions"][0]["version"], after["versions"][0]["at"]) == (by_version[0], at), "as it was"
    after = move(client, "undo")
    assert (after["versions"][0]["state"], after["undo"], after["redo"]) == ("undone", False, True)
    assert client.http.get("/datastore/?output=train").json() == []
    for version in by_version:
        after = move(client, "redo")
        assert after["versions"][0]["version"] == version
    assert after["redo"] is False
    assert move(client, "redo") == after, "there is nothing to redo"
    move(client, "undo")
    submit(client, draw(30), "carol")
    assert versions(client)["redo"] is False
    assert move(client, "undo")["versions"][0]["version"] == by_version[1]


def test_of_many_at_once_one_is_stored_and_all_are_kept(start, draw):
    client = start()
    files = [draw(size) for size in range(100, 106)]
    with ThreadPoolExecutor(6) as pool:
        answers = list(pool.map(lambda file: submit(client, file, "anna", drawn_on=""), files))
    assert sorted(answer.status_code for answer in answers) == [200, *[409] * 5]
    assert sorted(labels["liver"] for _, _, labels in told(client)) == list(range(100, 106))


def test_what_a_client_may_not_say(start, draw):
    client = start()
    claimed = {"version": "f" * 16, "replaces": "../../x", "moved": "undone", "user": "root", "restored_from": "x"}
    stored = submit(client, draw(100), "anna", **claimed).json()
    info = client.http.get("/datastore/label/info?label=person0&tag=final").json()
    assert (info["version"], info["user"], info["replaces"]) == (stored["version"], "anna", "")
    assert stored["version"] != "f" * 16
    assert "moved" not in info and "restored_from" not in info
    change = {"info": json.dumps({"version": "e" * 16, "replaces": "x", "note": "n"})}
    client.http.put("/datastore/label/info?label=person0&tag=final", data=change)
    info = client.http.get("/datastore/label/info?label=person0&tag=final").json()
    assert (info["version"], info["replaces"], info["note"]) == (stored["version"], "", "n")
    assert submit(client, draw(100), "anna", drawn_on=1).status_code == 400
    assert submit(client, draw(100), "anna", force="yes").status_code == 400
    for version in ("..", "%2e%2e%2f", "g" * 16, "x"):
        assert client.http.get(f"/sessions/submits/{version}?image=person0").status_code in (404, 405)
    assert client.http.get("/sessions/submits?image=nobody").status_code == 404
    assert client.http.post("/sessions/submits/undo?image=../person0").status_code == 404


def test_versions_are_bounded_and_their_names_stay_in_their_folder(draw, tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(APP))
    from lib.server.label_versions import LabelVersion, LabelVersions

    monkeypatch.setattr("lib.server.label_versions.MOST_VERSIONS", 3)
    versions = LabelVersions(tmp_path / "versions")
    for number in range(6):
        label = LabelVersion(f"{number:016x}", "../person0", "current", ".nii.gz", {"n": number}, draw(100 + number))
        versions.keep(label, "replaced")
    kept = versions.of("../person0")
    assert [(one.info["n"], one.voxels, one.state) for one in kept] == [
        (number, {"1": 100 + number}, "replaced") for number in (3, 4, 5)
    ]
    assert {path.parent.parent.parent for path in tmp_path.rglob("label.json")} == {tmp_path / "versions"}
    (tmp_path / "versions" / "evil").mkdir()
    (tmp_path / "versions" / "evil" / "label.json").write_text("{}", encoding="utf-8")
    assert versions.find("../person0", "../evil") is None
    versions.forget("../person0")
    assert versions.of("../person0") == []


def test_a_label_of_large_values_is_not_read_as_another(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(APP))
    from lib.server.label_versions import LabelVersion, count_voxels, read_version

    file = tmp_path / "label.nii.gz"
    nibabel.save(nibabel.Nifti1Image(np.full((8, 8, 8), 257, np.int16), np.eye(4)), file)
    label = LabelVersion("1", "person0", "current", ".nii.gz", {}, file)
    with pytest.raises(InputError, match=r"^The label 1 of person0 holds the value 257, expected at most 255\."):
        read_version(label)
    assert count_voxels(label) == {}
