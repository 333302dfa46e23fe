"""The ways in which a submitted label follows the present one: after it, instead of it, or not at all."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from lib.server.label_versions import LabelVersion
from protoseg.errors import InputError

__all__ = ["StaleLabelError", "Submission", "checked_params", "new_version"]

ASKED = ("drawn_on", "force")  # what a client may say about its label
RESERVED = (*ASKED, "version", "moved")


class StaleLabelError(InputError):
    """A label that was drawn on another version than the one that is there.

    Args:
        message: message for the user.
        current: present label; None if there is none.
        refused: version under which the upload is kept; empty if it was kept before.
        drawn_on: version that the label was drawn on.
    """

    def __init__(self, message: str, current: LabelVersion | None, refused: str, drawn_on: str) -> None:
        super().__init__(message)
        self.current, self.refused, self.drawn_on = current, refused, drawn_on


@dataclass(frozen=True)
class Submission:
    """The intent of a submitted label, beside its names.

    Args:
        version: version that the label becomes.
        drawn_on: version that it was drawn on, empty for none; None if the client does not say, so that it replaces
            whatever is there.
        force: True to replace the present label although it was drawn on another version.
        moved: "undone" or "redone" if it was a label before; empty for a new one.
    """

    version: str
    drawn_on: str | None = None
    force: bool = False
    moved: str = ""

    @classmethod
    def of_info(cls, info: Mapping[str, Any] | None) -> tuple[Submission, dict[str, Any]]:
        """Split a label's info into its intent and the rest; give both."""
        info = dict(info or {})
        said = {key: info.pop(key) for key in RESERVED if key in info}
        return cls(said.pop("version", "") or new_version(), **said), info


def new_version() -> str:
    """Make random digits for a label."""
    return uuid.uuid4().hex[:16]


def checked_params(params: Mapping[str, Any], user: str) -> dict[str, Any]:
    """Check a client's parameters of a label for the datastore; the label gets a version.

    Raises:
        InputError: `drawn_on` is no text, or `force` neither true nor false.
    """
    drawn_on, force = params.get("drawn_on"), params.get("force", False)
    if drawn_on is not None and not isinstance(drawn_on, str):
        raise InputError(f"drawn_on is {drawn_on!r}; expected the version of the label that this one was drawn on.")
    if not isinstance(force, bool):
        raise InputError(f"force is {force!r}; expected true or false.")
    own = {key: value for key, value in params.items() if key not in (*RESERVED, "replaces", "restored_from")}
    return {**own, "user": user, "version": new_version(), "drawn_on": drawn_on, "force": force}
