"""Keys and roles: who may look, annotate and manage, and what a forged header is worth."""

import asyncio
import json
import logging
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from fastapi import Request
from monailabel.config import settings
from monailabel.endpoints import proxy as proxy_endpoints
from monailabel.interfaces.utils.app import app_instance

from protoseg.errors import InputError

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "monailabel_app"))

KEYS = {"pipeline": "p" * 40, "janitor": "j" * 40}
BY_GROUP = {"group_header": "X-Remote-Groups", "manage_groups": "chiefs", "annotate_groups": "annotate,readers"}
CHIEF = {"X-Remote-User": "anna", "X-Remote-Groups": "staff, chiefs"}
READER = {"X-Remote-User": "bob", "X-Remote-Groups": "readers"}
GUEST = {"X-Remote-User": "eve", "X-Remote-Groups": "guests"}


@pytest.fixture
def key_file(tmp_path):
    file = tmp_path / "keys"
    file.write_text(f"# programs\npipeline annotate {KEYS['pipeline']}\n\njanitor manage {KEYS['janitor']}\n", "utf-8")
    return str(file)


def submit(client, label, headers):
    file, names = label
    data = {"params": json.dumps({"label_info": names})}
    files = {"label": (file.name, file.read_bytes())}
    return client.http.put("/datastore/label?image=person0", data=data, files=files, headers=headers)


def statuses(client, example, headers):
    """Status of looking, undoing a submit, switching, importing, deleting an image, and of loading the app anew."""
    requests = [
        ("GET", "/library/", {}),
        ("POST", "/sessions/submits/redo?image=person0", {}),
        ("PATCH", f"/library/examples/{example}", {"json": {"enabled": True}}),
        ("POST", "/library/import", {"files": {"file": ("x.zip", b"no")}}),
        ("DELETE", "/datastore/image?id=nobody", {}),
    ]
    return [client.http.request(method, url, headers=headers, **more).status_code for method, url, more in requests]


def sent_on(monkeypatch):
    """What the DICOM server gets of a client's request: headers and body."""
    sent: list[tuple[dict[str, str], bytes]] = []

    def post(url, headers, data, **_):
        sent.append(({name.lower(): value for name, value in headers.items()}, data))
        return SimpleNamespace(raw=SimpleNamespace(read=lambda: b""), status_code=200, headers={})

    monkeypatch.setattr(settings, "MONAI_LABEL_STUDIES", "http://pacs")
    monkeypatch.setattr(proxy_endpoints.requests, "post", post)
    names = {"authorization": "Basic eA==", "cookie": "a=b", "x-api-key": KEYS["pipeline"], "accept": "text/plain"}
    headers = [(name.encode(), value.encode()) for name, value in names.items()]
    scope = {"type": "http", "method": "POST", "query_string": b"", "path": "/", "headers": headers}

    async def receive():
        return {"type": "http.request", "body": b"dicom"}

    asyncio.run(proxy_endpoints.proxy_dicom(Request(scope, receive), "stow", "studies"))
    return sent


def test_roles_are_what_the_proxy_says(start, label):
    client = start(**BY_GROUP)
    assert submit(client, label(0, ["liver"]), GUEST).status_code == 403
    assert submit(client, label(0, ["liver"]), READER).status_code == 200
    example = client.http.get("/library/").json()["examples"][0]["id"]
    assert statuses(client, example, CHIEF) == [200, 200, 200, 400, 404]
    assert statuses(client, example, READER) == [200, 200, 403, 403, 403]
    assert statuses(client, example, GUEST) == [200, 403, 403, 403, 403]
    assert client.http.post("/reload", headers=READER).status_code == 403
    refused = client.http.delete(f"/library/examples/{example}", headers=READER)
    assert refused.json()["detail"] == "This needs the role manage, which bob does not have."
    forged = [
        [("X-Remote-User", "anna"), ("X-Remote-Groups", "readers"), ("X-Remote-Groups", "chiefs")],
        [("X-Remote-User", "anna")],
        [("X-Remote-User", "anna"), ("X-Remote-Groups", "x\tchiefs")],
        [("X-Remote-User", "anna"), ("X-Remote-Groups", "readers;chiefs")],
        [("X-Remote-User", "anna"), ("X_Remote_Groups", "chiefs")],
        [("X-Remote-User", "anna"), ("X-API-Key", "j" * 40)],
    ]
    for headers in forged:
        assert client.http.delete(f"/library/examples/{example}", headers=headers).status_code == 403
    told = {
        who["X-Remote-User"]: client.http.get("/status/", headers=who).json()["roles"] for who in (CHIEF, READER, GUEST)
    }
    assert told == {"anna": ["annotate", "manage"], "bob": ["annotate"], "eve": []}


