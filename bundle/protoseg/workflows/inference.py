"""The inference workflow without MONAI: the same files as `python -m monai.bundle run inference`, seconds sooner."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence, Sized
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tqdm import tqdm

from protoseg.data.io.prefetch import Prefetch
from protoseg.data.io.queries import query_list
from protoseg.data.io.results import report_file
from protoseg.data.prepared_scan import PreparedScan
from protoseg.errors import InputError
from protoseg.workflows.cluster import share
from protoseg.workflows.engine_parts import open_plain_config
from protoseg.workflows.handlers.skip_unreadable import SkipUnreadable, raise_failures
from protoseg.workflows.plain_config import NotPlain, PlainConfig
from protoseg.workflows.resumable_sampler import ResumableSampler
from protoseg.workflows.scan_segmenter import ScanSegmenter, SharedSegmenter, segment_scan

if TYPE_CHECKING:
    from distributed import Client

__all__ = ["run_inference"]

logger = logging.getLogger(__name__)

MAIN_CONFIG = "inference.yaml"
# Entries of the config that are handled here; other values of them are left to MONAI.
DONE_HERE = (
    *("dataset", "sampler", "skip_unreadable", "dataloader", "postprocessing", "handlers", "evaluator"),
    *("initialize", "run", "inference", "imports"),
)


def run_inference(
    overlays: Sequence[str | Path], overrides: Mapping[str, Any], *, client: Client | None = None
) -> None:
    """Segment queries by the inference config with overlays and overrides, and write their results.

    MONAI runs the workflow if these need it, as for another postprocessing.

    Args:
        overlays: config files to lay over `inference.yaml`, by path or by name in the bundle.
        overrides: values of config entries by id.
        client: client of a cluster whose processes do the work; by default this process does it.

    Raises:
        InputError: a file, an entry or a value cannot be used, or a query cannot be segmented; the others are.
    """
    try:
        config = open_plain_config((MAIN_CONFIG, *overlays), **overrides)
        before = open_plain_config((MAIN_CONFIG,))
        changed = [name for name in DONE_HERE if config[name] != before[name]]
        if changed:
            raise NotPlain(f"{changed[0]}: {config[changed[0]]}")
        _segment(config, client)
    except NotPlain as reason:
        if client is not None:
            raise InputError(
                f"The config's entry {reason} is left to MONAI's workflow, which one process runs. Leave out --workers "
                "and --scheduler, or that entry."
            ) from reason
        from protoseg.workflows.bundle_runs import run_bundle  # and with it MONAI

        run_bundle("inference", overlays, overrides)


def _segment(config: PlainConfig, client: Client | None) -> None:
    segmenter = ScanSegmenter(config)
    cases = query_list(config.get_parsed_content("query"), segmenter.support)
    resume = config.get_parsed_content("resume")
    sampler = ResumableSampler(cases, segmenter.output_dir, settings=segmenter.settings, resume=resume)
    if client is not None:
        _segment_on_cluster(segmenter, sampler, client)
        return
    readable = SkipUnreadable(_Scans(segmenter, sampler))
    for scan in tqdm(Prefetch(readable), "Segmenting scans", unit="scan"):
        segmenter.write(scan, segmenter.segment(scan))
    readable.raise_if_failed()


class _Scans(Sized):
    """The queries of a run, which are read while those before are segmented."""

    def __init__(self, segmenter: ScanSegmenter, sampler: ResumableSampler) -> None:
        self.segmenter, self.sampler = segmenter, sampler

    def __len__(self) -> int:
        """Count the queries."""
        return len(self.sampler)

    def __iter__(self) -> Iterator[PreparedScan]:
        """Read and prepare the queries; after an error, the next one."""
        return map(self._prepare, self.sampler)

    def _prepare(self, index: int) -> PreparedScan:
        return self.segmenter.prepare(self.sampler.cases[index]["image"])


def _segment_on_cluster(segmenter: ScanSegmenter, sampler: ResumableSampler, client: Client) -> None:
    left = {sampler.names[index]: sampler.cases[index]["image"] for index in sampler}
    for name in left:  # from now on a report means that a query is done
        report_file(segmenter.output_dir, name).unlink(missing_ok=True)
    failures: dict[str, InputError] = {}
    with tqdm(desc="Segmenting scans", unit="scan", total=len(sampler), initial=len(sampler) - len(left)) as bar:
        for name, failure in share(client, segment_scan, left, SharedSegmenter.of(segmenter)):
            if failure is not None:
                logger.warning("Left out: %s", failure)
                failures[name] = failure
            bar.update()
    sampler.remove_unfinished(left)
    raise_failures([failures[name] for name in left if name in failures], len(sampler))
