"""The library of examples by REST: what is listed, what is switched off, removed, restored and carried elsewhere."""

import hashlib
import io
import json
import zipfile
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import quote

import numpy as np
import pytest
from monailabel.interfaces.utils.app import app_instance
from PIL import Image

ANNA = {"X-Remote-User": "anna"}


def library(client):
    response = client.http.get("/library/")
    assert response.status_code == 200, response.text
    return response.json()


def example_of(client, study):
    return next(example for example in library(client)["examples"] if example["study"] == study)


def switch(client, study, enabled):
    address = f"/library/examples/{example_of(client, study)['id']}"
    return client.http.patch(address, json={"enabled": enabled})


def submit(client, image, label, by=None):
    file, names = label
    with file.open("rb") as content:
        return client.http.put(
            "/datastore/label",
            params={"image": image},
            data={"params": json.dumps({"label_info": names, "user": "mallory"})},
            files={"label": (file.name, content)},
            headers={"X-Remote-User": by} if by else {},
        )


def found_by(client, image="person3"):
    """Names of labels and of scans by which an image is segmented."""
    answer = client.infer("oneshot", image)
    if answer.status_code == 400:
        assert "Nothing is labelled yet" in answer.json()["detail"]
        return {}
    return {name: entry["support_slice"]["scan"] for name, entry in answer.json()["labels"].items()}


def export(client):
    response = client.http.get("/library/export", headers=ANNA)
    assert response.status_code == 200, response.text
    assert response.headers["content-type"] == "application/zip"
    return response.content


def take_in(client, content, name="library.zip"):
    return client.http.post("/library/import", files={"file": (name, content)}, headers={"X-Remote-User": "bob"})


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


def test_a_library_is_carried_to_other_studies(start, label, studies):
    client = start()
    submit(client, "person0", label(0, ["liver"]), by="anna")
    submit(client, "person1", label(1, ["spleen"]))
    switch(client, "person1", False)
    archive = export(client)
    again = take_in(client, archive).json()
    assert (again["imported"], len(again["already_there"])) == ([], 2), "nothing is there twice"

    first = example_of(client, "person0")
    alone = client.infer("oneshot", "person3").json()["labels"]["liver"]
    client.http.delete(f"/library/examples/{first['id']}")
    assert found_by(client) == {}
    taken = take_in(client, archive)
    assert taken.status_code == 200, taken.text
    assert len(taken.json()["imported"]) == 1, "person1 is there, switched off"
    assert len(take_in(client, archive).json()["already_there"]) == 2

    client = start()
    example = next(one for one in library(client)["examples"] if one["provenance"]["kind"] == "import")
    assert (example["study"], example["by"], example["enabled"]) == ("person0", "anna", True)
    assert example["at"] == first["at"]
    assert example["slices"] == first["slices"]
    told = example["provenance"]
    assert (told["exported_by"], told["imported_by"]) == ("anna", "bob")
    assert told.keys() >= {"exported_at", "imported_at", "protoseg", "weights", "file"}
    answer = client.infer("oneshot", "person3").json()["labels"]["liver"]
    assert answer["volume_ml"] == alone["volume_ml"], "it serves as it did"
    assert answer["support_slice"]["scan"] == f"person0 (imported {example['id'][:8]})"
    assert client.http.get(example["thumbnail"]).headers["content-type"] == "image/png"

    assert client.http.patch(f"/library/examples/{example['id']}", json={"enabled": False}).status_code == 200
    assert found_by(client) == {}
    removed = client.http.delete(f"/library/examples/{example['id']}").json()
    assert example["id"] not in {one["id"] for one in library(client)["examples"]}
    client.http.post(f"/library/removed/{removed['id']}/restore")
    back = client.http.get(f"/library/examples/{example['id']}").json()
    assert back["enabled"] is False, "as it was"
    client.http.patch(f"/library/examples/{example['id']}", json={"enabled": True})
    assert found_by(client) == {"liver": f"person0 (imported {example['id'][:8]})"}

    with zipfile.ZipFile(io.BytesIO(export(client))) as zipped:
        listed = json.loads(zipped.read("library.json"))["examples"]
    assert {one["study"]: one["enabled"] for one in listed} == {"person0": True, "person1": False}
    assert next(one for one in listed if one["study"] == "person0")["provenance"]["imported_by"] == "bob"

    client = start(image_size="96")
    problems = {one["study"]: one["problem"] for one in library(client)["examples"]}
    assert "was made by the preprocessing" in problems["person0"], "it does not compare, and spoils nothing"
    assert problems["person1"] == ""
    assert "was made by the preprocessing" in take_in(client, archive).json()["detail"]


