"""Auto-segmentation: all labels that were ever submitted, in one image."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from monailabel.interfaces.tasks.infer_v2 import InferType

from lib.answers import Latencies
from lib.context import Context
from lib.engine import Scan
from lib.infers.task import SegmentationTask, image_of
from protoseg.data.support.library import LibraryState
from protoseg.engine.prediction import Prediction
from protoseg.errors import InputError
from protoseg.labels import LabelSet

__all__ = ["OneShot"]


class OneShot(SegmentationTask):
    """Segments the labels of all submitted label maps. OHIF's "Class Prompts" may ask for some of them."""

    def __init__(self, context: Context) -> None:
        super().__init__(context, InferType.SEGMENTATION, "Finds every structure that is labelled in other images")

    def offered(self) -> LabelSet:
        """Give the labels that were submitted."""
        return self.context.library.state.labels

    def labelled(self, request: Mapping[str, Any]) -> LibraryState:
        """Give the whole library, which must not be empty."""
        return self.context.support(image_of(request))

    def segment(
        self, scan: Scan, labelled: LibraryState, request: Mapping[str, Any], latencies: Latencies
    ) -> tuple[Prediction, LabelSet]:
        """Segment all labels together, since they compete, and keep those that were asked for."""
        engine = self.context.engine
        labels = labelled.labels
        asked = _asked(request, labels)
        with latencies.stage("engine"):
            prediction = engine.segment(scan, labelled, self.settings(request))
        if len(asked) < len(labels):
            wanted = np.isin(prediction.label_map, list(asked.values()))
            prediction = replace(prediction, label_map=np.where(wanted, prediction.label_map, 0).astype(np.uint8))
        return prediction, asked


def _asked(request: Mapping[str, Any], labels: LabelSet) -> LabelSet:
    prompt = request.get("label_prompt")
    if not prompt:
        return labels
    values = prompt if isinstance(prompt, list) else [prompt]
    unknown = [value for value in values if value not in labels.values()]
    if unknown:
        known = ", ".join(f"{value} ({name})" for name, value in labels.items())
        raise InputError(f"label_prompt holds {unknown[0]!r}; the labels are {known}.")
    return labels.only([name for name, value in labels.items() if value in values])