def test_programs_come_with_keys(start, label, key_file, studies, caplog, monkeypatch):
    caplog.set_level(logging.DEBUG)
    client = start(api_keys=key_file)
    program, janitor = ({"X-API-Key": KEYS[name]} for name in ("pipeline", "janitor"))
    stored = submit(client, label(0, ["liver"]), {**program, "X-Remote-User": "root"})
    assert stored.status_code == 200
    (example,) = client.http.get("/library/").json()["examples"]
    assert example["by"] == "key:pipeline"
    assert statuses(client, example["id"], janitor) == [200, 200, 200, 400, 404]
    assert statuses(client, example["id"], program) == [200, 200, 403, 403, 403]
    assert statuses(client, example["id"], {"X-Remote-User": "anna"}) == [200, 200, 403, 403, 403], "a person annotates"
    two = [("X-API-Key", KEYS["pipeline"]), ("X-API-Key", KEYS["janitor"])]
    wrong = KEYS["janitor"][:-1] + "k"
    for headers in ({"X-API-Key": wrong}, {"X-API-Key": ""}, {"X-API-Key": KEYS["janitor"] + " x"}, two):
        assert client.http.get("/library/", headers=headers).status_code == 401
    assert client.http.get("/status/", headers=janitor).json()["user"] == "key:janitor"
    everywhere = caplog.text + repr(app_instance().access)
    everywhere += "".join(file.read_text("utf-8", "replace") for file in (studies / ".protoseg").glob("*.json*"))
    assert not any(key in everywhere for key in (*KEYS.values(), wrong)), "no key is written down anywhere"
    assert sent_on(monkeypatch) == [({"accept": "text/plain"}, b"dicom")], "secrets of clients stay here"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("pipeline annotate short", "Line 1 of .*keys is no API key"),
        ("# ok\npipeline admin " + "s" * 40, "Line 2 of .*keys is no API key"),
        ("s" * 40, "Line 1 of"),
        (f"a annotate {'s' * 40}\na manage {'t' * 40}", "Two API keys have the same name"),
        (f"a annotate {'s' * 40}\nb manage {'s' * 40}", "Two API keys have the same key"),
    ],
)
def test_keys_that_are_none_are_refused_and_not_shown(tmp_path, text, message):
    from lib.server.keys import read_keys

    (tmp_path / "keys").write_text(text, "utf-8")
    with pytest.raises(InputError, match=message) as refused:
        read_keys(str(tmp_path / "keys"), {})
    assert "sss" not in str(refused.value)
    with pytest.raises(InputError, match="which cannot be read: FileNotFoundError"):
        read_keys(str(tmp_path / "none"), {})


def test_keys_come_from_the_environment_too():
    from lib.server.keys import find_key, read_keys

    keys = read_keys("", {"PROTOSEG_API_KEYS": f"a annotate {'x' * 32};b manage {'y' * 32}"})
    assert [(key.name, key.role) for key in keys] == [("a", "annotate"), ("b", "manage")]
    assert find_key(keys, "y" * 32).name == "b"
    assert find_key(keys, "y" * 31) is find_key(keys, "") is find_key((), "x") is None
