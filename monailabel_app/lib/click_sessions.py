"""Click segmentations of images, kept from one click to the next."""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from contextlib import contextmanager
from threading import Lock

import numpy as np
from cachetools import LRUCache
from numpy.typing import NDArray

from lib.engine import Engine, Scan
from protoseg.data.support.library import LibraryState
from protoseg.engine.clicks.segmentation import ClickSegmentation
from protoseg.engine.one_shot import OneShotSettings
from protoseg.engine.slice_encoder import SliceEncoder
from protoseg.labels import LabelSet
from protoseg.ops.hashing import fingerprint

__all__ = ["ClickSessions"]

MOST_SESSIONS = 8


class ClickSessions:
    """Click segmentations by client, image, and settings. Safe between threads.

    Both viewers send all clicks each time, so that a click which is taken back is gone; keeping segmentations only
    saves time.

    Args:
        engine: engine of the server.
    """

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self._sessions: LRUCache[Hashable, tuple[ClickSegmentation, Lock]] = LRUCache(MOST_SESSIONS)
        self._lock = Lock()

    @contextmanager
    def session(
        self,
        client: str,
        image: str,
        scan: Scan,
        *,
        labels: LabelSet,
        labelled: LibraryState,
        settings: OneShotSettings,
        accepted: NDArray[np.uint8] | None = None,
    ) -> Iterator[ClickSegmentation]:
        """Reserve the segmentation of an image for one request.

        Args:
            client: name of the client whose clicks they are.
            image: name of the image.
            scan: prepared image.
            labels: labels that may be clicked on.
            labelled: library of what was labelled before, possibly empty.
            settings: settings of the segmentation.
            accepted: labels that the clicks correct, see `ClickSegmentation`; None for nothing.
        """
        encoder = self.engine.encoder()
        key: tuple[Hashable, ...] = (
            client,
            image,
            scan.key,
            tuple(labels.items()),
            labelled.key,
            settings,
            encoder.fingerprint(),
        )
        if accepted is not None:
            key = (*key, fingerprint("accepted", accepted))
        with self._lock:
            if key not in self._sessions:
                self._drop_outdated(encoder)
                segmentation = ClickSegmentation(
                    scan.image,
                    encoder,
                    labels=labels,
                    scan=image,
                    support=labelled.support,
                    settings=settings,
                    refiner=self.engine.refiner,
                    slice_segmenter=self.engine.slice_segmenter,
                    accepted=accepted,
                )
                self._sessions[key] = segmentation, Lock()
            session, lock = self._sessions[key]
        with lock:
            yield session

    def _drop_outdated(self, encoder: SliceEncoder) -> None:
        """Drop the sessions of other weights, which nobody asks for again: each holds a network and its features."""
        of_now = encoder.fingerprint()
        for key, (segmentation, _) in tuple(self._sessions.items()):
            if segmentation.encoder.fingerprint() != of_now:
                del self._sessions[key]
