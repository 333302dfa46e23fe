"""The library by REST: list, look at, switch, remove, restore, export and import examples."""

from __future__ import annotations

import hashlib
import shutil
import sys
import tempfile
from pathlib import Path
from threading import Lock
from typing import Annotated, Any

from fastapi import APIRouter, BackgroundTasks, Depends, File, HTTPException, Query, Request, Response, UploadFile
from fastapi.responses import FileResponse
from monailabel.config import RBAC_ADMIN, RBAC_USER, settings
from monailabel.endpoints.user.auth import RBAC, User
from monailabel.interfaces.utils.app import app_instance

from lib.library.archive import write_archive
from lib.library.examples import Example
from lib.library.importing import import_archive
from lib.library.thumbnails import render
from lib.rest.carrying import carrying_router
from lib.rest.models import (
    ChangeRequest,
    ExampleAnswer,
    ImportAnswer,
    LibraryAnswer,
    RemovalAnswer,
    describe,
    describe_removal,
)
from lib.rest.page import page_router, replace_first_page
from lib.rest.sessions import clicks_router
from lib.rest.status import status_router
from lib.rest.submits import submits_router
from protoseg.errors import InputError
from protoseg.labels import LabelSet

__all__ = ["library_router", "serve_library"]

ZIP = "application/zip"
Reader = Annotated[User, Depends(RBAC(settings.MONAI_LABEL_AUTH_ROLE_USER))]
Manager = Annotated[User, Depends(RBAC(settings.MONAI_LABEL_AUTH_ROLE_ADMIN))]

importing = Lock()  # one archive at a time: each may be as large as the memory allows
library_router = APIRouter(
    prefix="/library", tags=["Library"], responses={404: {"description": "There is no such example"}}
)


@library_router.get("/", summary=f"{RBAC_USER}List the examples, and what was removed")
def list_library(user: Reader) -> LibraryAnswer:
    """List all examples with their labels, slices, authors and provenance; of studies first, then imported ones."""
    examples = app_instance().examples
    listed = examples.listed()
    values = _values(listed)
    removed = [describe_removal(removal) for removal in examples.removed()]
    return LibraryAnswer(examples=[describe(example, values) for example in listed], removed=removed)


@library_router.get("/examples/{example_id}", summary=f"{RBAC_USER}Describe an example")
def get_example(example_id: str, user: Reader) -> ExampleAnswer:
    """Describe one example."""
    return _described(_find(example_id))


@library_router.get(
    "/examples/{example_id}/thumbnail",
    summary=f"{RBAC_USER}Picture of an example with its labels laid over it",
    response_class=Response,
    responses={200: {"content": {"image/png": {"schema": {"type": "string", "format": "binary"}}}}},
)
def get_thumbnail(
    example_id: str,
    request: Request,
    user: Reader,
    slice: Annotated[
        int | None, Query(description="index of the slice; the one with most labelled area if not given")
    ] = None,
    size: Annotated[int, Query(ge=32, le=1024, description="edge of the picture in pixels")] = 256,
) -> Response:
    """Draw a slice of an example, radiological view: the patient's right is on the left."""
    example = _find(example_id)
    values = _values([example])
    mark = f'"{hashlib.sha256(repr((example.version, sorted(values.items()), slice, size)).encode()).hexdigest()[:32]}"'
    headers = {"ETag": mark, "Cache-Control": "private, no-cache", "Cross-Origin-Resource-Policy": "same-origin"}
    if request.headers.get("if-none-match") == mark:
        return Response(status_code=304, headers=headers)
    app = app_instance()
    support = app.examples.support(example)
    picture = render(
        support,
        [values[name] for name in support.labels],
        slice_index=slice,
        adjacent_slices=app.context.library.adjacent_slices,
        edge=size,
    )
    return Response(picture, media_type="image/png", headers=headers)


@library_router.patch("/examples/{example_id}", summary=f"{RBAC_ADMIN}Switch an example on or off, or weigh it")
def change_example(example_id: str, change: ChangeRequest, user: Manager) -> ExampleAnswer:
    """Let an example serve, no longer, or for less: a weight of 0.5 halves its votes about what other studies show.

    It stays so when the server restarts, until its study is labelled anew.
    """
    example = _find(example_id)
    if change.enabled is not None:
        app_instance().examples.switch(example, enabled=change.enabled)
        _note(user, "enable example" if change.enabled else "disable example", example.study)
    if change.weight is not None:
        app_instance().examples.weigh(example, change.weight)
        _note(user, "weigh example", example.study, weight=f"{change.weight:g}")
    return _described(_find(example_id))


