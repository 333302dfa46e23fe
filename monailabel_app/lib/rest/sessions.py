"""Prompts by REST: what a client asked for on an image, with undo and redo."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query
from monailabel.config import RBAC_USER, settings
from monailabel.endpoints.user.auth import RBAC, User
from monailabel.interfaces.utils.app import app_instance
from pydantic import BaseModel, ConfigDict, Field

from lib.sessions.prompts import PromptHistory, Prompts
from lib.sessions.store import LONGEST_CLIENT, Owner

__all__ = ["clicks_router"]

Reader = Annotated[User, Depends(RBAC(settings.MONAI_LABEL_AUTH_ROLE_USER))]
Image = Annotated[str, Query(min_length=1, description="name of the image, or SeriesInstanceUID on a DICOM server")]
Client = Annotated[
    str,
    Query(
        min_length=1,
        max_length=LONGEST_CLIENT,
        description="`client_id` in the `params` of the client's inferences: any text that no other client sends",
    ),
]

LIVER: dict[str, Any] = {
    "model": "oneshot_click_one",
    "label": "liver",
    "params": {"foreground": [[120, 80, 14], [96, 70, 14]]},
}
FEWER: dict[str, Any] = {**LIVER, "params": {"foreground": [[120, 80, 14]]}}

clicks_router = APIRouter(prefix="/sessions/clicks", tags=["Sessions"])


class PromptsAnswer(BaseModel):
    """What a client asks a model for; send it once more to see its answer."""

    model_config = ConfigDict(json_schema_extra={"example": LIVER})

    model: str
    label: str = Field(description="empty where the model takes prompts on all labels together")
    params: dict[str, Any] = Field(description="as they were sent to /infer; empty where there are none (any more)")


class ClicksAnswer(BaseModel):
    """Prompts of a client on an image."""

    model_config = ConfigDict(
        json_schema_extra={"example": {"prompts": [LIVER], "undo": 1, "redo": 1, "changed": LIVER}}
    )

    prompts: list[PromptsAnswer] = Field(description="in force, what was changed last at the end")
    undo: int = Field(description="steps that can be undone")
    redo: int = Field(description="steps that can be redone")
    changed: PromptsAnswer | None = Field(
        description="what this undo or redo changed, as it is now; null where there was nothing to change"
    )


@clicks_router.get("", summary=f"{RBAC_USER}Prompts of a client on an image")
def get_clicks(image: Image, client_id: Client, user: Reader) -> ClicksAnswer:
    """Tell what the client's inferences asked for, so that a page which is loaded anew can go on.

    Each inference of a click model that is answered and says its `client_id` is a step.
    """
    return _answer(app_instance().prompts.read(Owner(user.username, client_id, image)))


@clicks_router.post("/undo", summary=f"{RBAC_USER}Undo the last change of the prompts")
def undo_clicks(image: Image, client_id: Client, user: Reader) -> ClicksAnswer:
    """Undo a step. To see its effect, send `changed` as an inference; with empty `params` there is nothing to show."""
    return _answer(*app_instance().prompts.undo(Owner(user.username, client_id, image)))


@clicks_router.post("/redo", summary=f"{RBAC_USER}Redo the change of the prompts that was undone last")
def redo_clicks(image: Image, client_id: Client, user: Reader) -> ClicksAnswer:
    """Redo a step, as long as nothing else was asked for since it was undone."""
    return _answer(*app_instance().prompts.redo(Owner(user.username, client_id, image)))


@clicks_router.delete("", summary=f"{RBAC_USER}Forget the prompts of a client on an image")
def forget_clicks(image: Image, client_id: Client, user: Reader) -> ClicksAnswer:
    """Begin anew, as after a label was submitted; this cannot be undone."""
    app_instance().prompts.forget(Owner(user.username, client_id, image))
    return _answer(PromptHistory())


def _answer(history: PromptHistory, changed: Prompts | None = None) -> ClicksAnswer:
    return ClicksAnswer(
        prompts=[PromptsAnswer(**one.content()) for one in history.prompts],
        undo=history.done,
        redo=len(history.steps) - history.done,
        changed=PromptsAnswer(**changed.content()) if changed else None,
    )
