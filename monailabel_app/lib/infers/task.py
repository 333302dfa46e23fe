"""The base of all models: from a request to a segmentation on the image's own voxels."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, get_args

from monailabel.interfaces.tasks.infer_v2 import InferTask, InferType

from lib.answers import Latencies, describe, write_answer
from lib.context import Context
from lib.engine import Scan
from protoseg.data.support.library import LibraryState
from protoseg.engine.one_shot import OneShotSettings, SupportSelection
from protoseg.engine.prediction import Prediction
from protoseg.errors import InputError
from protoseg.labels import LabelSet
from protoseg.moved import renamed_ids
from protoseg.ops.components import ComponentFilter

__all__ = ["SegmentationTask", "image_of", "option"]


class SegmentationTask(InferTask):
    """A model of the app.

    MONAI Label's own base class takes the request through MONAI's transforms and copies the image on the way; here
    scans stay prepared from one request to the next.

    Args:
        context: objects that the models share.
        kind: kind of model, which decides in which panels of the viewers it is offered.
        description: description for users.
    """

    def __init__(self, context: Context, kind: InferType, description: str) -> None:
        super().__init__(type=kind, labels=None, dimension=3, description=description)
        self.context = context

    def info(self) -> dict[str, Any]:
        """Describe the model for clients."""
        return {**super().info(), "labels": dict(self.offered())}

    def config(self) -> dict[str, Any]:
        """Give the choices for the user, each with the default first."""
        own = self.context.engine.settings
        return {
            "support_selection": sorted(get_args(SupportSelection), key=lambda choice: choice != own.support_selection),
            "component_filter": sorted(get_args(ComponentFilter), key=lambda rule: rule != own.component_filter),
        }

    def is_valid(self) -> bool:
        """Tell the server that the model can be used."""
        return True

    def get_path(self, validate: bool = True) -> str | None:
        """Give the adapted weights, which clients may fetch, replace or remove; never those that the bundle ships."""
        path = self.context.engine.adapted_weights
        if not validate:  # a client is about to write there
            path.parent.mkdir(parents=True, exist_ok=True)
        return str(path) if path.exists() or not validate else None

    def __call__(self, request: dict[str, Any]) -> tuple[str, dict[str, Any]]:
        """Segment the image at `request["image"]`.

        Returns:
            Path of the label map, and the findings about each label.

        Raises:
            InputError: the image or an option cannot be used, or nothing is labelled yet.
        """
        latencies = Latencies()
        with self.context.traffic.client():
            with latencies.stage("support"):
                labelled = self.labelled(request)
            with latencies.stage("load"):
                scan, labelled = self.context.engine.scan_for(request["image"], labelled)
            prediction, values = self.segment(scan, labelled, request, latencies)
            prediction = prediction.with_doubts(self.context.agreements.doubts)
            with latencies.stage("invert"):
                label_map = scan.grid.label_map(prediction.label_map)
            answer = describe(prediction, label_map, scan, values)
            with latencies.stage("write"):
                file = write_answer(label_map, scan.source, _suffix(request))
        answer["latencies"] = latencies.total()
        return str(file), answer

    def prompted_label(self, request: Mapping[str, Any]) -> str | None:
        """Name the label that a request's prompts are about; empty for all labels, None where the model takes none."""
        return None

    @abstractmethod
    def offered(self) -> LabelSet:
        """Give the labels that clients may ask for, with their values in the label map."""

    @abstractmethod
    def labelled(self, request: Mapping[str, Any]) -> LibraryState:
        """Give the library that serves a request."""

    @abstractmethod
    def segment(
        self, scan: Scan, labelled: LibraryState, request: Mapping[str, Any], latencies: Latencies
    ) -> tuple[Prediction, LabelSet]:
        """Segment a scan; also give name and value of the labels that the answer is about.

        Args:
            scan: scan with slices in the plane of the support.
            labelled: library in the scan's plane.
            request: request of the client.
            latencies: latencies of the stages.
        """

    def settings(self, request: Mapping[str, Any]) -> OneShotSettings:
        """Choose the settings of the segmentation by the request."""
        request = renamed_ids(request)
        chosen = {key: option(request, key) for key in self.config() if option(request, key) is not None}
        return replace(self.context.engine.settings, **chosen)


def option(request: Mapping[str, Any], key: str) -> Any:
    """Read an option of a request; OHIF sends the whole list of choices if the user made none."""
    value = request.get(key)
    return value[0] if isinstance(value, list) and value else value


def image_of(request: Mapping[str, Any]) -> str:
    """Give the name of a request's image for users, or its path if it was only uploaded."""
    return str(request.get("image_id") or request["image"])


def _suffix(request: Mapping[str, Any]) -> str:
    """Choose the suffix of the result: the requested one, the fastest for viewers, or the studies' for storage."""
    asked = option(request, "result_extension")
    if asked is None:
        return ".nii.gz" if request.get("save_label") else ".nrrd"
    if asked not in (".nrrd", ".nii.gz", ".nii", ".mha"):
        raise InputError(f"result_extension is {asked!r}; expected .nrrd, .nii.gz, .nii or .mha.")
    return str(asked)
