"""The engine as the server holds it: one network, one cache, scans that stay prepared."""

from __future__ import annotations

import copy
import logging
from collections.abc import Hashable
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import Any, NamedTuple

from lib.options import Options
from protoseg.data.prepared_scan import PreparedScan, prepare_scan
from protoseg.data.support.library import LibraryState
from protoseg.engine.clicks.sam_slice_segmenter import SamSliceSegmenter
from protoseg.engine.clicks.slice_segmenter import SliceSegmenter
from protoseg.engine.feature_cache import FeatureCache
from protoseg.engine.one_shot import OneShotSettings, segment
from protoseg.engine.prediction import Prediction
from protoseg.engine.refiners.sam import SamRefiner
from protoseg.engine.slice_axes import SliceAxes, same_plane, slice_axes
from protoseg.engine.slice_encoder import SliceEncoder
from protoseg.errors import InputError
from protoseg.networks.weights import load_weights
from protoseg.ops.hashing import source_state
from protoseg.ops.lru import LRUCache
from protoseg.workflows.engine_parts import open_config, open_parts

__all__ = ["Engine", "Scan"]

logger = logging.getLogger(__name__)

SEGMENTED_SHARE = 1 / 4  # of the scans' bound: that of a byte a voxel, so that as many label maps are kept as scans


@dataclass(frozen=True)
class Scan(PreparedScan):
    """A prepared scan that is known by the content of its file."""

    key: Hashable


class _Segmented(NamedTuple):
    prediction: Prediction

    @property
    def nbytes(self) -> int:
        return self.prediction.label_map.nbytes


class Engine:
    """The state that all requests share. Safe between threads: nothing of a request is kept here.

    Args:
        options: options of the app, from which the engine is built.
        folder: folder for files that outlive the server.
    """

    def __init__(self, options: Options, folder: Path) -> None:
        self.config = open_config(options.files, **options.overrides)
        self.parts = open_parts(self.config)
        self.settings, self.refiner = self.parts.settings, self.parts.refiner
        self._as_configured = self.parts.encoder(FeatureCache(options.feature_cache_mb * 2**20))
        self.slice_segmenter: SliceSegmenter | None = None
        if isinstance(self.refiner, SamRefiner):
            self.refiner.cache = self._as_configured.cache  # one for all
            if not self.refiner.sam.boxes_only:  # MedSAM takes no clicks
                self.slice_segmenter = SamSliceSegmenter(self.refiner)
        self._scans = LRUCache(options.scan_cache_mb * 2**20)
        self._segmented = LRUCache(int(SEGMENTED_SHARE * options.scan_cache_mb * 2**20))
        # By the weights it started from, so that others of `--conf weights` start afresh.
        self.adapted_weights = folder / "weights" / f"{self._as_configured.fingerprint()}.pt"
        self._encoder = self._as_configured
        self._loaded: Any = []
        self._lock = Lock()

    def encoder(self) -> SliceEncoder:
        """Give the encoder of the newest complete weights. Keep it for a whole request: the next may be another."""
        state = source_state(self.adapted_weights)
        with self._lock:
            if state != self._loaded:
                self._loaded, before = state, self._encoder
                newest = self._adapted() if state else self._as_configured
                if newest.fingerprint() != before.fingerprint():  # else sessions go on to hold the network before
                    self._encoder = newest
                    before.cache.forget(before.frozen)
            return self._encoder

    def _adapted(self) -> SliceEncoder:
        network = copy.deepcopy(self._as_configured.network)  # running requests keep the one they have
        try:
            load_weights(network, self.adapted_weights)
        except InputError as error:
            logger.error("Adapted weights are not used. %s", error)
            return self._encoder
        logger.info("Using the weights %s", self.adapted_weights)
        return self._as_configured.of_network(network)

    def scan(self, path: str | Path, axes: SliceAxes | None = None) -> Scan:
        """Read and prepare a scan, or give the one that is still in memory.

        Args:
            path: path of the file.
            axes: directions that its slices must follow; None for those of the plane in which it was acquired.

        Raises:
            InputError: as in reading.
        """
        key = (*source_state(path), axes)
        return self._scans.get(key, lambda: self._prepare(path, key, axes))

    def scan_for(self, path: str | Path, labelled: LibraryState) -> tuple[Scan, LibraryState]:
        """Read a scan and choose its support: the one of its plane, or else the one whose slices it must follow."""
        scan = self.scan(path)
        axes = slice_axes(scan.image)
        serving = labelled.in_plane(axes)
        if serving.support is None or same_plane(serving.support.slice_axes, axes):
            return scan, serving
        return self.scan(path, serving.support.slice_axes), serving

    def _prepare(self, path: str | Path, key: Hashable, axes: SliceAxes | None) -> Scan:
        scan = prepare_scan(path, self.parts.preprocessing, axes)
        return Scan(scan.image, scan.source, scan.grid, key)

    def segment(
        self, scan: Scan, labelled: LibraryState, settings: OneShotSettings, *, refined: bool = True
    ) -> Prediction:
        """Segment a scan, or give an earlier result: another label of it, or a scan that was scored, costs nothing.

        Args:
            scan: scan to segment.
            labelled: library whose labels are looked for; it must have a support.
            settings: settings of the segmentation.
            refined: True to apply the refiner, if there is one.
        """
        encoder, support = self.encoder(), labelled.support
        refiner = self.refiner if refined else None
        assert support is not None

        def make() -> _Segmented:
            return _Segmented(segment(scan.image, support, encoder, settings, refiner=refiner))

        key = (scan.key, labelled.key, settings, encoder.fingerprint(), refiner is None)
        return self._segmented.get(key, make).prediction
