"""Labels that clients submit: by whom, drawn on which version, and in the place of whose.

Defects of MONAI Label 0.8.5: the name of who submits a label is not kept; and of two people who label one study at
once, the later one destroys what the earlier one did, and neither learns of it.
"""

import json
from typing import Any

from fastapi import BackgroundTasks, UploadFile
from fastapi.responses import JSONResponse
from monailabel.endpoints import datastore
from monailabel.interfaces.datastore import DefaultLabelTag
from monailabel.interfaces.utils.app import app_instance

from lib.server.submissions import StaleLabelError, checked_params
from lib.server.users import UNKNOWN

__all__ = ["patch_submitting"]


def patch_submitting() -> None:
    """Keep the author of a label, whatever the client's own `params` say; tell what it replaced, or why it did not."""
    original = getattr(datastore.save_label, "__wrapped__", datastore.save_label)

    def save_label(
        background_tasks: BackgroundTasks, image: str, params: str, tag: str, label: UploadFile, user: str | None = None
    ) -> Any:
        said = checked_params(json.loads(params) if params else {}, user or UNKNOWN)
        try:
            answer = original(background_tasks, image, json.dumps(said), tag, label, user)
        except StaleLabelError as error:
            return JSONResponse(app_instance().submits.conflict(image, error), 409)
        if tag and tag != DefaultLabelTag.FINAL:
            return answer
        knowing = said["drawn_on"] is not None
        return {**answer, **app_instance().submits.outcome(image, said["version"], knowing=knowing)}

    save_label.__wrapped__ = original  # type: ignore[attr-defined]
    datastore.save_label = save_label
