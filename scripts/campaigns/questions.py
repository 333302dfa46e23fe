"""Questions of the server's clients, and their right answers: those given when nobody else asked.

Only one client changes the library, from one known state to another. An answer is right if it is that of a state
which the library was in at some time while the answer was made.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from threading import Lock
from typing import Any

import requests

from campaigns.app_server import PATIENCE

__all__ = ["Finding", "Http", "Question", "RightAnswers", "States"]

FORMAT = {"result_extension": ".nrrd", "result_compress": False}


class Finding(Exception):  # noqa: N818 - what the campaign looks for
    """An answer that is not right."""


class Http:
    """A client of its own connections, for as long as it is open.

    Args:
        address: address of the server.
        session: session that has a patience of its own; by default a new one, with `PATIENCE`.
    """

    def __init__(self, address: str, session: requests.Session | None = None) -> None:
        self.address = address
        self.patience = {} if session else {"timeout": PATIENCE}
        self.session = session or requests.Session()
        self.session.headers["Connection"] = "close"  # the server closes those that were idle, at any moment

    def __enter__(self) -> Http:
        return self

    def __exit__(self, *_: object) -> None:
        self.session.close()

    def send(self, method: str, path: str, *, status: int = 200, **content: Any) -> requests.Response:
        """Send a request; `Finding` where the answer has another status."""
        answer = self.session.request(method, self.address + path, **self.patience, **content)
        if answer.status_code != status:
            kind = f"{method} {path.partition('?')[0]}"
            raise Finding(f"{kind}: status {answer.status_code}, expected {status}: {answer.text[:200]}")
        return answer

    def infer(self, question: Question, *, session_id: str = "", **params: Any) -> str:
        """Give a digest of the label map that answers a question."""
        place = {"session_id": session_id} if session_id else {"image": question.image}
        form = {"params": json.dumps({**FORMAT, **question.params, **params})}
        path = f"/infer/{question.model}"
        answer = self.send("POST", path, params={**place, "output": "image"}, data=form)
        return sha256(answer.content).hexdigest()

    def submit(self, image: str, file: Path, labels: Mapping[str, int], *, status: int = 200, **params: Any) -> dict:
        """Submit a label; gives the server's answer."""
        info = [{"name": name, "idx": value} for name, value in labels.items()]
        with file.open("rb") as content:
            return self.send(
                "PUT",
                "/datastore/label",
                status=status,
                params={"image": image},
                data={"params": json.dumps({"label_info": info, **params})},
                files={"label": (file.name, content)},
            ).json()


@dataclass(frozen=True)
class Question:
    """A question to a model.

    Args:
        model: model of the app.
        image: name of a study.
        content: content of `params` as JSON, except format and client.
        of_library: True if the answer depends on the library.
    """

    model: str
    image: str
    content: str
    of_library: bool

    @property
    def params(self) -> dict[str, Any]:
        """The `params`."""
        return json.loads(self.content)


@dataclass
class States:
    """States of the library, each from some time on, until which it was the one before or this one already."""

    changes: list[tuple[float, float, str]]
    lock: Lock = field(default_factory=Lock)

    @classmethod
    def beginning(cls, state: str) -> States:
        """Begin in a state."""
        now = time.monotonic()
        return cls([(now, now, state)])

    @contextmanager
    def change(self, state: str) -> Iterator[None]:
        """Change to a state within."""
        with self.lock:
            self.changes.append((time.monotonic(), float("inf"), state))
        yield
        with self.lock:
            begin, _, _ = self.changes[-1]
            self.changes[-1] = (begin, time.monotonic(), state)

    @property
    def now(self) -> str:
        """The last one."""
        return self.changes[-1][2]

    def between(self, begin: float, end: float) -> set[str]:
        """Give the possible states at some time from `begin` to `end`."""
        with self.lock:
            changes = list(self.changes)
        ends = [until for _, until, _ in changes[1:]] + [float("inf")]
        return {state for (start, _, state), until in zip(changes, ends) if start <= end and until >= begin}


@dataclass
class RightAnswers:
    """Digests of the right answers, by question and state of the library; counts the comparisons."""

    states: States
    digests: dict[tuple[Question, str], str] = field(default_factory=dict)
    compared: int = 0

    def learn(self, http: Http, question: Question) -> None:
        """Ask while nobody else does; `Finding` where the answer is another than the last time."""
        digest = http.infer(question)
        key = (question, self.states.now if question.of_library else "")
        if self.digests.setdefault(key, digest) != digest:
            raise Finding(f"{question.model} gives two answers while nobody else asks")

    def compare(self, http: Http, question: Question, *, session_id: str = "", **params: Any) -> None:
        """Ask, and raise `Finding` where the answer is not right."""
        begin = time.monotonic()
        digest = http.infer(question, session_id=session_id, **params)
        states = self.states.between(begin, time.monotonic()) if question.of_library else {""}
        self.compared += 1
        right = {self.digests[question, state] for state in states}
        if digest in right:
            return
        of = sorted(
            {f"{q.model} in {state or 'any state'}" for (q, state), known in self.digests.items() if known == digest}
        )
        raise Finding(
            f"{question.model}: a wrong answer" + (f", which is that of {', '.join(of)}" if of else " of no question")
        )