def changed(archive, *, entry=None, whole=None, files=None, extra=None):
    """The archive with its list or its members changed."""
    with zipfile.ZipFile(io.BytesIO(archive)) as zipped:
        members = {name: zipped.read(name) for name in zipped.namelist()}
    listed = json.loads(members.pop("library.json"))
    (name, content), *_ = members.items()
    if files is not None:
        content = files(content)
    told = {**listed["examples"][0], "sha256": hashlib.sha256(content).hexdigest(), **(entry or {})}
    listed = {**listed, "examples": [told], **(whole or {})}
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as zipped:
        zipped.writestr("library.json", json.dumps(listed))
        zipped.writestr(name, content)
        for path, more in (extra or {}).items():
            zipped.writestr(path, more)
    return out.getvalue()


def with_tensors(**tensors):
    """Change tensors and details of a support."""

    def change(content):
        import safetensors
        from safetensors.torch import load, save

        length = int.from_bytes(content[:8], "little")
        details = json.loads(content[8 : 8 + length])["__metadata__"]
        held = load(content)
        for name, to in tensors.items():
            if name in held:
                held[name] = to(held[name])
            else:
                details[name] = to(details[name])
        assert safetensors.__version__
        return save({name: tensor.contiguous() for name, tensor in held.items()}, metadata=details)

    return change


def test_archives_that_cannot_be_used_change_nothing(start, label, studies):
    client = start()
    submit(client, "person0", label(0, ["liver"]))
    good = export(client)
    removed = client.http.delete(f"/library/examples/{example_of(client, 'person0')['id']}").json()
    nan, zero = float("nan"), lambda t: t * 0
    bomb = io.BytesIO()
    with zipfile.ZipFile(bomb, "w", zipfile.ZIP_DEFLATED) as zipped:
        zipped.writestr("library.json", b" " * (9 * 2**20))
    many = io.BytesIO()
    with zipfile.ZipFile(many, "w") as zipped:
        for number in range(12000):
            zipped.writestr(f"supports/{number:060}", b"")
    bad = [
        (b"", "no ZIP archive"),
        (b"hello" * 1000, "no ZIP archive"),
        (good[:-30], "no ZIP archive"),
        (good[:2000] + b"\0" * 64 + good[2064:], "The archive is damaged"),
        (bomb.getvalue(), "library.json in the archive is larger than 8 MB"),
        (many.getvalue(), "too many members"),
        (changed(good, whole={"format": "other"}), "no list of a protoseg library"),
        (changed(good, whole={"version": 2}), "has the version 2, expected 1"),
        (changed(good, whole={"examples": []}), "lists no examples"),
        (changed(good, whole={"examples": "x"}), "lists no examples"),
        (changed(good, whole={"examples": [1]}), "holds an example without"),
        (changed(good, entry={"more": 1}), "holds an example without"),
        (changed(good, entry={"file": "../../evil"}), "holds the file '../../evil'"),
        (changed(good, entry={"file": "/etc/passwd"}), "holds the file '/etc/passwd'"),
        (changed(good, entry={"sha256": "0" * 64}), "is not what library.json says"),
        (changed(good, entry={"study": "a\nb"}), "holds the study"),
        (changed(good, entry={"study": ""}), "holds the study"),
        (changed(good, entry={"by": ["x"]}), "holds the by"),
        (changed(good, entry={"at": "yesterday"}), "holds the at 'yesterday'"),
        (changed(good, entry={"enabled": "no"}), "neither true nor false"),
        (changed(good, entry={"provenance": {"a": 1}}), "no object of short texts"),
        (
            changed(good, extra={"../../evil": b"x"}),
            "members are not those that library.json lists, such as '../../evil'",
        ),
        (changed(good, files=lambda content: b"x"), "damaged or no support"),
        (changed(good, files=lambda content: content[:-4]), "damaged or no support"),
        (changed(good, files=with_tensors(images=lambda t: t * nan)), "what it says of its images makes no sense"),
        (changed(good, files=with_tensors(images=lambda t: t[..., :-1])), "what it says of its images makes no sense"),
        (changed(good, files=with_tensors(images=lambda t: t.double())), "its images cannot be"),
        (
            changed(good, files=with_tensors(masks=lambda t: t + 7)),
            "what it says of its labels of the masks makes no sense",
        ),
        (changed(good, files=with_tensors(masks=zero)), "its masks cannot be"),
        (
            changed(good, files=with_tensors(labels=lambda _: '{"a\\u202eb": 1}')),
            "what it says of its components of the labels makes no sense",
        ),
        (
            changed(good, files=with_tensors(labels=lambda _: '{"background": 1}')),
            "what it says of its components of the labels makes no sense",
        ),
        (changed(good, files=with_tensors(labels=lambda _: "[" * 100000)), "damaged or no support"),
        (changed(good, files=with_tensors(origins=lambda _: "[1]")), "damaged or no support"),
        (
            changed(good, files=with_tensors(origins=lambda _: '[["a", 1]]')),
            "what it says of its origins makes no sense",
        ),
        (
            changed(good, files=with_tensors(slice_axes=lambda _: "[[1]]")),
            "what it says of its slice_axes makes no sense",
        ),
        (changed(good, files=with_tensors(encoder=lambda _: '"other"')), "its encoder cannot be"),
        (changed(good, files=with_tensors(preprocessing=lambda _: '"other"')), "made by the preprocessing 'other'"),
    ]
    before = sorted(path for path in studies.rglob("*") if path.suffix != ".lock")
    for number, (content, message) in enumerate(bad):
        response = take_in(client, content)
        assert response.status_code == 400, (number, message, response.text[:300])
        assert message in response.json()["detail"], (number, response.json()["detail"])
        assert str(studies) not in response.json()["detail"], number
    assert sorted(path for path in studies.rglob("*") if path.suffix != ".lock") == before
    assert library(client) == {"examples": [], "removed": [removed]}
    assert not (studies.parent / "evil").exists()
    names = json.loads((studies / ".protoseg" / "labels.json").read_text(encoding="utf-8"))
    assert names == {"liver": 1}
    assert take_in(client, good).status_code == 200


