"""The library of examples by REST: what is listed, what is switched off, removed, restored and carried elsewhere."""

import io
import json
import zipfile

import numpy as np
from library_requests import ANNA, example_of, export, found_by, library, submit, switch, take_in
from monailabel.interfaces.utils.app import app_instance
from PIL import Image


def audit(studies):
    text = (studies / ".protoseg" / "audit.jsonl").read_text(encoding="ascii")
    return [json.loads(line) for line in text.splitlines()]


def test_a_library_is_seen_switched_removed_and_restored(start, label, studies):
    client = start()
    assert library(client) == {"examples": [], "removed": []}
    submit(client, "person0", label(0, ["liver", "spleen"], first_value=7), by="anna")
    submit(client, "person1", label(1, ["liver"]))

    first, second = library(client)["examples"]
    assert (first["study"], first["by"], first["enabled"], first["plane"]) == ("person0", "anna", True, "axial")
    assert (second["study"], second["by"]) == ("person1", "unknown"), "a name in the client's params does not count"
    assert [(entry["name"], entry["value"]) for entry in first["labels"]] == [("liver", 1), ("spleen", 2)]
    assert first["at"].endswith("Z")
    assert first["patient"] == ""
    assert first["provenance"] == {"kind": "study", "file": "person0.nii.gz"}
    assert set(first["serving_slices"]) <= set(first["slices"]) != set()
    assert all(set(entry["slices"]) <= set(first["slices"]) for entry in first["labels"])
    assert client.http.get(f"/library/examples/{first['id']}").json() == first

    picture = client.http.get(first["thumbnail"])
    pixels = np.asarray(Image.open(io.BytesIO(picture.content)))
    assert pixels.shape == (256, 256, 3)
    assert (pixels.max(-1).astype(int) - pixels.min(-1) > 40).sum() > 200, "labels are laid over it in color"
    again = client.http.get(first["thumbnail"], headers={"If-None-Match": picture.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    small = client.http.get(first["thumbnail"], params={"size": 64, "slice": first["slices"][0]})
    assert Image.open(io.BytesIO(small.content)).size == (64, 64)
    missing = client.http.get(f"/library/examples/{first['id']}/thumbnail?slice=999")
    assert (missing.status_code, missing.json()["detail"][:31]) == (400, "The example has no slice 999; i")

    assert found_by(client).keys() == {"liver", "spleen"}
    assert switch(client, "person0", False).json()["enabled"] is False
    assert found_by(client) == {"liver": "person1"}
    assert example_of(client, "person0")["serving_slices"] == []
    assert client.http.get(first["thumbnail"]).status_code == 200, "what is off can be looked at"

    client = start()  # another server over the same folder
    assert found_by(client) == {"liver": "person1"}
    submit(client, "person0", label(0, ["spleen"]), by="anna")
    assert found_by(client).keys() == {"liver", "spleen"}, "what is labelled anew serves"

    removed = client.http.delete(f"/library/examples/{first['id']}", headers=ANNA).json()
    assert (removed["study"], removed["labels"], removed["by"]) == ("person0", ["spleen"], "anna")
    assert ".protoseg/removed" in removed["kept"]
    assert not (studies / "labels" / "final" / "person0.nii.gz").exists()
    assert (studies / ".protoseg" / "removed" / removed["id"] / "label").stat().st_size > 0
    assert found_by(client) == {"liver": "person1"}
    client = start()
    assert library(client)["removed"] == [removed]

    submit(client, "person0", label(0, ["liver"]))
    refused = client.http.post(f"/library/removed/{removed['id']}/restore")
    assert (refused.status_code, "labelled again" in refused.json()["detail"]) == (400, True)
    client.http.delete(f"/library/examples/{first['id']}")
    restored = client.http.post(f"/library/removed/{removed['id']}/restore", headers=ANNA)
    assert restored.status_code == 200, restored.text
    back = example_of(client, "person0")
    assert (back["by"], back["labels"][0]["name"]) == ("anna", "spleen"), "as it was"
    assert found_by(client).keys() == {"liver", "spleen"}
    assert client.http.post(f"/library/removed/{removed['id']}/restore").status_code == 404

    entries = audit(studies)
    assert [entry["what"] for entry in entries if entry["who"] == "anna"] == [
        "submit",
        "submit",
        "remove example",
        "restore example",
    ]
    kinds = {entry["what"] for entry in entries}
    assert kinds == {"submit", "infer", "disable example", "remove example", "restore example"}
    assert {entry["weights"] for entry in entries} == {client.http.get("/status/").json()["weights"]}
    assert all(entry["study"].startswith("person") and entry["when"].endswith("Z") for entry in entries)


def test_an_example_weighs_what_users_say(start, label, studies):
    client = start()
    for number in range(2):
        submit(client, f"person{number}", label(number, ["liver"]))
    address = f"/library/examples/{example_of(client, 'person0')['id']}"

    def weigh(weight):
        return client.http.patch(address, json={"weight": weight}, headers=ANNA)

    def volume():
        return client.infer("oneshot", "person3").json()["labels"]["liver"]["volume_ml"]

    both = volume()
    assert (weigh(0.25).json()["weight"], weigh(0.25).json()["enabled"]) == (0.25, True)
    assert volume() != both
    client = start()  # another server over the same folder
    assert example_of(client, "person0")["weight"] == 0.25
    with zipfile.ZipFile(io.BytesIO(export(client))) as zipped:
        listed = json.loads(zipped.read("library.json"))["examples"]
    assert [one.get("weight") for one in listed] == [0.25, None]
    for wrong in (1.5, -0.1, "1", None, True):
        assert weigh(wrong).status_code == 422, wrong
    assert weigh(0).json()["serving_slices"] == []
    light = volume()
    switch(client, "person0", False)
    assert volume() == light, "no weight is as good as off"
    switch(client, "person0", True)
    submit(client, "person0", label(0, ["liver"]))
    assert (example_of(client, "person0")["weight"], volume()) == (1, both), "what is labelled anew weighs as others"
    assert [one["weight"] for one in audit(studies) if one["what"] == "weigh example"] == ["0.25", "0.25", "0"]


def test_an_imported_example_has_the_weight_that_it_came_with(start, label):
    client = start()
    submit(client, "person0", label(0, ["liver"]))
    address = f"/library/examples/{example_of(client, 'person0')['id']}"
    assert client.http.patch(address, json={"weight": 0.5}).status_code == 200
    archive = export(client)
    client.http.delete(address)
    assert take_in(client, archive).status_code == 200
    (back,) = library(client)["examples"]
    assert (back["provenance"]["kind"], back["weight"]) == ("import", 0.5)
    with zipfile.ZipFile(io.BytesIO(archive)) as zipped:
        content = {name: zipped.read(name) for name in zipped.namelist()}
    content["library.json"] = content["library.json"].replace(b'"weight": 0.5', b'"weight": 2')
    heavier = io.BytesIO()
    with zipfile.ZipFile(heavier, "w") as zipped:
        for name, data in content.items():
            zipped.writestr(name, data)
    assert "holds a weight of 2, expected 0 to 1" in take_in(client, heavier.getvalue()).json()["detail"]


def test_the_app_has_an_audit_log_that_never_stops_a_request(start, label, studies, caplog):
    client = start(user_header="X-User")
    (studies / ".protoseg").mkdir(exist_ok=True)
    log = studies / ".protoseg" / "audit.jsonl"
    names = {"anna": "anna", "J\u00fcrgen": "Jürgen", "a" * 500: "a" * 64, "x\u202ey": "xy", " ": "unknown"}
    for sent, kept in names.items():
        client.http.post("/infer/oneshot?image=person0", headers={"X-User": sent.encode(), "X-Remote-User": "mallory"})
        last = audit(studies)[-1]
        assert (last["who"], last["what"], last["study"], last["status"]) == (kept, "infer", "person0", 400)
    twice = [("X-User", "anna"), ("X-User", "bob")]
    client.http.post("/infer/oneshot?image=a%0a%7b%22who%22:1%7d", headers=twice)
    assert audit(studies)[-1]["who"] == "unknown"
    assert audit(studies)[-1]["study"] == 'a\n{"who":1}'
    count = len(audit(studies))
    log.rename(log.with_suffix(".kept"))
    log.mkdir()
    for _ in range(2):
        assert submit(client, "person0", label(0, ["liver"])).status_code == 200
    assert [r.message for r in caplog.records if "audit log" in r.message].__len__() == 1, "warned of once"
    log.rmdir()
    log.with_suffix(".kept").rename(log)
    assert client.infer("oneshot", "person1").status_code == 200
    assert len(audit(studies)) == count + 1


def test_status_tells_weights_device_and_labels(start, label):
    client = start(adapt="true")
    submit(client, "person0", label(0, ["liver"]))
    told = client.http.get("/status/", headers=ANNA).json()
    assert (told["name"], told["adapted"], told["studies"], told["ohif"]) == ("protoseg", False, "folder", "")
    assert (told["images"], told["labelled"], told["jobs"], told["user"]) == (4, 1, [], "anna")
    assert [entry["name"] for entry in told["labels"]] == ["liver"]
    assert told["device"].startswith("cpu")
    stats = {
        "state": "stopped",
        "start_ts": 1772357400,
        "total_time": "00:01:05",
        "iteration": 3,
        "total_iterations": 4,
    }
    folder = app_instance().folder / "training"
    folder.mkdir()
    (folder / "progress.json").write_text(json.dumps({**stats, "pid": 1}), encoding="utf-8")
    (job,) = client.http.get("/status/").json()["jobs"]
    assert (job["kind"], job["state"], job["progress"]) == ("training", "stopped", 0.75)
    assert (job["started"], job["ended"]) == ("2026-03-01T09:30:00Z", "2026-03-01T09:31:05Z")


def test_the_first_page_is_ours_and_takes_nothing_from_elsewhere(start):
    client = start().http
    page = client.get("/")
    assert "<title>protoseg</title>" in page.text
    policy = page.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    for name, kind in (
        ("page.css", "text/css"),
        ("page.js", "text/javascript"),
        ("elements.js", "text/javascript"),
        ("icon.svg", "image/svg"),
    ):
        part = client.get(f"/page/{name}")
        assert (part.status_code, part.headers["content-type"].startswith(kind)) == (200, True)
        assert "//" not in part.text.replace("http://www.w3.org/2000/svg", "").replace("// ", ""), name
        assert "innerHTML" not in part.text
    assert "http" not in page.text
    for name in ("..%2Froutes.py", "%2e%2e/routes.py", "index.html", "x"):
        assert client.get(f"/page/{name}").status_code == 404
    assert "swagger" in client.get("/docs/try").text.lower()
    described = client.get("/openapi.json").json()
    assert {"/library/", "/library/import", "/library/export", "/library/examples/{example_id}"} <= described[
        "paths"
    ].keys()
    for name in ("ExampleAnswer", "RemovalAnswer", "ChangeRequest", "ImportAnswer", "StatusAnswer", "SourcesAnswer"):
        assert "example" in described["components"]["schemas"][name], name
