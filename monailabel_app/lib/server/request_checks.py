"""Requests that are refused before anything is done with them.

Defects of MONAI Label 0.8.5: malformed JSON, unknown models, strategies and sessions answer 500 (training and scoring
start a process that then fails); `image` may be any path of the server's disk; the values of `params` overwrite the
image, and `result_extension` becomes part of a file name.
"""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from fastapi import HTTPException
from monailabel.interfaces.utils.app import app_instance

from lib.server.uploads import check_name

__all__ = ["check_request"]

RESULT_EXTENSIONS = (".nrrd", ".seg.nrrd", ".nii.gz", ".nii", ".mha", ".png", ".json", ".xml")
RESULT_TYPES = ("uint8", "uint16", "int16", "int32", "float32")
# Which of an app's registries holds the name that the path of an endpoint ends in.
REGISTRIES = {
    "infer": ("model", "_infers"),
    "wsi_infer": ("model", "_infers"),
    "batch_infer": ("model", "_infers"),
    "model": ("model", "_infers"),
    "train": ("model", "_trainers"),
    "scoring": ("method", "_scoring_methods"),
    "activelearning": ("strategy", "_strategies"),
}


def check_request(endpoint: Callable, values: dict[str, Any]) -> None:
    """Raise HTTPException 400 or 404, with a message for the user, if the endpoint cannot use these arguments."""
    module = endpoint.__module__.rpartition(".")[2]
    parameter, registry = REGISTRIES.get(module, ("", ""))
    if parameter in values:
        _check_known(parameter, values[parameter], getattr(app_instance(), registry))
    for name in ("params", "info"):
        if isinstance(values.get(name), str):
            options = _json_object(name, values[name] or "{}")
            if module == "infer":
                _check_options(options)
    if module in ("infer", "wsi_infer"):
        _check_image(values["image"], values["session_id"], uploaded=values.get("file") is not None)
    if module == "model" and app_instance().model_file(values["model"], validate=False) is None:
        raise HTTPException(404, f"The model {values['model']!r} keeps no weights in a file of its own.")
    for upload in values.get("files", ()):
        check_name(Path(upload.filename or "").name, of="file")
    if module == "proxy" and ".." in values["path"].split("/"):
        raise HTTPException(400, f"The path {values['path']!r} leaves the DICOMweb service.")


def _check_known(kind: str, name: str, known: dict[str, Any]) -> None:
    if name not in known:
        raise HTTPException(404, f"There is no {kind} {name!r}; this app has {', '.join(map(repr, known)) or 'none'}.")


def _json_object(name: str, text: str) -> dict[str, Any]:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise HTTPException(400, f"{name} is not JSON ({error}), expected an object such as {{}}.") from error
    if not isinstance(value, dict):
        raise HTTPException(400, f"{name} is {text[:80]}, expected a JSON object such as {{}}.")
    return value


def _check_options(options: dict[str, Any]) -> None:
    for name in ("model", "image", "session", "session_id"):
        if name in options:
            raise HTTPException(400, f"params holds {name!r}, which belongs into the address of the request.")
    label = options.get("label")
    if isinstance(label, str) and "/" in label:  # a label's name for clicks; a path only for what was uploaded
        raise HTTPException(400, f"params names the label {label!r}, expected a name without '/'.")
    for name, allowed in (("result_extension", RESULT_EXTENSIONS), ("result_dtype", RESULT_TYPES)):
        value = options.get(name)
        if value is not None and value not in allowed:
            raise HTTPException(400, f"{name} is {value!r}, expected one of {', '.join(allowed)}.")


def _check_image(image: str, session_id: str, *, uploaded: bool) -> None:
    app = app_instance()
    if session_id:
        if not app.sessions() or not app.sessions().get_session(session_id):
            raise HTTPException(404, f"There is no session {session_id!r}. It has expired; upload the image again.")
    elif not image and not uploaded:
        raise HTTPException(400, "The request names neither an image nor a session, and no file came with it.")
    elif image and image not in app.datastore().list_images():
        raise HTTPException(404, f"There is no image {image!r} in {app.datastore().name()}.")
