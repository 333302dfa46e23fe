"""Who sends a request: the name that an authenticating proxy puts into a header.

Defect of MONAI Label 0.8.5: without its own log-in, which works with no current PyJWT, everyone is "admin".
"""

import unicodedata
from contextlib import suppress

from fastapi import FastAPI, Request
from monailabel.config import settings
from monailabel.endpoints.user.auth import User, get_current_user
from monailabel.interfaces.utils.app import app_instance
from starlette.datastructures import Headers

__all__ = ["UNKNOWN", "patch_users", "user_name"]

UNKNOWN = "unknown"
LONGEST_NAME = 64  # characters


def user_name(headers: Headers, header: str) -> str:
    """Read a name from a header; "unknown" if there is none, or several that contradict each other.

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
    return app_instance().access.user(request.headers)


def patch_users(app: FastAPI) -> None:
    """Let endpoints know the user; MONAI Label's own log-in, where it is on, takes precedence."""
    if not settings.MONAI_LABEL_AUTH_ENABLE:
        app.dependency_overrides[get_current_user] = _user_of_request
