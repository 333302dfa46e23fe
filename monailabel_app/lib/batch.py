"""Batch inference: many images, one after the other."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

from monailabel.datastore.local import LocalDatastore
from monailabel.interfaces.tasks.batch_infer import BatchInferTask

from protoseg.errors import InputError

__all__ = ["PatientBatchInfer"]

logger = logging.getLogger(__name__)


class PatientBatchInfer(BatchInferTask):
    """MONAI Label's batch inference, except that an image that cannot be segmented does not end it.

    It also works without a GPU: MONAI Label divides the images among zero GPUs there.
    """

    def __call__(self, request: dict[str, Any], datastore: LocalDatastore, infer: Callable) -> dict[str, Any]:
        """Segment the images that `request["images"]` names: "all", "labeled", "unlabeled" or a list.

        Returns:
            Answers of the model by image; an "error" for images that cannot be segmented.
        """

        def infer_patiently(one: dict[str, Any], store: LocalDatastore) -> dict[str, Any]:
            try:
                return infer(one, store)
            except InputError as error:
                logger.warning("%s is not segmented. %s", one["image"], error)
                return {"error": str(error)}

        return super().__call__({**request, "multi_gpu": False, "max_workers": 1}, datastore, infer_patiently)
