"""Clients of the server: their repeated actions, and the results that these must have."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from campaigns.app_server import Studies
from campaigns.questions import Finding, Http, Question, RightAnswers
from protoseg.engine.clicks.simulation import interior_point

__all__ = ["NONE", "ROLES", "SUBMITTED", "Scene", "first_labels", "put"]

ORGANS = ("liver", "spleen", "lungs", "stomach")
LABELLED, CHANGED = 0, 1  # people: one is labelled once for all, the label of the other comes and goes
SUBMITTED = {"all": {"liver": 1, "spleen": 2}, "one": {"liver": 1}}  # two label maps of the person that changes
NONE = "none"  # state of the library without a label of that person


@dataclass(frozen=True)
class Scene:
    """The objects that the clients share: studies, label maps to be submitted, questions with their right answers."""

    studies: Studies
    maps: dict[str, Path]
    answers: RightAnswers

    @classmethod
    def of(cls, studies: Studies, place: Path, answers: RightAnswers) -> Scene:
        """Draw the label maps into a folder."""
        maps = {name: studies.draw(CHANGED, labels, place / f"{name}.nii.gz") for name, labels in SUBMITTED.items()}
        return cls(studies, maps, answers)

    def _person(self, number: int) -> int:
        """Choose the person that a client asks about, who is never labelled."""
        return 2 + number % (self.studies.people - 2)

    def questions(self, number: int) -> list[Question]:
        """List all questions of a client to the models."""
        return [*self.automatic(number), *self.clicks(number)]

    def automatic(self, number: int) -> list[Question]:
        """Ask for the auto-segmentation of a client's image: everything, and one label."""
        image = f"person{self._person(number)}"
        prompts: tuple[list[int], ...] = ([], [1 + number % 2])
        return [_question("oneshot", image, {"label_prompt": prompt}, of_library=True) for prompt in prompts]

    def clicks(self, number: int) -> list[Question]:
        """List clicks of a client on a structure of its own, one more each time; and, last, clicks on a known label."""
        person, organ = self._person(number), ORGANS[number % len(ORGANS)]
        mask = self.studies.mask(person, organ)
        inside = _middle(mask)
        outside = [*interior_point(~mask[..., inside[2]]), inside[2]]
        label, image = f"structure {number}", f"person{person}"
        steps = [{"foreground": [inside]}, {"foreground": [inside], "background": [outside]}]
        steps.append({"foreground": [inside, outside]})
        of_one = [_question("oneshot_click_one", image, {"label": label, **step}) for step in steps]
        beside = {"liver": [], "background": [_middle(self.studies.mask(person, "liver"))]}
        return [*of_one, _question("oneshot_click", image, beside, of_library=True)]


def _middle(mask: np.ndarray) -> list[int]:
    """Voxel in the middle of a mask, on the slice where it is largest."""
    k = int(mask.sum((0, 1)).argmax())
    return [*interior_point(mask[..., k]), k]


def _question(model: str, image: str, params: dict, *, of_library: bool = False) -> Question:
    return Question(model, image, json.dumps(params), of_library)


def first_labels(scene: Scene, http: Http, place: Path) -> None:
    """Label the person that stays labelled."""
    file = scene.studies.draw(LABELLED, SUBMITTED["all"], place / "first.nii.gz")
    http.submit(f"person{LABELLED}", file, SUBMITTED["all"])


def put(scene: Scene, http: Http, state: str) -> str:
    """Bring the library to a state; gives the version of the label, empty for none."""
    with scene.answers.states.change(state):
        if state != NONE:
            return str(http.submit(f"person{CHANGED}", scene.maps[state], SUBMITTED[state])["version"])
        for example in http.send("GET", "/library/").json()["examples"]:
            if example["study"] == f"person{CHANGED}":
                http.send("PATCH", f"/library/examples/{example['id']}", json={"enabled": False})
        return ""


def segment(scene: Scene, http: Http, number: int) -> None:
    """Segment an image from the library, then the same image uploaded."""
    for question in scene.automatic(number):
        scene.answers.compare(http, question)
    question = scene.automatic(number)[0]
    file = scene.studies.folder / f"{question.image}.nii.gz"
    with file.open("rb") as content:
        session = http.send("PUT", "/session/", files={"files": (file.name, content)}).json()["session_id"]
    scene.answers.compare(http, question, session_id=session)
    http.send("DELETE", f"/session/{session}")
    http.send("PUT", "/session/", status=400, files={"files": ("scan.nii.gz", b"no image")})
    http.send("POST", "/infer/oneshot?image=nobody", status=404)
    http.send("POST", "/activelearning/least_certain", json={})


