"""The models for clicks: from one click on a slice to the whole organ."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from monailabel.interfaces.tasks.infer_v2 import InferType
from numpy.typing import NDArray

from lib.accepted import accepted_label
from lib.answers import Latencies
from lib.click_sessions import ClickSessions
from lib.clicks import Point, all_points, boxes_of, points_of
from lib.context import Context
from lib.engine import Scan
from lib.infers.task import SegmentationTask, image_of, option
from protoseg.data.support.library import LibraryState
from protoseg.engine.clicks.box import Box
from protoseg.engine.clicks.click import Click
from protoseg.engine.prediction import Prediction
from protoseg.errors import InputError
from protoseg.labels import LabelSet

__all__ = ["UNNAMED", "AllLabelsClick", "OneLabelClick", "label_of", "one_label", "with_label"]

UNNAMED = "structure"  # name of a label without one
SIGNS = {"foreground": True, "background": False}


class _ClickTask(SegmentationTask):
    """A model that is clicked on."""

    def __init__(self, context: Context, sessions: ClickSessions, kind: InferType, description: str) -> None:
        super().__init__(context, kind, description)
        self.sessions = sessions

    def offered(self) -> LabelSet:
        """Give the labels that were submitted, and those in the app's options."""
        names = [*self.context.library.state.labels, *self.context.options.labels]
        return self.context.registry.values(names) if names else LabelSet({UNNAMED: 1})

    def predict(
        self,
        scan: Scan,
        request: Mapping[str, Any],
        labels: LabelSet,
        labelled: LibraryState,
        clicks: list[Click],
        accepted: NDArray[np.uint8] | None = None,
        boxes: Sequence[Box] = (),
    ) -> Prediction:
        """Segment a scan by clicks on these labels, or correct their accepted masks."""
        client, image = str(request.get("client_id")), image_of(request)
        # The user is waiting, and sees the quality: an estimate would double the time.
        settings = replace(self.settings(request), estimate_quality=False)
        with self.sessions.session(
            client, image, scan, labels=labels, labelled=labelled, settings=settings, accepted=accepted
        ) as session:
            return session.segment(clicks, boxes)


class AllLabelsClick(_ClickTask):
    """Clicks on any of the labels, which are segmented together with all others (the viewers' "deepedit")."""

    def __init__(self, context: Context, sessions: ClickSessions) -> None:
        description = "Click on structures: each is found in all slices of the image"
        super().__init__(context, sessions, InferType.DEEPEDIT, description)

    def prompted_label(self, request: Mapping[str, Any]) -> str | None:
        """Name all labels: each request holds the clicks on every one."""
        return ""

    def labelled(self, request: Mapping[str, Any]) -> LibraryState:
        """Give all that was labelled; perhaps nothing."""
        return self.context.labelled(image_of(request))

    def segment(
        self, scan: Scan, labelled: LibraryState, request: Mapping[str, Any], latencies: Latencies
    ) -> tuple[Prediction, LabelSet]:
        """Segment all labels by the clicks on any of them; a click on "background" is on none of them."""
        labels = self.offered().merge(labelled.labels)
        clicks = _clicks(all_points(request, labels, scan.grid), labels)
        with latencies.stage("engine"):
            prediction = self.predict(scan, request, labels, labelled, clicks)
        return prediction, labels.only(prediction.findings)


class OneLabelClick(_ClickTask):
    """Clicks on one label, whatever its name (the viewers' "deepgrow"): the answer holds that label as 1."""

    def __init__(self, context: Context, sessions: ClickSessions) -> None:
        description = "Click on one structure of any name: it is found in all slices of the image"
        super().__init__(context, sessions, InferType.DEEPGROW, description)

    def prompted_label(self, request: Mapping[str, Any]) -> str | None:
        """Name the label that was clicked on."""
        return _clicked_on(request)

    def labelled(self, request: Mapping[str, Any]) -> LibraryState:
        """Give the library, if it has the label that was clicked on."""
        return with_label(_clicked_on(request), self.context.labelled(image_of(request)))

    def segment(
        self, scan: Scan, labelled: LibraryState, request: Mapping[str, Any], latencies: Latencies
    ) -> tuple[Prediction, LabelSet]:
        """Segment the label that was clicked on; or, if `corrects` names a version, correct it as it is there."""
        name = _clicked_on(request)
        points = {positive: points_of(request, key, scan.grid) for key, positive in SIGNS.items()}
        corrects = option(request, "corrects")
        accepted = accepted_label(self.context, image_of(request), corrects, name, scan.grid) if corrects else None
        boxes = boxes_of(request, name, scan.grid)
        if not points[True] and not boxes and name not in labelled.labels and accepted is None:
            raise InputError(f"There is no click on '{name}' yet. Click on it, and beside it where it is too large.")
        label = label_of(name, labelled)
        clicks = [Click(*point, name, positive) for positive in points for point in points[positive]]
        with latencies.stage("engine"):
            prediction = self.predict(scan, request, label, labelled, clicks, accepted, boxes)
        return one_label(prediction, label)


def with_label(name: str, labelled: LibraryState) -> LibraryState:
    """Keep the supports that hold a label: the others would only cost time."""
    holding = tuple(support for support in labelled.supports if name in support.labels)
    return replace(labelled, supports=holding) if holding else LibraryState()


def _clicked_on(request: Mapping[str, Any]) -> str:
    return str(option(request, "label") or UNNAMED)  # OHIF does not say which label is meant


def label_of(name: str, labelled: LibraryState) -> LabelSet:
    """Give a set of one label, with its value, or with one that no other label has."""
    return labelled.labels.with_names([name]).only([name])


def one_label(prediction: Prediction, label: LabelSet) -> tuple[Prediction, LabelSet]:
    """Keep one label of a prediction, which becomes 1."""
    ((name, value),) = label.items()
    return Prediction((prediction.label_map == value).astype(np.uint8), prediction.findings), LabelSet({name: 1})


def _clicks(points: Mapping[str, list[Point]], labels: LabelSet) -> list[Click]:
    """Make clicks on labels by name; on the background, one beside each label clicked on, or beside all."""
    beside = labels.only(points) or labels
    clicks = [Click(*point, name) for name in labels for point in points.get(name, [])]
    return clicks + [Click(*point, name, positive=False) for name in beside for point in points.get("background", [])]
