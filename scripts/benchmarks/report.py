"""Tables of benchmarks in Markdown, and their places in the pages of the documentation."""

from __future__ import annotations

import platform
from collections.abc import Sequence
from pathlib import Path

import torch

from protoseg import __version__
from protoseg.files import replacing

__all__ = ["PAGE", "machine", "section", "table", "write_section"]

PAGE = Path(__file__).resolve().parents[2] / "bundle" / "docs" / "speed.md"


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Make a table, whose first column is text and whose others are numbers."""
    lines = [head, ["---", *["---:"] * (len(head) - 1)], *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def section(command: str, *parts: str) -> str:
    """Put the report of a run together: its command, and tables and sentences."""
    return "\n\n".join([f"```\n{command}\n```", f"protoseg {__version__}, {machine()}.", *parts])


def machine(device: torch.device | None = None) -> str:
    """Describe the machine."""
    if device is not None and device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return f"{torch.get_num_threads()} threads, {_processor()}"


def write_section(name: str, text: str, page: Path = PAGE) -> None:
    """Write a benchmark's section anew, between its two marks in a page; the text around them is kept.

    Raises:
        ValueError: the page does not have the marks.
    """
    begin, end = f"<!-- Written by scripts/benchmark {name} --report. -->\n", f"<!-- End of {name}. -->\n"
    before, first, rest = page.read_text(encoding="utf-8").partition(begin)
    _, second, after = rest.partition(end)
    if not first or not second:
        raise ValueError(f"{page} does not have the lines {begin.strip()} and {end.strip()}")
    with replacing(page) as unfinished:
        unfinished.write_text(f"{before}{begin}\n{text}\n\n{end}{after}", encoding="utf-8")


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    return next((line.partition(": ")[2] for line in lines if line.startswith("model name")), platform.machine())