def click(scene: Scene, http: Http, number: int) -> None:
    """Click on a structure, undo, redo, and forget."""
    first, second, third, of_all = scene.clicks(number)
    owner = {"image": first.image, "client_id": f"client {number}"}
    for question in (first, second, third):
        scene.answers.compare(http, question, client_id=owner["client_id"])
    undone = http.send("POST", "/sessions/clicks/undo", params=owner).json()
    _expect(undone["undo"] == 2 and undone["redo"] == 1, "undo of clicks: another number of steps")
    back = second.params
    _expect(undone["changed"]["label"] == back.pop("label"), "undo of clicks: another label")
    _expect(undone["changed"]["params"] == back, "undo of clicks: the clicks of somebody else")
    scene.answers.compare(http, second, client_id="none")
    redone = http.send("POST", "/sessions/clicks/redo", params=owner).json()
    _expect(redone["changed"]["params"] == {k: v for k, v in third.params.items() if k != "label"}, "redo of clicks")
    http.send("DELETE", "/sessions/clicks", params=owner)
    scene.answers.compare(http, of_all, client_id=owner["client_id"])
    http.send("DELETE", "/sessions/clicks", params=owner)
    outside = {"params": json.dumps({"label": "x", "foreground": [[999, 0, 0]]})}
    http.send("POST", f"/infer/oneshot_click_one?image={first.image}", status=400, data=outside)


def look(scene: Scene, http: Http, number: int) -> None:
    """Look at the library, and carry it away and back."""
    listed = http.send("GET", "/library/").json()["examples"]
    studies = {example["study"]: example for example in listed}
    _expect(set(studies) - {f"person{CHANGED}"} == {f"person{LABELLED}"}, "library: other studies than are labelled")
    example = studies[f"person{LABELLED}"]
    _expect([label["name"] for label in example["labels"]] == ["liver", "spleen"], "library: other labels")
    picture = http.send("GET", example["thumbnail"]).content
    _expect(picture.startswith(b"\x89PNG"), "library: a thumbnail that is no picture")
    for path in ("/status/", "/datastore/", "/openapi.json", "/"):
        http.send("GET", path)
    archive = http.send("GET", "/library/export").content
    with zipfile.ZipFile(io.BytesIO(archive)) as members:
        _expect(members.testzip() is None and "library.json" in members.namelist(), "library: a damaged archive")
    http.send("GET", "/library/examples/0123456789abcdef", status=404)
    for question in scene.automatic(number):
        scene.answers.compare(http, question)


def change(scene: Scene, http: Http, number: int) -> None:
    """Label a person, label it again, undo, redo, switch it off and on, remove and restore it."""
    states, image = scene.answers.states, {"image": f"person{CHANGED}"}

    def move(path: str, state: str) -> None:
        with states.change(state):
            http.send("POST", f"/sessions/submits/{path}", params=image)

    stale = put(scene, http, "all")
    current = put(scene, http, "one")
    http.submit(image["image"], scene.maps["all"], SUBMITTED["all"], status=409, drawn_on=stale)
    move("undo", "all")
    move("redo", "one")
    versions = http.send("GET", "/sessions/submits", params=image).json()["versions"]
    _expect(
        (versions[0]["version"], versions[0]["state"]) == (current, "current"), "submits: another version is current"
    )
    _expect(list(versions[0]["labels"]) == ["liver"], "submits: other labels")
    stored = http.send("GET", f"/sessions/submits/{current}", params=image).content
    _expect(stored == scene.maps["one"].read_bytes(), "submits: another file than was submitted")
    listed = http.send("GET", "/library/").json()["examples"]
    example = next(one["id"] for one in listed if one["study"] == image["image"])
    for enabled in (False, True):
        with states.change("one" if enabled else NONE):
            http.send("PATCH", f"/library/examples/{example}", json={"enabled": enabled})
    with states.change(NONE):
        removal = http.send("DELETE", f"/library/examples/{example}").json()["id"]
    with states.change("one"):
        http.send("POST", f"/library/removed/{removal}/restore")


def _expect(right: bool, what: str) -> None:
    if not right:
        raise Finding(what)


# In this order; of more clients none changes the library.
ROLES: tuple[Callable[[Scene, Http, int], None], ...] = (change, segment, click, look)
