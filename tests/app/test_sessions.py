"""Prompts of clients by REST: undo, redo, and a server that is started again in between; and uploads without end."""

import shutil
from pathlib import Path

import pytest
from monailabel.interfaces.utils.app import app_instance

from protoseg.engine.clicks.simulation import interior_point
from protoseg.errors import InputError

APP = Path(__file__).parents[2] / "monailabel_app"

OWNER = {"image": "person1", "client_id": "tab1"}


def middle(mask):
    k = int(mask.sum((0, 1)).argmax())
    return [*map(int, interior_point(mask[..., k])), k]


def state(client, path="", method="GET", owner=OWNER, **headers):
    answer = client.http.request(method, f"/sessions/clicks{path}", params=owner, headers=headers)
    assert answer.status_code == 200, answer.text
    return answer.json()


def test_prompts_are_undone_and_redone_and_survive_the_server(start, ground_truth):
    client = start()
    liver, lungs = middle(ground_truth(1, "liver")), middle(ground_truth(1, "lungs"))

    def ask(**params):
        answer = client.infer("oneshot_click_one", "person1", client_id="tab1", background=[], **params)
        assert answer.status_code == 200, answer.text
        return answer.json()["labels"]

    empty = {"prompts": [], "undo": 0, "redo": 0, "changed": None}
    assert state(client) == empty
    first = ask(label="liver", foreground=[liver], component_filter=["none", "one"])
    ask(label="liver", foreground=[liver])
    assert state(client)["undo"] == 1, "the same prompts once more, with another option, are no step"
    ask(label="lungs", foreground=[lungs])
    of_liver = {"model": "oneshot_click_one", "label": "liver", "params": {"foreground": [liver]}}
    of_lungs = {"model": "oneshot_click_one", "label": "lungs", "params": {"foreground": [lungs]}}
    assert state(client) == {"prompts": [of_liver, of_lungs], "undo": 2, "redo": 0, "changed": None}

    undone = state(client, "/undo", "POST")
    assert undone == {"prompts": [of_liver], "undo": 1, "redo": 1, "changed": {**of_lungs, "params": {}}}
    assert state(client, owner={**OWNER, "client_id": "tab2"}) == empty
    assert state(client, owner={**OWNER, "image": "person2"}) == empty
    assert state(client, **{"X-Remote-User": "bob"}) == empty, "the session is the user's, whatever the client says"

    client = start()
    assert state(client) == {**undone, "changed": None}
    assert ask(label="liver", foreground=[liver])["liver"]["volume_ml"] == first["liver"]["volume_ml"]
    assert state(client, "/redo", "POST")["changed"] == of_lungs
    assert state(client, "/redo", "POST")["changed"] is None
    assert state(client, method="DELETE") == state(client) == empty


def test_what_is_refused_is_no_step(start):
    client = start()
    assert client.infer("oneshot_click_one", "person1", client_id="tab1", foreground=[[999, 0, 0]]).status_code == 400
    assert not list(app_instance().prompts.folder.glob("*"))
    for wrong in ({"image": "person1"}, {"client_id": "a"}, {**OWNER, "client_id": "x" * 129}, {**OWNER, "image": ""}):
        assert client.http.post("/sessions/clicks/undo", params=wrong).status_code == 422


def test_uploaded_sessions_are_bounded(studies, tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(APP))
    from lib.server.sessions import ContainedSessions

    monkeypatch.setattr("lib.server.sessions.MOST_SESSIONS", 3)
    sessions = ContainedSessions(str(tmp_path / "sessions"))

    def upload():
        return sessions.add_session(shutil.copy(studies / "person0.nii.gz", tmp_path / "upload.nii.gz"))[0]

    names = [upload() for _ in range(3)]
    for _ in range(5):
        with pytest.raises(InputError, match="There are 3 sessions"):
            upload()
    assert sorted(place.name for place in (tmp_path / "sessions").iterdir()) == sorted(names)
    sessions.remove_session(names[0])
    assert upload() not in names
