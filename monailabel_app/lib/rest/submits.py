"""Submitted labels by REST: every version of a study's label, undo and redo, and what was refused."""

from __future__ import annotations

import gzip
from typing import Annotated, Any

import numpy as np
from fastapi import APIRouter, Depends, HTTPException, Query, Request, Response
from fastapi.responses import FileResponse, JSONResponse
from monailabel.config import RBAC_ANNOTATOR, RBAC_USER, settings
from monailabel.endpoints.user.auth import RBAC, User
from monailabel.interfaces.utils.app import app_instance
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from lib.server.label_versions import LabelVersion, read_version

__all__ = [
    "BINARY",
    "EXAMPLE",
    "SubmitsAnswer",
    "VersionAnswer",
    "known_image",
    "submits_of",
    "submits_router",
    "voxels_answer",
]

Reader = Annotated[User, Depends(RBAC(settings.MONAI_LABEL_AUTH_ROLE_USER))]
Annotator = Annotated[User, Depends(RBAC(settings.MONAI_LABEL_AUTH_ROLE_ANNOTATOR))]
Image = Annotated[str, Query(min_length=1, description="name of the image, or SeriesInstanceUID on a DICOM server")]
Present = Annotated[
    str | None,
    Query(description="version that the client believes to be the present one; another is answered with 409"),
]
OCTETS = "application/octet-stream"
BINARY: dict[int | str, dict[str, Any]] = {
    200: {"content": {OCTETS: {"schema": {"type": "string", "format": "binary"}}}}
}

EXAMPLE: dict[str, Any] = {
    "version": "4be19f2c41d07a3b",
    "state": "current",
    "by": "anna",
    "at": "2026-03-01T09:30:00Z",
    "labels": {"liver": 148210, "spleen": 20144},
    "values": {"liver": 1, "spleen": 2},
    "replaces": "0a1b2c3d4e5f6071",
    "restored_from": "",
}
REFUSED = {
    **EXAMPLE,
    "version": "77aa01c2d3e4f506",
    "state": "refused",
    "by": "bob",
    "labels": {"liver": 151002},
    "values": {"liver": 1},
}

submits_router = APIRouter(
    prefix="/sessions/submits", tags=["Sessions"], responses={404: {"description": "There is no such image or version"}}
)


class VersionAnswer(BaseModel):
    """A label map of a study."""

    model_config = ConfigDict(json_schema_extra={"example": EXAMPLE})

    version: str = Field(description="to be sent as `drawn_on` with a label that is drawn on this one")
    state: str = Field(description="current, replaced, undone, or refused")
    by: str = Field(description="who submitted it; 'unknown' where no proxy named the user")
    at: str = Field(description="when, UTC; empty where nobody knows")
    labels: dict[str, int] = Field(description="voxels by label name; empty where the file cannot be read")
    values: dict[str, int] = Field(description="of the same labels in the label map")
    replaces: str = Field(description="the version before it; empty where there was none or nobody knows")
    restored_from: str = Field(description="the version that it is a copy of; empty where it was submitted")


class SubmitsAnswer(BaseModel):
    """The label of a study, and what is kept of it."""

    model_config = ConfigDict(
        json_schema_extra={"example": {"versions": [EXAMPLE, REFUSED], "undo": True, "redo": False}}
    )

    versions: list[VersionAnswer] = Field(description="the present one first, then the newest")
    undo: bool = Field(description="whether the last submit can be undone")
    redo: bool = Field(description="whether a submit can be redone")


class ChangeAnswer(BaseModel):
    """Voxels of a label in three label maps."""

    label: str
    drawn_on: int = Field(description="in the one that yours was drawn on")
    current: int = Field(description="in the one that is there now")
    yours: int


