"""Who may send what: this machine only, from the server's own pages, and nothing endless.

Defects of MONAI Label 0.8.5: it listens on all interfaces unless told otherwise, although its token check works with
no current PyJWT; its CORS answer lets every web site that the user visits read the studies; and an upload may fill
the disk.
"""

from ipaddress import ip_address
from typing import Any

from fastapi import FastAPI, HTTPException
from fastapi.middleware.cors import CORSMiddleware
from monailabel.config import settings
from starlette.middleware import Middleware
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

__all__ = ["patch_access"]

UPLOAD_LIMIT_MB = 2048


class LocalhostOnlyMiddleware:
    """Refuse other machines, unless `--conf remote_access true`, and bodies above `--conf upload_limit_mb`."""

    def __init__(self, app: ASGIApp):
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or answer 403 or 413."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        conf: dict[str, Any] = settings.MONAI_LABEL_APP_CONF
        if _is_remote(scope) and str(conf.get("remote_access", "false")).lower() != "true":
            message = (
                "This server answers its own machine only, since it has no log-in. Put a reverse proxy with "
                "authentication in front of it, or start it with --conf remote_access true."
            )
            await JSONResponse({"detail": message}, 403)(scope, receive, send)
            return
        limit_mb = float(conf.get("upload_limit_mb", UPLOAD_LIMIT_MB))
        limit = int(limit_mb * 2**20)
        too_large = f"The request is larger than {limit_mb:g} MB. See --conf upload_limit_mb."
        declared = dict(scope["headers"]).get(b"content-length", b"0")
        if declared.isdigit() and int(declared) > limit:
            await JSONResponse({"detail": too_large}, 413)(scope, receive, send)
            return
        received = 0

        async def counted() -> Message:
            nonlocal received
            message = await receive()
            received += len(message.get("body", b""))
            if received > limit:
                raise HTTPException(413, too_large)
            return message

        await self.app(scope, counted, send)


def _is_remote(scope: Scope) -> bool:
    host = (scope.get("client") or ("",))[0]
    try:
        return not ip_address(host.partition("%")[0]).is_loopback
    except ValueError:  # a Unix socket, or a test client
        return False


def patch_access(app: FastAPI) -> None:
    """Put a `LocalhostOnlyMiddleware` in front, and drop CORS unless MONAI_LABEL_CORS_ORIGINS names who may read."""
    ours = [m for m in app.user_middleware if m.cls not in (CORSMiddleware, LocalhostOnlyMiddleware)]
    theirs = [m for m in app.user_middleware if m.cls is CORSMiddleware and settings.MONAI_LABEL_CORS_ORIGINS]
    app.user_middleware = [*theirs, Middleware(LocalhostOnlyMiddleware), *ours]
    app.middleware_stack = app.build_middleware_stack()  # the app runs by now, with the stack it started with
