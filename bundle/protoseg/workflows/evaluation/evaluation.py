"""An evaluation: scans are segmented under one protocol or both, and the results are reported side by side."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from monai.engines import Evaluator

from protoseg.engine.inferer import OneShotInferer
from protoseg.engine.legacy_protocol import LegacyInferer
from protoseg.errors import InputError
from protoseg.files import replacing, to_path, write_json
from protoseg.workflows.evaluation.case_tables import write_rows
from protoseg.workflows.evaluation.metrics import LabelDice
from protoseg.workflows.evaluation.protocols import KNOWLEDGE
from protoseg.workflows.evaluation.report import ROWS_FILE, RUN_FILE, write_report
from protoseg.workflows.evaluation.timings import ScanTimes
from protoseg.workflows.processes import gather_in_turn, is_first
from protoseg.workflows.reports.case_pictures import draw_support
from protoseg.workflows.versions import library_versions

__all__ = ["Evaluation", "ProtocolRun"]

SUPPORT_SHOWN = 24  # slices


@dataclass(frozen=True)
class ProtocolRun:
    """The evaluation under one protocol, and its results."""

    evaluator: Evaluator
    inferer: OneShotInferer | LegacyInferer
    metric: LabelDice
    times: ScanTimes


class Evaluation:
    """Evaluates under one protocol or both, and writes the results.

    `metrics.csv` has a row per scan, label and protocol; `run.json` tells how they were made; `report.html`,
    `metrics.json` and the pictures are made of these, see `write_report`.

    Args:
        runs: run of each protocol.
        protocol: "leak_free", "legacy" or "both".
        output_dir: folder of the files.
        settings: settings of the run, for the report.

    Raises:
        InputError: an unknown protocol.
    """

    def __init__(
        self, *, runs: Sequence[ProtocolRun], protocol: str, output_dir: str | Path, settings: Mapping[str, Any]
    ) -> None:
        if protocol not in (*KNOWLEDGE, "both"):
            raise InputError(f"protocol is '{protocol}'; choose {', '.join(KNOWLEDGE)} or both.")
        self.runs = [run for run in runs if protocol in (run.metric.protocol, "both")]
        self.output_dir = to_path(output_dir, "output_dir")
        self.settings = settings

    def run(self) -> None:
        """Segment and score all scans, protocol after protocol; of several processes the first writes the report."""
        for run in self.runs:
            run.evaluator.run()
        rows = [row for run in self.runs for row in run.metric.all_rows()]
        seconds = {run.metric.protocol: gather_in_turn(run.times.seconds) for run in self.runs}
        if is_first():
            write_rows(self.output_dir / ROWS_FILE, rows)
            write_json(self.output_dir / RUN_FILE, self._describe(seconds))
            write_report([self.output_dir], self.output_dir)

    def _describe(self, seconds: Mapping[str, Sequence[float]]) -> dict[str, Any]:
        return {
            "date": datetime.now().astimezone().isoformat(timespec="seconds"),
            "command": shlex.join(sys.argv),
            "settings": {name: "none" if value is None else str(value) for name, value in self.settings.items()},
            "versions": library_versions(),
            "labels": dict(self.runs[0].metric.labels),
            "seconds": {protocol: [round(time, 3) for time in times] for protocol, times in seconds.items()},
            "support": {run.metric.protocol: self._draw_support(run) for run in self.runs},
        }

    def _draw_support(self, run: ProtocolRun) -> dict[str, Any]:
        """Write pictures of the support slices; give their number, and captions and files of those shown."""
        inferer = run.inferer
        positions = inferer.slices_used() if isinstance(inferer, LegacyInferer) else range(len(inferer.support.origins))
        shown = []
        for number, (caption, picture) in enumerate(draw_support(inferer.support, positions[:SUPPORT_SHOWN])):
            file = Path("support") / run.metric.protocol / f"{number}.png"
            with replacing(self.output_dir / file) as unfinished:
                picture.save(unfinished)
            shown.append({"caption": caption, "file": str(file)})
        return {"slices": len(positions), "shown": shown}
