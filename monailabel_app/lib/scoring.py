"""Scores of unlabelled images, by which the next one to label is chosen."""

from __future__ import annotations

import logging
from abc import abstractmethod
from collections.abc import Iterator
from statistics import fmean
from typing import Any

import torch
from monailabel.datastore.local import LocalDatastore
from monailabel.interfaces.tasks.scoring import ScoringMethod

from lib.context import Context
from protoseg.data.preprocessing.steps import transform_key
from protoseg.engine.scan_coverage import scan_descriptors
from protoseg.errors import InputError
from protoseg.matching.coreset import uncovered
from protoseg.ops.hashing import fingerprint, source_state
from protoseg.ops.lru import LRUCache

__all__ = ["Certainty", "Novelty"]

logger = logging.getLogger(__name__)

DESCRIPTOR_BYTES = 2**26  # kept of scans seen before, some 130 kB each


class _Score(ScoringMethod):
    """Scores images one by one, pausing while a client waits; images that have a score are skipped.

    Args:
        context: objects that the app shares.
        key: key of the score in the datastore.
        description: description for users.
    """

    def __init__(self, context: Context, key: str, description: str) -> None:
        super().__init__(description)
        self.context = context
        self.key = key

    def __call__(self, request: dict[str, Any], datastore: LocalDatastore) -> dict[str, float]:
        """Score the images without a final label.

        Returns:
            New scores by image.
        """
        new = {}
        # Only images that are here: scores are no reason to fetch a whole hospital from its DICOM server.
        here = set(LocalDatastore.list_images(datastore))
        for image in sorted(here.intersection(datastore.get_unlabeled_images())):
            self.context.traffic.wait_until_none()
            try:
                basis = self._basis(datastore.get_image_uri(image))
                if basis is None or datastore.get_image_info(image).get(f"{self.key}_basis") == basis:
                    continue
                new[image] = self._score(datastore.get_image_uri(image))
            except InputError as error:
                logger.warning("%s is not scored. %s", image, error)
                continue
            datastore.update_image_info(image, {self.key: new[image], f"{self.key}_basis": basis})
        return new

    @abstractmethod
    def _basis(self, path: str) -> str | None:
        """Give the digits that stand for the score's inputs; None if there are none."""

    @abstractmethod
    def _score(self, path: str) -> float: ...


class Certainty(_Score):
    """The Dice that the engine expects of its own segmentation: the mean over labels, 0 for those not found."""

    def __init__(self, context: Context) -> None:
        super().__init__(context, "estimated_dice", "Dice that the segmentation of each image is expected to have")

    def _basis(self, path: str) -> str | None:
        engine, labelled = self.context.engine, self.context.labelled()
        if not labelled.support:
            return None
        return fingerprint(source_state(path), labelled.key, engine.settings, engine.encoder().matching)

    def _score(self, path: str) -> float:
        engine = self.context.engine
        # Refining may take minutes a scan, and would not tell more about how certain the engine is.
        scan, labelled = engine.scan_for(path, self.context.support())
        prediction = engine.segment(scan, labelled, engine.settings, refined=False)
        return round(fmean(finding.estimated_dice or 0.0 for finding in prediction.findings.values()), 4)


class Novelty(_Score):
    """The unlikeness of an image to the labelled ones: the mean distance of its slices to their nearest slices."""

    def __init__(self, context: Context) -> None:
        super().__init__(context, "novelty", "How little each image looks like those that are labelled")
        self._known = LRUCache(DESCRIPTOR_BYTES)

    def _basis(self, path: str) -> str | None:
        labelled = [source_state(other) for other in self._covering()]
        engine = self.context.engine
        prepared = transform_key(engine.parts.preprocessing), engine.parts.image_size
        return fingerprint(source_state(path), labelled, engine.encoder().fingerprint(), prepared)

    def _covering(self) -> Iterator[str]:
        """Yield labelled images; while there are none, all images, so that the most typical one comes first."""
        datastore = self.context.datastore
        for image in sorted(self._labelled() or LocalDatastore.list_images(datastore)):
            yield datastore.get_image_uri(image)

    def _labelled(self) -> list[str]:
        return LocalDatastore.get_labeled_images(self.context.datastore)

    def _score(self, path: str) -> float:
        covering = [look for other in self._covering() if other != path for look in self._readable(other)]
        if not covering:
            return 0.0
        distance = float(uncovered(self._descriptors(path), torch.cat(covering)).mean())
        return round(distance if self._labelled() else -distance, 4)

    def _readable(self, path: str) -> list[torch.Tensor]:
        """Describe one image; give no descriptors of an unreadable one, which must not stop the scoring of others."""
        try:
            return [self._descriptors(path)]
        except InputError:
            return []

    def _descriptors(self, path: str) -> torch.Tensor:
        engine, encoder = self.context.engine, self.context.engine.encoder()

        def look() -> torch.Tensor:
            return scan_descriptors(engine.scan(path).image, encoder)

        return self._known.get((encoder.fingerprint(), *source_state(path)), look)
