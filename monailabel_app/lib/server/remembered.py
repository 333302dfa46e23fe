"""Prompts of inferences, kept for the client that sent them so that they can be undone.

Defect of MONAI Label 0.8.5: the server forgets what was clicked; a page that is loaded anew begins from nothing.
"""

import json
from collections.abc import Callable, Mapping
from typing import Any

from monailabel.interfaces.utils.app import app_instance

from lib.server.users import UNKNOWN
from lib.sessions.prompts import Prompts
from lib.sessions.store import LONGEST_CLIENT, Owner

__all__ = ["remembered"]

# What a request says beside its prompts: how the answer is to be written, and by whom it was sent.
BESIDE_PROMPTS = {
    "client_id",
    "label",
    "reset_state",
    "restore_label_idx",
    "result_compress",
    "result_dtype",
    "result_extension",
    "save_label",
}


def remembered(call: Callable[[], Any], endpoint: Callable, values: dict[str, Any]) -> Any:
    """Call an endpoint; record the prompts of an inference that was answered and names its client."""
    answer = call()
    if endpoint.__name__ == "api_run_inference":
        params = json.loads(values["params"] or "{}")
        client, image = params.get("client_id"), values["image"] or values["session_id"]
        task = app_instance()._infers[values["model"]]
        label = task.prompted_label(params) if hasattr(task, "prompted_label") else None
        if label is not None and image and isinstance(client, str) and 0 < len(client) <= LONGEST_CLIENT:
            user = getattr(values.get("user"), "username", UNKNOWN)
            prompts = Prompts(values["model"], label, _prompts(params, task.config()))
            app_instance().prompts.record(Owner(user, client, image), prompts)
    return answer


def _prompts(params: Mapping[str, Any], options: Mapping[str, Any]) -> dict[str, Any]:
    beside = BESIDE_PROMPTS | options.keys()
    return {key: value for key, value in params.items() if key not in beside and value not in ([], {}, None, "")}
