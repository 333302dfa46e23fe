"""Series of scans that one simulated user corrects, each with what the ones before have taught."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from tqdm import tqdm

from protoseg.data.io.datalists import label_names, load_datalist
from protoseg.data.support.loading import read_support, save_support
from protoseg.engine.feature_cache import FeatureCache
from protoseg.engine.support import SupportSet, support_from_scan
from protoseg.engine.support_selection import join_supports, keep_most_useful
from protoseg.errors import InputError
from protoseg.files import write_json
from protoseg.labels import LabelSet
from protoseg.ops.fingerprint import tensor_digest
from protoseg.ops.hashing import fingerprint
from protoseg.workflows.engine_parts import open_parts
from protoseg.workflows.studies.correction_figures import correction_figures
from protoseg.workflows.studies.corrections import Correction, correct_scan
from protoseg.workflows.studies.study import Study, StudyRow
from protoseg.workflows.suite.index import LabelledScan, read_index
from protoseg.workflows.suite.segmenter import PairSegmenter

__all__ = ["LIBRARY_SLICES", "ScanSeries", "dataset_series", "index_series", "run_correction_study"]

LIBRARY_SLICES = 16  # as the server's max_support_slices


@dataclass(frozen=True)
class ScanSeries:
    """Scans of one kind, in the order in which the user gets them."""

    name: str
    labels: LabelSet  # with their values in all label maps
    scans: tuple[LabelledScan, ...]

    def orders(self, count: int) -> list[tuple[LabelledScan, ...]]:
        """Give the scans in so many orders, each beginning elsewhere in the list; with as many as there are scans,
        each scan has each position once.
        """
        count = min(count, len(self.scans))
        starts = [k * len(self.scans) // count for k in range(count)]
        return [self.scans[start:] + self.scans[:start] for start in starts]


def dataset_series(dataset_dir: str | Path, section: str) -> list[ScanSeries]:
    """Take the scans of a section of a data set; errors as of `load_datalist` and `label_names`."""
    listed = Path(dataset_dir) / "dataset.json"
    labels = LabelSet.parse(label_names(listed), f"{listed}: labels")
    cases = load_datalist(listed, section)
    unlabelled = next((case["image"] for case in cases if "label" not in case), None)
    if unlabelled is not None:
        raise InputError(f"{listed}: {unlabelled} of {section!r} has no label map. Choose a section with labels.")
    scans = tuple(LabelledScan(Path(case["image"]), Path(case["label"]), case["image"]) for case in cases)
    return [ScanSeries(section, labels, scans)]


def index_series(index: str | Path, only: Sequence[str] = ()) -> list[ScanSeries]:
    """Take the queries of each set of an index, each once, in its order; arguments and errors as of `read_index`."""
    sets = read_index(index, only=only)
    return [ScanSeries(one.name, one.pairs[0].labels, tuple({p.query: None for p in one.pairs})) for one in sets]


def run_correction_study(
    study: Study,
    series: Sequence[ScanSeries],
    *,
    clicks: int,
    orders: int = 1,
    limit: int | None = None,
    support_slices: int = LIBRARY_SLICES,
    **overrides: Any,
) -> None:
    """Let a user correct the scans of each series in turn; the files are written after each scan.

    What is accepted of a scan joins the library as a label that is submitted to the server does: every slice of it,
    bounded by `keep_most_useful`. Stopped, it goes on where it was.

    Args:
        study: study that collects the rows.
        series: series of scans.
        clicks: the most that a label gets.
        orders: number of orders in which each series is gone through, every time without any support at first.
        limit: scans of each series; all when left out.
        support_slices: number of slices that the library keeps in all.
        **overrides: values of entries of `inference.yaml`.

    Raises:
        InputError: a scan or a setting cannot be used, or a number is below 1.
    """
    for name, number in (("clicks", clicks), ("orders", orders), ("limit", limit), ("support_slices", support_slices)):
        if number is not None and number < 1:
            raise InputError(f"--{name} is {number}; it must be at least 1.")
    user = _User(PairSegmenter((), overrides), study, clicks, support_slices)
    cut = [ScanSeries(one.name, one.labels, one.scans[:limit]) for one in series]
    turns = [(one, number, order) for one in cut for number, order in enumerate(one.orders(orders), start=1)]
    with tqdm(total=sum(len(order) for *_, order in turns), desc="Correcting", unit="scan") as progress:
        for one, number, order in turns:
            for _ in user.go_through(one, number, order):
                study.write()
                write_json(study.output_dir / f"{study.name}.json", correction_figures(study.rows))
                progress.update()


class _User:
    """Corrects scans, and keeps what was accepted in files."""

    def __init__(self, segmenter: PairSegmenter, study: Study, clicks: int, support_slices: int) -> None:
        self.segmenter, self.study, self.clicks, self.support_slices = segmenter, study, clicks, support_slices
        self.parts = open_parts(segmenter.config, estimate_quality=False)
        self.encoder = segmenter.encoder.with_cache(FeatureCache())  # of all orders: the same scans come again
        self.made_with = fingerprint(segmenter.settings(), clicks, support_slices)

    def go_through(self, series: ScanSeries, number: int, order: Sequence[LabelledScan]) -> Iterator[None]:
        """Correct scans in turn."""
        library: SupportSet | None = None
        taught = fingerprint(self.made_with, dict(series.labels))
        for position, scan in enumerate(order, start=1):
            sample = self.segmenter.load(scan)
            folder = self.study.output_dir / "scans" / self.study.name / "accepted"
            digests = (tensor_digest(sample["image"]).hex(), tensor_digest(sample["label"]).hex())
            before, taught = taught, fingerprint(taught, scan.name, *digests)
            file = folder / f"{taught}.safetensors"
            place = {"set": series.name, "order": number, "position": position}
            measure = partial(self._correct, sample, series.labels, library, file, place)
            what = f"{series.name}, order {number}"
            self.study.keep(sample, what, before, measure, beside=file)
            accepted = read_support(file)
            bounds: Any = {"limit": self.support_slices}
            library = join_supports([library, accepted] if library else [accepted], self.encoder, **bounds)
            yield

    def _correct(
        self,
        sample: Mapping[str, Any],
        labels: LabelSet,
        library: SupportSet | None,
        file: Path,
        place: Mapping[str, Any],
        *,
        scan: str,
    ) -> list[StudyRow]:
        """Correct one scan, and keep what was accepted of it as a support."""
        image = sample["image"]
        rows, accepted = correct_scan(
            image,
            sample["label"],
            labels,
            self.encoder,
            support=library,
            scan=scan,
            clicks=self.clicks,
            settings=self.parts.settings,
            refiner=self.parts.refiner,
        )
        shown = labels.only([name for name, value in labels.items() if bool((accepted == value).any())])
        support = support_from_scan(
            image,
            accepted,
            shown,
            image_size=self.parts.image_size,
            scan=scan,
            slices="all",
            adjacent_slices=self.encoder.adjacent_slices,
            magnification=self.parts.magnification,
        )
        save_support(file, keep_most_useful(support, self.encoder, limit=self.support_slices))
        return [{**place, "scan": scan, **_rounded(row)} for row in rows]


def _rounded(row: Correction) -> StudyRow:
    return {key: round(value, 4) if isinstance(value, float) else value for key, value in row._asdict().items()}