def test_ids_that_lead_nowhere_and_bodies_that_say_nothing(start, label):
    client = start()
    submit(client, "person0", label(0, ["liver"]))
    known = example_of(client, "person0")["id"]
    for wrong in ("nobody", "..", "../../etc/passwd", "person0", "a" * 5000, "\u202e", "%00", "' or 1=1"):
        for method, path in (
            ("GET", f"/library/examples/{quote(wrong, safe='')}/thumbnail"),
            ("PATCH", f"/library/examples/{quote(wrong, safe='')}"),
            ("DELETE", f"/library/examples/{quote(wrong, safe='')}"),
            ("POST", f"/library/removed/{quote(wrong, safe='')}/restore"),
        ):
            body = {"json": {"enabled": True}} if method == "PATCH" else {}
            assert client.http.request(method, path, **body).status_code in (404, 405), (method, wrong)
    for body in ({}, {"enabled": "x"}, {"enabled": 1}, {"enabled": True, "more": 1}, [], None):
        assert client.http.patch(f"/library/examples/{known}", json=body).status_code == 422
    assert client.http.post("/library/import").status_code == 422
    for query in ("size=31", "size=100000", "slice=x"):
        assert client.http.get(f"/library/examples/{known}/thumbnail?{query}").status_code == 422
    elsewhere = {"Origin": "https://elsewhere.example"}
    assert client.http.delete(f"/library/examples/{known}", headers=elsewhere).status_code == 403
    assert (
        client.http.patch(f"/library/examples/{known}", json={"enabled": False}, headers=elsewhere).status_code == 403
    )
    assert client.http.post("/library/import", files={"file": b"x"}, headers=elsewhere).status_code == 403
    assert [example["enabled"] for example in library(client)["examples"]] == [True]


