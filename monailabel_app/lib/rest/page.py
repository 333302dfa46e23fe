"""The server's own page, at `/`: in files, with nothing from elsewhere.

MONAI Label shows its interactive description of the API there, which loads its program from the internet; that one is
at /docs/try from here on.
"""

from __future__ import annotations

from pathlib import Path

from fastapi import APIRouter, FastAPI, HTTPException
from fastapi.responses import FileResponse
from fastapi.routing import APIRoute

__all__ = ["page_router", "replace_first_page"]

FOLDER = Path(__file__).with_name("page")
FILES = {
    "page.css": "text/css",
    "page.js": "text/javascript",
    "elements.js": "text/javascript",
    "icon.svg": "image/svg+xml",
}
HEADERS = {
    # No program, picture or style from anywhere else, nor written into the page, whatever a study is called.
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-cache",
}

page_router = APIRouter(include_in_schema=False)


@page_router.get("/")
def get_page() -> FileResponse:
    """Send the page."""
    return FileResponse(FOLDER / "index.html", media_type="text/html", headers=HEADERS)


@page_router.get("/page/{name}")
def get_part(name: str) -> FileResponse:
    """Send a part of the page."""
    if name not in FILES:
        raise HTTPException(404, f"The page has no part {name[:80]!r}.")
    return FileResponse(FOLDER / name, media_type=FILES[name], headers=HEADERS)


def replace_first_page(app: FastAPI) -> bool:
    """Move MONAI Label's first page out of the way; tell whether it was there."""
    for route in list(app.router.routes):
        if isinstance(route, APIRoute) and route.path == "/" and route.endpoint.__module__ == "monailabel.app":
            app.router.routes.remove(route)
            app.add_api_route("/docs/try", route.endpoint, include_in_schema=False)
            return True
    return False
