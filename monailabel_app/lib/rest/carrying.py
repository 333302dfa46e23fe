"""Labels of other series of a study by REST: which there are, and what they are on an image's own voxels."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Request, Response
from monailabel.config import RBAC_ANNOTATOR, RBAC_USER, settings
from monailabel.endpoints.user.auth import RBAC, User
from monailabel.interfaces.utils.app import app_instance
from pydantic import BaseModel, ConfigDict, Field

from lib.rest.submits import BINARY, EXAMPLE, SubmitsAnswer, VersionAnswer, known_image, submits_of, voxels_answer

__all__ = ["carrying_router"]

Reader = Annotated[User, Depends(RBAC(settings.MONAI_LABEL_AUTH_ROLE_USER))]
Annotator = Annotated[User, Depends(RBAC(settings.MONAI_LABEL_AUTH_ROLE_ANNOTATOR))]
Image = Annotated[str, Query(min_length=1, description="SeriesInstanceUID that labels are carried to")]
Source = Annotated[str, Query(min_length=1, description="SeriesInstanceUID whose label is carried")]

carrying_router = APIRouter(
    prefix="/sessions/carried", tags=["Sessions"], responses={404: {"description": "There is no such image"}}
)


class SourceAnswer(BaseModel):
    """A series whose label can be carried."""

    source: str = Field(description="SeriesInstanceUID")
    description: str = Field(description="SeriesDescription; empty where there is none")
    kind: str = Field(description="of the series, by its DICOM tags; empty where it is not known")
    label: VersionAnswer


class SourcesAnswer(BaseModel):
    """Series of a study whose labels can be carried to another one of it."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "sources": [{"source": "1.2.840.4", "description": "t2_haste", "kind": "MR T2", "label": EXAMPLE}]
            }
        }
    )

    sources: list[SourceAnswer]


@carrying_router.get("", summary=f"{RBAC_USER}Series whose labels can be carried to an image")
def list_sources(image: Image, user: Reader) -> SourcesAnswer:
    """List the other labelled series of the image's study that have its frame of reference."""
    app = app_instance()
    known_image(image)
    datastore = app.datastore()
    sources: list[dict[str, Any]] = [
        {
            "source": source,
            "description": datastore.series_place(source).description,
            "kind": datastore.series_kind(source),
            "label": app.submits.describe(label),
        }
        for source, label in app.carrying.sources(image)
    ]
    return SourcesAnswer(sources=[SourceAnswer(**one) for one in sources])


@carrying_router.get(
    "/voxels",
    summary=f"{RBAC_USER}Label of another series on an image's voxels",
    response_class=Response,
    responses=BINARY,
)
def get_carried(image: Image, source: Source, request: Request, user: Reader) -> Response:
    """Send what would be carried, by nearest neighbor, one byte a voxel, x running fastest; nothing is stored.

    Series of different frames of reference are refused.
    """
    voxels, _ = app_instance().carrying.label_map(known_image(image), known_image(source))
    return voxels_answer(voxels, request)


@carrying_router.post("", summary=f"{RBAC_ANNOTATOR}Carry the label of another series to an image, and store it")
def carry_label(image: Image, source: Source, user: Annotator) -> SubmitsAnswer:
    """Make the label of another series, on this one's voxels, the label of this one, unseen; it can be undone.

    Series of different frames of reference are refused.
    """
    app = app_instance()
    app.carrying.store(known_image(image), known_image(source), user.username)
    app.audit.write(user.username, "carry label", image, 200, source=source)
    app.on_library_change()
    return submits_of(image)