def test_studies_of_any_name_are_examples(start, label, studies):
    names = ["-rf", "a b", "ünï 肝 臓", "<img src=x onerror=alert(1)>", "100% #1?&x=..", "r\u202eev", "na\nme"]
    (studies / "labels" / "final").mkdir(parents=True)
    image, drawn = (studies / "person0.nii.gz").read_bytes(), label(0, ["liver"])[0].read_bytes()
    for name in names:
        (studies / f"{name}.nii.gz").write_bytes(image)
        (studies / "labels" / "final" / f"{name}.nii.gz").write_bytes(drawn)
    client = start(label_names='{"1": "liver"}')
    listed = library(client)["examples"]
    assert sorted(example["study"] for example in listed) == sorted(names)
    archive = export(client)
    for example in listed:
        assert client.http.get(example["thumbnail"]).status_code == 200
        assert client.http.delete(f"/library/examples/{example['id']}").status_code == 200
    assert found_by(client) == {}
    taken = take_in(client, archive)
    assert taken.status_code == 200, taken.text
    assert len(taken.json()["imported"]) == 1, "they are one picture"
    for removal in library(client)["removed"]:
        assert client.http.post(f"/library/removed/{removal['id']}/restore").status_code == 200
    assert sorted(one["study"] for one in library(client)["examples"])[-1] == "ünï 肝 臓"
    lines = (studies / ".protoseg" / "audit.jsonl").read_bytes().splitlines()
    assert {json.loads(line)["study"] for line in lines} >= set(names), "a line each, whatever the name"


def test_what_is_removed_while_it_serves_breaks_no_answer(start, label):
    client = start()
    submit(client, "person0", label(0, ["liver"]))
    submit(client, "person1", label(1, ["liver"]))
    address = f"/library/examples/{example_of(client, 'person0')['id']}"

    def remove_and_restore(_):
        statuses = [client.http.delete(address).status_code]
        for removal in library(client)["removed"]:
            statuses.append(client.http.post(f"/library/removed/{removal['id']}/restore").status_code)
        return statuses

    def look(_):
        return [client.http.get("/library/").status_code, client.http.get(f"{address}/thumbnail").status_code]

    with ThreadPoolExecutor(6) as pool:
        infers = [pool.submit(client.infer, "oneshot", "person3") for _ in range(6)]
        removals = [pool.submit(remove_and_restore, None) for _ in range(8)]
        looks = [pool.submit(look, None) for _ in range(6)]
    assert {infer.result().status_code for infer in infers} == {200}
    assert {status for removal in removals for status in removal.result()} <= {200, 400, 404}
    assert {status for one in looks for status in one.result()} <= {200, 400, 404}
    assert {one.result()[0] for one in looks} == {200}
    for removal in library(client)["removed"]:
        client.http.post(f"/library/removed/{removal['id']}/restore")
    assert [one["study"] for one in library(client)["examples"]] == ["person0", "person1"], "nothing is lost"
    assert found_by(client).keys() == {"liver"}


def test_what_dicomweb_cannot_delete_is_passed_over(start, label, studies, monkeypatch):
    client = start()
    submit(client, "person0", label(0, ["liver"]))
    from lib.library import examples
    from lib.server.folder_datastore import FolderDatastore

    monkeypatch.setattr(examples, "DicomDatastore", FolderDatastore)  # as if this folder were on a DICOM server
    known = example_of(client, "person0")
    removed = client.http.delete(f"/library/examples/{known['id']}").json()
    assert "stays on the DICOM server" in removed["kept"]
    assert (studies / "labels" / "final" / "person0.nii.gz").exists()
    assert library(client)["examples"] == []
    client = start()
    assert found_by(client) == {}
    assert client.http.post(f"/library/removed/{removed['id']}/restore").status_code == 200
    assert library(client) == {"examples": [known], "removed": []}
    client.http.delete(f"/library/examples/{known['id']}")
    submit(client, "person0", label(0, ["spleen"]))
    assert found_by(client).keys() == {"spleen"}, "another label is another example"


@pytest.mark.parametrize(
    ("content", "message"), [("{", "is damaged"), ("[]", "is damaged"), ('{"disabled": {}}', "is damaged")]
)
def test_a_damaged_record_is_told_and_nothing_is_assumed(start, label, studies, content, message):
    client = start()
    submit(client, "person0", label(0, ["liver"]))
    (studies / ".protoseg" / "library.json").write_text(content, encoding="utf-8")
    for answer in (client.http.get("/library/"), client.infer("oneshot", "person1")):
        assert answer.status_code == 400
        assert message in answer.json()["detail"]
    assert str(studies) not in client.http.get("/library/").json()["detail"]


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
    client = start()
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
    for name, kind in (("page.css", "text/css"), ("page.js", "text/javascript"), ("icon.svg", "image/svg")):
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
    for name in ("ExampleAnswer", "RemovalAnswer", "SwitchRequest", "ImportAnswer", "StatusAnswer"):
        assert "example" in described["components"]["schemas"][name], name
