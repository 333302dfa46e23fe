"""Access to the server: from this machine only, from the server's own pages, and without endless bodies.

Defects of MONAI Label 0.8.5: it listens on all interfaces unless told otherwise, although its token check works with
no current PyJWT; its CORS answer lets every web site that the user visits read the studies, and what such a site sends
unasked is done: a form, or anything where its own name was made to lead here; and an upload may fill the disk.
"""

from collections.abc import Mapping, Sequence
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Any
from urllib.parse import urlsplit

from fastapi import FastAPI, HTTPException
from fastapi.middleware.cors import CORSMiddleware
from monailabel.config import settings
from starlette.middleware import Middleware
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

__all__ = ["patch_access"]

UPLOAD_LIMIT_MB = 2048
READING = ("GET", "HEAD", "OPTIONS")


class LocalhostOnlyMiddleware:
    """Refuses other machines, unless `--conf remote_access true`; other web sites; and bodies above a limit.

    A site is another if it is not of this machine's name nor of one of `--conf host_names`.
    """

    def __init__(self, app: ASGIApp):
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or answer 403 or 413."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        conf: dict[str, Any] = settings.MONAI_LABEL_APP_CONF
        refusal = _refusal(scope, conf)
        if refusal:
            await JSONResponse({"detail": refusal}, 403)(scope, receive, send)
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


def _refusal(scope: Scope, conf: Mapping[str, Any]) -> str:
    """Say why a request is refused; empty where it is not."""
    open_to_all = str(conf.get("remote_access", "false")).lower() == "true"
    headers = {name: value.decode("latin-1") for name, value in scope["headers"]}
    host, origin = headers.get(b"host", ""), headers.get(b"origin", "")
    names = str(conf.get("host_names", "")).replace(",", " ").split()
    client = _address(scope)
    if client and not client.is_loopback and not open_to_all:
        return (
            "This server answers its own machine only, since it has no log-in. Put a reverse proxy with "
            "authentication in front of it, or start it with --conf remote_access true."
        )
    if client and not open_to_all and not _is_of_this_machine(host, names):
        return f"This server is not called {host!r}. If a proxy calls it so, start it with --conf host_names NAME."
    if scope["method"] in READING or not origin or origin in settings.MONAI_LABEL_CORS_ORIGINS:
        return ""
    site = urlsplit(origin)
    if site.netloc == host or site.hostname in names:
        return ""
    return f"The web site {origin} may not change anything here. If it is yours, start with --conf host_names NAME."


def _address(scope: Scope) -> IPv4Address | IPv6Address | None:
    """Give the address that a request comes from; None for a Unix socket, or a test client."""
    try:
        return ip_address((scope.get("client") or ("",))[0].partition("%")[0])
    except ValueError:
        return None


def _is_of_this_machine(host: str, names: Sequence[str]) -> bool:
    """Tell whether the header Host names this machine. A site whose name was made to point here sends its own."""
    name = urlsplit(f"//{host}").hostname or ""
    try:
        return ip_address(name).is_loopback
    except ValueError:
        return name == "localhost" or name in names


def patch_access(app: FastAPI) -> None:
    """Put a `LocalhostOnlyMiddleware` in front, and drop CORS unless MONAI_LABEL_CORS_ORIGINS names who may read."""
    ours = [m for m in app.user_middleware if m.cls not in (CORSMiddleware, LocalhostOnlyMiddleware)]
    theirs = [m for m in app.user_middleware if m.cls is CORSMiddleware and settings.MONAI_LABEL_CORS_ORIGINS]
    app.user_middleware = [*theirs, Middleware(LocalhostOnlyMiddleware), *ours]
    app.middleware_stack = app.build_middleware_stack()  # the app runs by now, with the stack it started with
