"""Segments one scan after another by the inference config, and writes the results."""

from __future__ import annotations

import copy
import logging
import random
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch
from torch import Tensor

from protoseg.data.io.pictures import write_label_picture
from protoseg.data.io.results import LABEL_MAP, LABEL_PICTURE, read_report, report_file, result_file
from protoseg.data.io.volumes import query_id, write_label_map
from protoseg.data.prepared_scan import PreparedScan, prepare_scan
from protoseg.engine.feature_cache import FeatureCache
from protoseg.engine.one_shot import OneShotSettings, segment
from protoseg.engine.prediction import Prediction
from protoseg.engine.slice_encoder import SliceEncoder
from protoseg.errors import InputError
from protoseg.files import WriteError, check_output_dir, to_path
from protoseg.ops.volume import spacing_of
from protoseg.workflows.plain_config import PlainConfig
from protoseg.workflows.reports.query_report import write_report

__all__ = ["ScanSegmenter", "SharedSegmenter", "segment_scan"]

logger = logging.getLogger(__name__)

PARTS = ("support", "cache", "adaptation", "refiner")  # arguments of the inferer that are not `OneShotSettings`


class ScanSegmenter:
    """Network, support and results folder of a run.

    Args:
        config: config, see inference.yaml.

    Raises:
        InputError: an entry cannot be used, or the folder cannot be written.
    """

    def __init__(self, config: PlainConfig) -> None:
        self.config = config
        self.output_dir = to_path(config.get_parsed_content("output_dir"), "output_dir")
        check_output_dir(self.output_dir)
        _make_deterministic()
        self.preprocessing = config.get_parsed_content("preprocessing")
        self.inferer = config.arguments("inferer")
        self.support = self.inferer["support"]
        self.settings = config.get_parsed_content("settings")
        self.engine_settings = OneShotSettings(**{k: v for k, v in self.inferer.items() if k not in PARTS})
        size = self.support.images.shape[-1]
        self.cache = self.inferer.get("cache") or FeatureCache()
        self.encoder = SliceEncoder(config.get_parsed_content("network"), size, self.cache)
        self.doubts = config.get_parsed_content("doubts")

    def prepare(self, image: str) -> PreparedScan:
        """Read and preprocess a query; errors as of `prepare_scan`."""
        return prepare_scan(image, self.preprocessing, self.support.slice_axes)

    def segment(self, scan: PreparedScan) -> Prediction:
        """Find the support's labels in a query."""
        return segment(
            scan.image,
            self.support,
            self.encoder,
            self.engine_settings,
            adaptation=self.inferer.get("adaptation"),
            refiner=self.inferer.get("refiner"),
        )

    def write(self, scan: PreparedScan, prediction: Prediction) -> None:
        """Write the results of a query; the report, which marks it as done, comes last."""
        from protoseg.workflows.reports.overlay import as_slices, save_overlay  # matplotlib, while the next is read

        query, labels = str(scan.source.meta["filename_or_obj"]), self.support.labels
        x, y, _ = spacing_of(scan.image.affine).tolist()
        save_overlay(self.output_dir, query, as_slices(scan.image), prediction.label_map, labels, aspect=y / x)
        label_map = scan.grid.label_map(prediction.label_map)
        write_label_map(result_file(self.output_dir, query_id(query), LABEL_MAP), label_map, scan.source)
        if scan.source.meta.get("kind") == "picture":
            write_label_picture(result_file(self.output_dir, query_id(query), LABEL_PICTURE), label_map[None])
        found = torch.from_numpy(label_map)
        write_report(self.output_dir, found, scan.source, prediction.findings, labels, self.settings, self.doubts)


@dataclass(frozen=True)
class SharedSegmenter:
    """The data from which each process of a cluster makes the same segmenter, once."""

    content: dict[str, Any]  # of the config
    made: dict[str, Any]  # entries of it that were made once for all
    features: dict[str, Tensor]  # of the support, by their keys in the cache

    @classmethod
    def of(cls, segmenter: ScanSegmenter) -> SharedSegmenter:
        """Take the shared data from a segmenter, and encode its support for all."""
        segmenter.encoder.encode(segmenter.support.images)
        content = copy.deepcopy(segmenter.config.content)
        content["inferer"]["progress"] = False  # there is one bar, over the scans
        made = {"support": segmenter.support, "settings": segmenter.settings, "doubts": segmenter.doubts}
        return cls(content, made, segmenter.cache.items())

    @cached_property
    def segmenter(self) -> ScanSegmenter:
        """Segmenter of this process."""
        segmenter = ScanSegmenter(PlainConfig(self.content, self.made))
        segmenter.cache.update(self.features)
        return segmenter

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in vars(self).items() if name != "segmenter"}


def segment_scan(shared: SharedSegmenter, image: str) -> InputError | None:
    """Segment a query in a process of a cluster, unless it has a report; return its error, if any.

    Raises:
        InputError: an error of every query, such as weights or an output_dir that this process cannot use.
    """
    segmenter = shared.segmenter
    if read_report(report_file(segmenter.output_dir, query_id(image))):
        return None  # done by a process that died before it could report
    try:
        scan = segmenter.prepare(image)
        segmenter.write(scan, segmenter.segment(scan))
    except WriteError:
        raise
    except InputError as failure:
        return failure
    except Exception as error:  # one scan of a hundred thousand: whatever its error, the others go on
        logger.warning("%s:", image, exc_info=True)
        return InputError(f"{image} cannot be segmented: {type(error).__name__}: {error}.")
    return None


def _make_deterministic() -> None:
    """Make torch deterministic as MONAI's `set_determinism(0)` does."""
    random.seed(0)
    np.random.seed(0)  # noqa: NPY002, what adaptation draws from may be of others
    torch.manual_seed(0)
    torch.backends.cudnn.deterministic, torch.backends.cudnn.benchmark = True, False