class ConflictAnswer(BaseModel):
    """Why a label is refused: someone else submitted one since."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "detail": "person7 was labelled by anna at 2026-03-01T09:30:00Z, after the label that yours ...",
                "current": EXAMPLE,
                "refused": REFUSED,
                "changes": [{"label": "liver", "drawn_on": 140000, "current": 148210, "yours": 151002}],
            }
        }
    )

    detail: str
    current: VersionAnswer | None = Field(description="the label that is there; null where it was removed")
    refused: VersionAnswer | None = Field(description="your label, which is kept; null where there is none to keep")
    changes: list[ChangeAnswer] = Field(description="labels whose voxels are not the same number in all three")


CONFLICT: dict[int | str, dict[str, Any]] = {409: {"model": ConflictAnswer}}


@submits_router.get("", summary=f"{RBAC_USER}All versions of the label of a study")
def list_submits(image: Image, user: Reader) -> SubmitsAnswer:
    """List the label, those before it, those that were undone, and uploads that were refused.

    A client that sends `drawn_on` with a label (`params` of `PUT /datastore/label`: a version, or "" for none) is
    answered 409 if someone else submitted one since; `"force": true` takes its place all the same. Without `drawn_on`
    the last label counts; the answer tells in `replaced` which one it took the place of. Nothing is lost either way.
    """
    return submits_of(known_image(image))


@submits_router.get(
    "/{version}",
    summary=f"{RBAC_USER}Label map of a version",
    response_class=FileResponse,
    responses=BINARY,
)
def get_version(version: str, image: Image, user: Reader) -> FileResponse:
    """Send the file as it was submitted; on a DICOM server, as NIfTI."""
    label = _find(known_image(image), version)
    return FileResponse(label.file, media_type=OCTETS, filename=f"{label.version}{label.ext}")


@submits_router.get(
    "/{version}/voxels",
    summary=f"{RBAC_USER}Voxels of a version as a viewer holds them",
    response_class=Response,
    responses=BINARY,
)
def get_voxels(version: str, image: Image, request: Request, user: Reader) -> Response:
    """Send the label map as one byte a voxel without a header, x running fastest; `values` tells the labels' names."""
    return voxels_answer(read_version(_find(known_image(image), version)), request)


def voxels_answer(voxels: NDArray[np.uint8], request: Request) -> Response:
    """Send voxels (X, Y, Z) as a viewer holds them, compressed if the client can read that."""
    content = voxels.tobytes(order="F")
    if "gzip" not in request.headers.get("accept-encoding", ""):
        return Response(content, media_type=OCTETS)
    return Response(gzip.compress(content, 1), media_type=OCTETS, headers={"Content-Encoding": "gzip"})


@submits_router.post(
    "/undo", summary=f"{RBAC_ANNOTATOR}Undo the last submit", response_model=SubmitsAnswer, responses=CONFLICT
)
def undo_submit(image: Image, user: Annotator, version: Present = None) -> Response | SubmitsAnswer:
    """Put the label before the last one in its place again, whoever submitted the last one; see `undo` of the answer.

    On a DICOM server a new DICOM SEG is written; the first label of a study can only be deleted in the library there.
    """
    return _moved("undo submit", image, user, app_instance().submits.undo(known_image(image), version))


@submits_router.post(
    "/redo",
    summary=f"{RBAC_ANNOTATOR}Redo the submit that was undone last",
    response_model=SubmitsAnswer,
    responses=CONFLICT,
)
def redo_submit(image: Image, user: Annotator, version: Present = None) -> Response | SubmitsAnswer:
    """Put a label that was undone in its place again, as long as no other was submitted since."""
    return _moved("redo submit", image, user, app_instance().submits.redo(known_image(image), version))


@submits_router.post(
    "/{version}/restore", summary=f"{RBAC_ANNOTATOR}Make a version the label again", response_model=SubmitsAnswer
)
def restore_version(version: str, image: Image, user: Annotator) -> Response | SubmitsAnswer:
    """Submit a version once more, a refused one, too; it keeps its author, and the label that is there is kept."""
    label = _find(known_image(image), version)
    if label.state == "current":
        return submits_of(image)
    return _moved("restore label", image, user, app_instance().submits.restore(label, user.username))


def _moved(what: str, image: str, user: User, moved: bool | dict[str, Any]) -> Response | SubmitsAnswer:
    app = app_instance()
    if isinstance(moved, dict):
        app.audit.write(user.username, what, image, 409)
        return JSONResponse(moved, 409)
    if moved:
        app.audit.write(user.username, what, image, 200)
        app.on_library_change()
    return submits_of(image)


def submits_of(image: str) -> SubmitsAnswer:
    """Tell of all versions of the label of an image."""
    submits = app_instance().submits
    versions = [VersionAnswer(**submits.describe(label)) for label in submits.versions(image)]
    return SubmitsAnswer(versions=versions, undo=submits.can_undo(image), redo=submits.can_redo(image))


def known_image(image: str) -> str:
    """Give an image's name back; `ImageNotFoundException` if there is no such image."""
    app_instance().datastore().get_image_uri(image)  # raises where there is none
    return image


def _find(image: str, version: str) -> LabelVersion:
    label = app_instance().submits.find(image, version)
    if label is None:
        raise HTTPException(404, f"There is no version {version[:80]!r} of the label of this image.")
    return label
