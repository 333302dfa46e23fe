"""Who sends a request: the name that an authenticating proxy puts into a header.

Defects of MONAI Label 0.8.5: without its own log-in, which works with no current PyJWT, everyone is "admin"; and the
name of who submits a label is not kept.
"""

import json
import unicodedata
from contextlib import suppress
from typing import Any

from fastapi import BackgroundTasks, FastAPI, Request, UploadFile
from monailabel.config import settings
from monailabel.endpoints import datastore
from monailabel.endpoints.user.auth import DEFAULT_USER, User, get_current_user
from monailabel.interfaces.utils.app import app_instance
from starlette.datastructures import Headers

__all__ = ["UNKNOWN", "patch_authors", "patch_users", "user_name"]

UNKNOWN = "unknown"
LONGEST_NAME = 64  # characters


def user_name(headers: Headers, header: str) -> str:
    """Read a name from a header; "unknown" where there is none, or several that contradict each other.

    Characters that do not print, such as line ends and marks that turn the direction of writing, are left out.
    """
    values = set(headers.getlist(header))
    if len(values) != 1:
        return UNKNOWN
    text = values.pop()
    with suppress(UnicodeError):  # is Latin-1, then
        text = text.encode("latin-1").decode("utf-8")
    printable = "".join(c for c in unicodedata.normalize("NFC", text) if c.isprintable())
    return printable.strip()[:LONGEST_NAME] or UNKNOWN


async def _user_of_request(request: Request) -> User:
    name = user_name(request.headers, app_instance().options.user_header)
    return DEFAULT_USER.model_copy(update={"username": name, "email": None, "name": name})


def patch_users(app: FastAPI) -> None:
    """Let endpoints know who asks; where MONAI Label's own log-in is on, that knows."""
    if not settings.MONAI_LABEL_AUTH_ENABLE:
        app.dependency_overrides[get_current_user] = _user_of_request


def patch_authors() -> None:
    """Keep the name of who submits a label beside it; a name in the client's own `params` does not count."""
    original = getattr(datastore.save_label, "__wrapped__", datastore.save_label)

    def save_label(
        background_tasks: BackgroundTasks, image: str, params: str, tag: str, label: UploadFile, user: str | None = None
    ) -> Any:
        said = json.loads(params) if params else {}
        return original(background_tasks, image, json.dumps({**said, "user": user or UNKNOWN}), tag, label, user)

    save_label.__wrapped__ = original  # type: ignore[attr-defined]
    datastore.save_label = save_label
