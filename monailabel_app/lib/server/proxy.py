"""The DICOMweb proxy through which OHIF reads studies.

Defects of MONAI Label 0.8.5: it drops the query string, so that no study filter works and opening one patient may list
another's studies; what is sent on to the DICOM server holds the passwords and keys of the client; and users who
may only look can store there. The first is reported as https://github.com/Project-MONAI/MONAILabel/issues/1835
"""

from collections.abc import Awaitable, Callable

from fastapi import Request, Response
from monailabel.config import settings
from monailabel.endpoints import proxy
from monailabel.interfaces.utils.app import app_instance
from starlette.types import Message

from lib.server.patching import patch
from lib.server.roles import KEY_HEADER

__all__ = ["patch_proxy"]

SECRETS = (b"authorization", b"cookie", KEY_HEADER.lower().encode())


def patch_proxy() -> None:
    """Send the query string on."""
    patch(
        proxy,
        "proxy_dicom",
        _with_query,
        takes="request op path",
        defect="the DICOMweb proxy drops the query string, so that no study filter works",
    )


def _with_query(original: Callable[..., Awaitable[Response]]) -> Callable[..., Awaitable[Response]]:
    async def proxy_dicom(request: Request, op: str, path: str) -> Response:
        if request.method == "POST":
            access = app_instance().access
            access.check(access.user(request.headers), [settings.MONAI_LABEL_AUTH_ROLE_ANNOTATOR])
            request = await _without_secrets(request)
        query = request.url.query
        # Metadata are told by how the path ends, and take no filter.
        return await original(request, op, f"{path}?{query}" if query and not path.endswith("metadata") else path)

    return proxy_dicom


async def _without_secrets(request: Request) -> Request:
    body = await request.body()

    async def receive() -> Message:
        return {"type": "http.request", "body": body}

    kept = [(name, value) for name, value in request.scope["headers"] if name.lower() not in SECRETS]
    return Request({**request.scope, "headers": kept}, receive)
