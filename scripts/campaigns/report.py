"""The findings of a campaign, as parts of a page of the documentation."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

from campaigns.disks import DiskTally
from campaigns.fuzz import Tally
from campaigns.kills import KillTally
from protoseg import __version__

__all__ = ["head", "list_findings", "tables", "write_part"]


def tables(
    command: str,
    files: Mapping[str, Tally],
    kills: Mapping[str, KillTally],
    disks: Mapping[str, DiskTally],
) -> str:
    """Make the tables of a run: what was tried, and each finding."""
    found: Counter[str] = Counter()
    lines = head(command)
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
    return "\n".join([*lines, *list_findings(found)]) + "\n"


def head(command: str) -> list[str]:
    """Make the lines that tell what was run."""
    return ["", "```", command, "```", "", f"protoseg {__version__}.", ""]


def list_findings(findings: Counter[str]) -> list[str]:
    """Make a line for each kind of finding."""
    return [f"- {what}: {count}" for what, count in findings.most_common()] or ["No finding."]


def write_part(page: Path, name: str, text: str) -> None:
    """Write a part of a page between its two marks; ValueError where it has none."""
    before = page.read_text(encoding="utf-8")
    marks = tuple(f"<!-- {name}: {what} of what scripts/campaign --report writes -->\n" for what in ("begin", "end"))
    pattern = f"({re.escape(marks[0])}).*({re.escape(marks[1])})"
    after, count = re.subn(pattern, lambda found: f"{found[1]}{text}{found[2]}", before, flags=re.DOTALL)
    if not count:
        raise ValueError(f"{page} has no lines {marks[0].strip()} and {marks[1].strip()}")
    page.write_text(after, encoding="utf-8")


def _findings(tallies: Mapping[str, Tally] | Mapping[str, KillTally] | Mapping[str, DiskTally], all_: Counter) -> int:
    """Number of findings, which are added to all by their kinds."""
    here = Counter({f"{name}: {what}": n for name, one in tallies.items() for what, n in one.findings.items()})
    all_.update(here)
    return here.total()