@library_router.delete("/examples/{example_id}", summary=f"{RBAC_ADMIN}Remove an example, restorably")
def remove_example(example_id: str, user: Manager) -> RemovalAnswer:
    """Take an example out of the library. Nothing is lost: its label is kept and can be restored.

    In a folder of studies the label map moves into the app's folder (.protoseg/removed). On a DICOM server the DICOM
    SEG stays and is passed over: DICOMweb cannot delete. An imported example stays in .protoseg/imported.
    """
    example = _find(example_id)
    removal = app_instance().examples.remove(example, user.username)
    _note(user, "remove example", example.study, removal=removal.id)
    return describe_removal(removal)


@library_router.post("/removed/{removal_id}/restore", summary=f"{RBAC_ADMIN}Restore an example that was removed")
def restore_example(removal_id: str, user: Manager) -> LibraryAnswer:
    """Put an example back as it was; refused where its study was labelled again in the meantime."""
    examples = app_instance().examples
    removal = next((one for one in examples.removed() if one.id == removal_id), None)
    if removal is None:
        raise HTTPException(404, f"There is nothing removed with the id {removal_id[:80]!r}.")
    examples.restore(removal)
    _note(user, "restore example", removal.study, removal=removal.id)
    return list_library(user)


@library_router.get(
    "/export",
    summary=f"{RBAC_USER}All examples as one file",
    response_class=FileResponse,
    responses={200: {"content": {ZIP: {"schema": {"type": "string", "format": "binary"}}}}},
)
def export_library(background_tasks: BackgroundTasks, user: Reader) -> FileResponse:
    """Send a ZIP archive: library.json with who, when and whence, and a support for each example (safetensors).

    It holds slices of the patients' images: protect it as you protect these.
    """
    folder = Path(tempfile.mkdtemp())
    background_tasks.add_task(shutil.rmtree, folder, ignore_errors=True)
    try:
        examples = app_instance().examples
        write_archive(folder / "library.zip", examples, examples.listed(), user.username)
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    _note(user, "export library")
    return FileResponse(folder / "library.zip", media_type=ZIP, filename="protoseg-library.zip")


@library_router.post("/import", summary=f"{RBAC_ADMIN}Add the examples of an exported file")
def import_library(
    file: Annotated[UploadFile, File(description="as /library/export sent it")], user: Manager
) -> ImportAnswer:
    """Take all examples of an archive in, or none of them; what is there already is not taken twice.

    They must have been made with the same preprocessing, such as image_size; the weights may be others.
    """
    with importing, tempfile.TemporaryDirectory() as folder:
        archive = Path(folder) / "library.zip"
        with archive.open("wb") as copy:
            shutil.copyfileobj(file.file, copy)
        try:
            outcome = import_archive(archive, app_instance().examples, user.username)
        except InputError:
            app_instance().audit.write(user.username, "import library", "", 400)
            raise
    _note(user, "import library", examples=str(len(outcome.imported)))
    return ImportAnswer(imported=outcome.imported, already_there=outcome.already_there)


def serve_library() -> None:
    """Add all this to the server, once; there is none in the processes that train and score."""
    server = sys.modules.get("monailabel.app")
    if server is not None and replace_first_page(server.app):
        for router in (page_router, status_router, clicks_router, submits_router, carrying_router, library_router):
            server.app.include_router(router)
        server.app.openapi_schema = None  # is made anew when it is asked for


def _find(example_id: str) -> Example:
    example = app_instance().examples.find(example_id)
    if example is None:
        raise HTTPException(404, f"There is no example {example_id[:80]!r}. GET /library/ lists them all.")
    return example


def _described(example: Example) -> ExampleAnswer:
    return describe(example, _values([example]))


def _values(examples: list[Example]) -> LabelSet:
    names = [name for example in examples if example.sketch for name in example.sketch.labels]
    return app_instance().context.registry.values(names)


def _note(user: User, what: str, study: str = "", **details: Any) -> None:
    app = app_instance()
    app.audit.write(user.username, what, study, 200, **details)
    app.on_library_change()
