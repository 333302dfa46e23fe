"""The library as one file: carried to other studies, and refused where it is not one."""

import hashlib
import io
import json
import zipfile

from library_requests import example_of, export, found_by, library, submit, switch, take_in
from monailabel.interfaces.utils.app import app_instance


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
        (changed(good, files=with_tensors(encoder=lambda _: '"other"')), "for the encoder other; expected"),
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


def test_what_others_remove_while_the_library_is_exported_is_left_out(start, label, monkeypatch):
    client = start()
    submit(client, "person0", label(0, ["liver"]))
    submit(client, "person1", label(1, ["liver"]))
    examples = app_instance().examples
    gone = example_of(client, "person1")["id"]
    read = examples.support

    def removed_meanwhile(example):
        if example.id == gone and examples.find(gone):
            examples.remove(example, "bob")
        return read(example)

    monkeypatch.setattr(examples, "support", removed_meanwhile)
    with zipfile.ZipFile(io.BytesIO(export(client))) as zipped:
        told = json.loads(zipped.read("library.json"))
        assert len(zipped.namelist()) == 2
    assert [one["study"] for one in told["examples"]] == ["person0"]
