"""Requests that are written into the app's audit log.

Defect of MONAI Label 0.8.5: nothing tells afterwards who labelled, removed or trained what.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

from fastapi import HTTPException
from monailabel.interfaces.utils.app import app_instance

from lib.server.users import UNKNOWN

__all__ = ["audited"]


class Act(NamedTuple):
    """The action of an endpoint, and its arguments for the log."""

    what: str
    study: str = ""  # name of the argument that names the study
    details: tuple[str, ...] = ()


ACTS = {
    "infer.api_run_inference": Act("infer", "image", ("model", "session_id")),
    "batch_infer.api_run": Act("infer", "images", ("model",)),
    "datastore.api_add_image": Act("add image", "image"),
    "datastore.api_remove_image": Act("remove image", "id"),
    "datastore.api_save_label": Act("submit", "image", ("tag",)),
    "datastore.api_remove_label": Act("remove label", "id", ("tag",)),
    "datastore.api_put_label_info": Act("change label info", "label", ("tag",)),
    "datastore.api_update_label_info": Act("change label info", "label", ("tag",)),
    "train.api_run": Act("train"),
    "train.api_run_model": Act("train", "", ("model",)),
    "train.api_stop": Act("stop training"),
    "model.api_update_model": Act("replace weights", "", ("model",)),
    "model.api_delete_model": Act("remove weights", "", ("model",)),
}


def audited(call: Callable[[], Any], endpoint: Callable, values: dict[str, Any]) -> Any:
    """Call an endpoint, and record what it did, or that it was refused."""
    act = ACTS.get(f"{endpoint.__module__.rpartition('.')[2]}.{endpoint.__name__}")
    if act is None:
        return call()
    status = 500
    try:
        answer = call()
        status = getattr(answer, "status_code", 200)
        return answer
    except HTTPException as error:
        status = error.status_code
        raise
    finally:
        who = getattr(values.get("user"), "username", UNKNOWN)
        study = _text(values.get(act.study))
        details = {name: _text(values.get(name)) for name in act.details if values.get(name)}
        app_instance().audit.write(who, act.what, study, status, **details)


def _text(value: Any) -> str:
    return str(getattr(value, "value", value) or "")  # an enumeration's word
