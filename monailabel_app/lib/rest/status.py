"""The state of the server, for its page and for programs that watch it."""

from __future__ import annotations

import time
from datetime import datetime
from typing import Annotated, Any

import requests
import torch
from fastapi import APIRouter, Depends
from monailabel.config import RBAC_USER, settings
from monailabel.endpoints.user.auth import RBAC, User
from monailabel.interfaces.utils.app import app_instance
from monailabel.utils.async_tasks.utils import tasks
from pydantic import BaseModel, ConfigDict, Field

from lib.rest.models import LabelAnswer
from lib.server.dicom_datastore import DicomDatastore
from lib.times import utc
from protoseg.data.io.anatomy_codes import label_color

__all__ = ["status_router"]

SHOWN_JOBS = 10
KINDS = {"train": "training", "batch_infer": "batch inference", "scoring": "scoring"}
STATES = {"SUBMITTED": "waiting", "RUNNING": "running", "DONE": "done", "ERROR": "failed", "STOPPED": "stopped"}

status_router = APIRouter(prefix="/status", tags=["App"])


class JobAnswer(BaseModel):
    """Work that a user ordered and did not wait for."""

    kind: str
    state: str = Field(description="waiting, running, done, failed or stopped")
    started: str = Field(description="UTC")
    ended: str = Field(description="UTC; empty while it runs")
    progress: float | None = Field(description="share that is done, 0 to 1; null where it is not known")
    message: str


class StatusAnswer(BaseModel):
    """State of the server."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "name": "protoseg",
                "version": "0.1.0",
                "weights": "5f1c09ab77de3412",
                "adapted": False,
                "device": "cpu, 2 threads",
                "studies": "folder",
                "images": 12,
                "labelled": 3,
                "labels": [{"name": "liver", "value": 1, "color": [221, 130, 101], "slices": []}],
                "jobs": [],
                "ohif": "",
                "user": "anna",
                "roles": ["annotate", "manage"],
                "problem": "",
            }
        }
    )

    name: str
    version: str
    weights: str = Field(description="fingerprint of the weights in use")
    adapted: bool = Field(description="whether these were trained on the studies here")
    device: str
    studies: str = Field(description="folder, or DICOM server")
    images: int
    labelled: int
    labels: list[LabelAnswer] = Field(description="what can be segmented now")
    jobs: list[JobAnswer] = Field(description="the last ones, the newest first")
    ohif: str = Field(description="address of the viewer OHIF; empty where the studies are a folder")
    user: str = Field(description="name of who asks, as the proxy tells it")
    roles: list[str] = Field(description="what that user may do beside looking; all, where no roles are configured")
    problem: str = Field(description="why the studies cannot be listed; empty where they can")


@status_router.get("/", summary=f"{RBAC_USER}State of the server")
def get_status(user: Annotated[User, Depends(RBAC(settings.MONAI_LABEL_AUTH_ROLE_USER))]) -> StatusAnswer:
    """Tell weights, device, studies, labels and the last jobs."""
    app = app_instance()
    engine, datastore = app.context.engine, app.datastore()
    encoder = engine.encoder()
    counts, problem = {"total": 0, "completed": 0}, ""
    try:
        counts = datastore.status()
    except requests.RequestException as error:
        problem = f"The DICOM server cannot be reached: {error}"
    on_server = isinstance(datastore, DicomDatastore)
    labels = app.context.library.state.labels
    return StatusAnswer(
        name=app.name,
        version=app.version,
        weights=encoder.fingerprint(),
        adapted=encoder.fingerprint() != engine.adapted_weights.stem,
        device=_device(next(encoder.network.parameters()).device),
        studies="DICOM server" if on_server else "folder",
        images=counts["total"],
        labelled=counts["completed"],
        labels=[
            LabelAnswer(name=name, value=value, color=label_color(name, value), slices=[])
            for name, value in labels.items()
        ],
        jobs=_jobs(app),
        ohif="/ohif/" if on_server else "",
        user=user.username,
        roles=app.access.roles(user),
        problem=problem,
    )


def _device(device: torch.device) -> str:
    if device.type == "cuda":
        return f"{device}, {torch.cuda.get_device_name(device)}"
    threads = torch.get_num_threads()
    return f"{device}, {threads} thread{'s' if threads > 1 else ''}"


def _jobs(app: Any) -> list[JobAnswer]:
    found = [_job(kind, task) for kind in KINDS for task in list(tasks(kind))[-SHOWN_JOBS:]]
    stats = app._trainers["adapt"].stats() if "adapt" in app._trainers else {}
    training = [job for job in found if job.kind == KINDS["train"]]
    if stats and training and training[-1].state in ("running", "done", "failed"):
        training[-1].progress = _progress(stats)
        training[-1].message = str(stats.get("message", ""))
    elif stats and not training:  # of before the server started
        ended = "" if stats["state"] == "running" else _ended(stats)
        found.append(
            JobAnswer(
                kind=KINDS["train"],
                state=stats["state"],
                started=utc(stats["start_ts"]),
                ended=ended,
                progress=_progress(stats),
                message=str(stats.get("message", "")),
            )
        )
    return sorted(found, key=lambda job: job.started, reverse=True)[:SHOWN_JOBS]


def _job(kind: str, task: dict[str, Any]) -> JobAnswer:
    return JobAnswer(
        kind=KINDS[kind],
        state=STATES.get(task["status"], str(task["status"]).lower()),
        started=_utc_of_local(task["start_ts"]),
        ended=_utc_of_local(task.get("end_ts", "")),
        progress=None,
        message="",
    )


def _progress(stats: dict[str, Any]) -> float | None:
    total = stats.get("total_iterations")
    return round(stats.get("iteration", 0) / total, 3) if total else None


def _ended(stats: dict[str, Any]) -> str:
    hours, minutes, seconds = map(int, stats["total_time"].split(":"))
    return utc(stats["start_ts"] + 3600 * hours + 60 * minutes + seconds)


def _utc_of_local(text: str) -> str:
    """MONAI Label's jobs tell the local time."""
    return utc(time.mktime(datetime.strptime(text, "%Y-%m-%d %H:%M:%S").timetuple())) if text else ""
