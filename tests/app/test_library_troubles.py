"""Library: names, races, damaged records, and the log."""

import json
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import quote

import pytest
from library_requests import example_of, export, found_by, library, submit, take_in


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
