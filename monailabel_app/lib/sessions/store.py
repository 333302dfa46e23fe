"""Histories of prompts on disk: one file for each user, client and image, and no more than a bound of them."""

from __future__ import annotations

import json
import logging
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from threading import Lock
from typing import Any, NamedTuple

from lib.sessions.prompts import PromptHistory, Prompts
from lib.times import utc_now
from protoseg.files import replacing
from protoseg.ops.hashing import fingerprint

__all__ = ["LONGEST_CLIENT", "MOST_SESSIONS", "Owner", "PromptSessions"]

MOST_SESSIONS = 1000
LARGEST_PROMPTS = 2**16  # bytes of JSON; larger ones are not recorded
DEEPEST_PROMPTS = 8  # lists in lists
LARGEST_SESSION = 2**20
LONGEST_CLIENT = 128  # characters

logger = logging.getLogger(__name__)


class Owner(NamedTuple):
    """Whose session it is. The user's name is the proxy's word, so that nobody reaches another's by its client."""

    user: str
    client: str
    image: str


class PromptSessions:
    """Histories of prompts, which outlive the server. Safe between threads.

    If there are too many, the oldest of the user with the most is removed: whoever makes thousands loses their own.

    Args:
        folder: folder of the files.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._lock = Lock()

    def read(self, owner: Owner) -> PromptHistory:
        """Read the history of a session; an empty one if there is none, or its file is damaged."""
        try:
            content = json.loads(self._file(owner).read_text(encoding="utf-8"))
            if content["owner"] == list(owner):
                return PromptHistory.of_content(content["history"])
        except FileNotFoundError:
            pass
        except (ValueError, KeyError, TypeError) as error:
            logger.warning("The prompts in %s are lost: %s", self._file(owner).name, error)
        return PromptHistory()

    def record(self, owner: Owner, prompts: Prompts) -> None:
        """Record a client's prompts; failing to do so only logs a warning, since the answer matters more."""
        try:
            _check(prompts)
            with self._lock:
                history = self.read(owner)
                longer = history.recorded(prompts, utc_now())
                if longer is not history:
                    self._write(owner, longer)
        except (OSError, ValueError) as error:
            logger.warning("The prompts on %r cannot be undone later: %s", owner.image, error)

    def undo(self, owner: Owner) -> tuple[PromptHistory, Prompts | None]:
        """Undo a step; see `PromptHistory.undone`."""
        return self._move(owner, PromptHistory.undone)

    def redo(self, owner: Owner) -> tuple[PromptHistory, Prompts | None]:
        """Redo a step; see `PromptHistory.redone`."""
        return self._move(owner, PromptHistory.redone)

    def forget(self, owner: Owner) -> None:
        """Remove a session."""
        with self._lock:
            self._file(owner).unlink(missing_ok=True)

    def _move(
        self, owner: Owner, move: Callable[[PromptHistory], tuple[PromptHistory, Prompts | None]]
    ) -> tuple[PromptHistory, Prompts | None]:
        with self._lock:
            history, changed = move(self.read(owner))
            if changed is not None:
                self._write(owner, history)
            return history, changed

    def _write(self, owner: Owner, history: PromptHistory) -> None:
        file, steps = self._file(owner), len(history.steps)
        text = _text(owner, history)
        while steps > 1 and len(text) > LARGEST_SESSION:
            steps //= 2
            text = _text(owner, history.shortened(steps))
        if not file.exists():
            self._make_room()
        with replacing(file) as unfinished:
            unfinished.write_text(text, encoding="ascii")

    def _make_room(self) -> None:
        files = list(self.folder.glob("*-*.json"))
        if len(files) < MOST_SESSIONS:
            return
        (busiest, _), *_ = Counter(_user_part(file) for file in files).most_common(1)
        min((file for file in files if _user_part(file) == busiest), key=lambda file: file.stat().st_mtime_ns).unlink()

    def _file(self, owner: Owner) -> Path:
        return self.folder / f"{fingerprint('user', owner.user)}-{fingerprint('session', *owner)}.json"


def _check(prompts: Prompts) -> None:
    """Raise ValueError for prompts that no answer could hold: numbers that are none, half characters, or too much."""
    text = json.dumps([prompts.label, prompts.params], allow_nan=False, ensure_ascii=False).encode()
    if len(text) > LARGEST_PROMPTS or not _is_shallow(prompts.params, DEEPEST_PROMPTS):
        raise ValueError(f"they are larger than {LARGEST_PROMPTS} bytes of JSON, or deeper than {DEEPEST_PROMPTS}")


def _is_shallow(value: Any, depth: int) -> bool:
    inside = value.values() if isinstance(value, dict) else value if isinstance(value, list) else None
    return inside is None or (depth > 0 and all(_is_shallow(one, depth - 1) for one in inside))


def _text(owner: Owner, history: PromptHistory) -> str:
    return json.dumps({"owner": list(owner), "history": history.content()})


def _user_part(file: Path) -> str:
    return file.name.partition("-")[0]
