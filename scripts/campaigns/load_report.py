"""The table of a server that clients drove."""

from __future__ import annotations

from campaigns.load import LoadTally
from campaigns.report import head, list_findings
from campaigns.vitals import RULE

__all__ = ["load_table"]


def load_table(command: str, load: LoadTally) -> str:
    """Make the table of a server that clients drove."""
    rounds = ", ".join(f"{count} of {name}" for name, count in load.rounds.items())
    lines = [
        *head(command),
        f"{load.seconds / 60:.1f} minutes, {load.clients} clients; rounds: {rounds}. {load.compared} label maps were "
        f"compared to the right ones. `/info/` took {load.vitals.wait(50):.0f} ms in the median, "
        f"{load.vitals.wait(99):.0f} ms at the 99th percentile of {len(load.vitals.waits)}.",
        "",
        "| of the server | start | second half | most | a later hour | |",
        "|---|---:|---:|---:|---:|---|",
    ]
    for name, one in load.vitals.trends().items():
        values = " | ".join(f"{value:.0f}" for value in (one.start, one.middle, one.most))
        lines.append(f"| {name} | {values} | {one.per_hour:+.1f} | {'flat' if one.flat else 'not flat'} |")
    return "\n".join([*lines, "", RULE, "", *list_findings(load.findings)]) + "\n"
