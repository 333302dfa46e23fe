"""The inference workflow without MONAI: the same files as `python -m monai.bundle run inference`, seconds sooner."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence, Sized
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tqdm import tqdm

from protoseg.data.io.pictures import write_label_picture
from protoseg.data.io.prefetch import Prefetch
from protoseg.data.io.queries import query_list
from protoseg.data.io.results import LABEL_MAP, LABEL_PICTURE, result_file
from protoseg.data.io.volumes import query_id, write_label_map
from protoseg.data.prepared_scan import PreparedScan, prepare_scan
from protoseg.engine.feature_cache import FeatureCache
from protoseg.engine.one_shot import OneShotSettings, segment
from protoseg.engine.prediction import Prediction
from protoseg.engine.slice_encoder import SliceEncoder
from protoseg.files import check_output_dir, to_path
from protoseg.ops.volume import spacing_of
from protoseg.workflows.engine_parts import open_plain_config
from protoseg.workflows.handlers.skip_unreadable import SkipUnreadable
from protoseg.workflows.plain_config import NotPlain, PlainConfig
from protoseg.workflows.reports.query_report import write_report
from protoseg.workflows.resumable_sampler import ResumableSampler

__all__ = ["run_inference"]

MAIN_CONFIG = "inference.yaml"
# Entries of the config whose work is done here; other values of theirs are left to MONAI.
DONE_HERE = (
    *("dataset", "sampler", "skip_unreadable", "dataloader", "postprocessing", "handlers", "evaluator"),
    *("initialize", "run", "inference", "imports"),
)
PARTS = ("support", "cache", "adaptation", "refiner")  # arguments of the inferer that are no `OneShotSettings`


def run_inference(overlays: Sequence[str | Path], overrides: Mapping[str, Any]) -> None:
    """Segment queries as the inference config with overlays and overrides says, and write their results.

    MONAI runs the workflow where these say more than is read without it, such as another postprocessing.

    Args:
        overlays: config files to lay over `inference.yaml`, by path or by name in the bundle.
        overrides: id of a config entry -> value.

    Raises:
        InputError: a file, an entry or a value cannot be used, or a query cannot be read; the others are segmented.
    """
    try:
        config = open_plain_config((MAIN_CONFIG, *overlays), **overrides)
        before = open_plain_config((MAIN_CONFIG,))
        if any(config[name] != before[name] for name in DONE_HERE):
            raise NotPlain
        _Run(config).run()
    except NotPlain:
        from protoseg.workflows.bundle_runs import run_bundle  # and with it MONAI

        run_bundle("inference", overlays, overrides)


class _Run(Sized):
    """The queries of a run, which are read while those before are segmented."""

    def __init__(self, config: PlainConfig) -> None:
        self.output_dir = to_path(config.get_parsed_content("output_dir"), "output_dir")
        check_output_dir(self.output_dir)
        _make_deterministic()
        self.preprocessing = config.get_parsed_content("preprocessing")
        self.inferer = config.arguments("inferer")
        self.support = self.inferer["support"]
        self.settings = config.get_parsed_content("settings")
        self.engine_settings = OneShotSettings(**{k: v for k, v in self.inferer.items() if k not in PARTS})
        size = self.support.images.shape[-1]
        cache = self.inferer.get("cache") or FeatureCache()
        self.encoder = SliceEncoder(config.get_parsed_content("network"), size, cache)
        cases = query_list(config.get_parsed_content("query"), self.support)
        resume = config.get_parsed_content("resume")
        self.sampler = ResumableSampler(cases, self.output_dir, settings=self.settings, resume=resume)

    def __len__(self) -> int:
        """Number of queries."""
        return len(self.sampler)

    def __iter__(self) -> Iterator[PreparedScan]:
        """Read and prepare the queries; after an error, the next one."""
        return map(self._prepare, self.sampler)

    def run(self) -> None:
        """Segment the queries, and tell of those that could not be read."""
        readable = SkipUnreadable(self, self.sampler)
        for scan in tqdm(Prefetch(readable), "Segmenting scans", unit="scan"):
            self._write(scan, self._segment(scan))
        readable.raise_if_failed()

    def _prepare(self, index: int) -> PreparedScan:
        return prepare_scan(self.sampler.cases[index]["image"], self.preprocessing, self.support.slice_axes)

    def _segment(self, scan: PreparedScan) -> Prediction:
        return segment(
            scan.image,
            self.support,
            self.encoder,
            self.engine_settings,
            adaptation=self.inferer.get("adaptation"),
            refiner=self.inferer.get("refiner"),
        )

    def _write(self, scan: PreparedScan, prediction: Prediction) -> None:
        """Write what there is to a query; the report, by which others know that it is done, comes last."""
        from protoseg.workflows.reports.overlay import as_slices, save_overlay  # matplotlib, while the next is read

        query, labels = str(scan.source.meta["filename_or_obj"]), self.support.labels
        x, y, _ = spacing_of(scan.image.affine).tolist()
        save_overlay(self.output_dir, query, as_slices(scan.image), prediction.label_map, labels, aspect=y / x)
        label_map = scan.grid.label_map(prediction.label_map)
        write_label_map(result_file(self.output_dir, query_id(query), LABEL_MAP), label_map, scan.source)
        if scan.source.meta.get("kind") == "picture":
            write_label_picture(result_file(self.output_dir, query_id(query), LABEL_PICTURE), label_map[None])
        found = torch.from_numpy(label_map)
        write_report(self.output_dir, found, scan.source, prediction.findings, labels, self.settings)


def _make_deterministic() -> None:
    """Do what MONAI's `set_determinism(0)` does."""
    random.seed(0)
    np.random.seed(0)  # noqa: NPY002, what adaptation draws from may be of others
    torch.manual_seed(0)
    torch.backends.cudnn.deterministic, torch.backends.cudnn.benchmark = True, False
