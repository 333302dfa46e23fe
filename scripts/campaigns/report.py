"""What a campaign found, as a page of the documentation."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from pathlib import Path

from campaigns.disks import DiskTally
from campaigns.fuzz import Tally
from campaigns.kills import KillTally
from protoseg import __version__

__all__ = ["MARK", "tables", "write_page"]

MARK = "<!-- What follows is written by scripts/campaign --report. -->\n"  # in the page; what stands before it stays


def tables(
    command: str,
    files: Mapping[str, Tally],
    kills: Mapping[str, KillTally],
    disks: Mapping[str, DiskTally],
) -> str:
    """Make the tables of a run: what was tried, and each finding."""
    found: Counter[str] = Counter()
    lines = ["", "## The last run", "", "```", command, "```", "", f"protoseg {__version__}.", ""]
    if files:
        lines += ["| damaged files | tried | read | refused | findings |", "|---|---:|---:|---:|---:|"]
        lines += [
            f"| {kind} | {one.tried} | {one.answered} | {one.refused} | {one.findings.total()} |"
            for kind, one in files.items()
        ]
        total = [sum(getattr(one, name) for one in files.values()) for name in ("tried", "answered", "refused")]
        lines += [f"| all | {' | '.join(map(str, total))} | {_findings(files, found)} |", ""]
    if kills:
        lines += ["| killed by `kill -9` | runs | killed | findings |", "|---|---:|---:|---:|"]
        lines += [f"| {name} | {one.tried} | {one.killed} | {one.findings.total()} |" for name, one in kills.items()]
        total = [sum(getattr(one, name) for one in kills.values()) for name in ("tried", "killed")]
        lines += [f"| all | {' | '.join(map(str, total))} | {_findings(kills, found)} |", ""]
    if disks:
        lines += ["| the system refuses to write | runs | refused | findings |", "|---|---:|---:|---:|"]
        lines += [f"| {name} | {one.tried} | {one.refused} | {one.findings.total()} |" for name, one in disks.items()]
        total = [sum(getattr(one, name) for one in disks.values()) for name in ("tried", "refused")]
        lines += [f"| all | {' | '.join(map(str, total))} | {_findings(disks, found)} |", ""]
    lines += [f"- {what}: {count}" for what, count in found.most_common()] or ["No finding."]
    return "\n".join(lines) + "\n"


def write_page(page: Path, text: str) -> None:
    """Write the tables below the mark of a page; ValueError where it has none."""
    before, mark, _ = page.read_text(encoding="utf-8").partition(MARK)
    if not mark:
        raise ValueError(f"{page} has no line {MARK.strip()}")
    page.write_text(before + MARK + text, encoding="utf-8")


def _findings(tallies: Mapping[str, Tally] | Mapping[str, KillTally] | Mapping[str, DiskTally], all_: Counter) -> int:
    """Number of findings, which are added to all by their kinds."""
    here = Counter({f"{name}: {what}": n for name, one in tallies.items() for what, n in one.findings.items()})
    all_.update(here)
    return here.total()
