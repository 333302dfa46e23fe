"""Put the product through what should not happen to it: damaged files, kill -9, full disks. Exit status 1 for findings.

Everything is decided by the seed, but for the moments of every other kill, which are a seeded part of the time that
an undisturbed run takes. The default takes some two minutes on an idle core.

With --server nothing of this is done: the app is started, and clients drive it for so many minutes, each of which knows
what is right; its memory, descriptors and threads have to stay as they are.
"""

from __future__ import annotations

import argparse
import logging
import time
from collections.abc import Sequence
from pathlib import Path

import torch
from tqdm import tqdm

from campaigns.disks import DiskTally, fill_disks
from campaigns.fuzz import Tally, fuzz
from campaigns.kills import KillTally, kill_again_and_again
from campaigns.report import tables, write_part
from campaigns.targets import TARGETS
from campaigns.works import WORKS

__all__ = ["main"]

PAGE = Path(__file__).resolve().parents[2] / "bundle" / "docs" / "endurance.md"
ROUND = 40  # files of each kind, one after another, until the time is over


def main(argv: Sequence[str]) -> int:
    """Read the arguments, run, print what was found; gives the exit status."""
    parser = argparse.ArgumentParser(
        prog="scripts/campaign", description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    parser.add_argument("--seed", type=int, default=0, help="another seed, other damage and other moments")
    parser.add_argument("--files", type=int, default=ROUND, help="damaged files of each kind")
    parser.add_argument("--hours", type=float, default=0.0, help="go on with more damaged files until so much is over")
    parser.add_argument("--kinds", nargs="*", choices=list(TARGETS), default=list(TARGETS), help="of damaged files")
    parser.add_argument("--kills", type=int, default=2, help="of each work")
    parser.add_argument("--disks", type=int, default=2, help="writing steps of each work at which the disk is full")
    parser.add_argument("--works", nargs="*", choices=list(WORKS), default=list(WORKS), help="to be broken off")
    parser.add_argument("--server", type=float, metavar="MINUTES", help="drive a server, and do nothing else")
    parser.add_argument("--clients", type=int, default=8, help="of the server")
    parser.add_argument("--training", action="store_true", help="train on the server all the time")
    parser.add_argument("--report", action="store_true", help="write the tables into bundle/docs/endurance.md")
    chosen = parser.parse_args(argv)
    logging.disable(logging.CRITICAL)  # of each damage there is a warning
    torch.set_num_threads(1)  # processes are forked
    command = " ".join(["scripts/campaign", *argv])
    if chosen.server:
        from campaigns.load import drive  # needs MONAI Label, all else does not
        from campaigns.load_report import load_table

        load = drive(chosen.server, chosen.clients, training=chosen.training)
        part, text, found = "training" if chosen.training else "server", load_table(command, load), bool(load.findings)
    else:
        part, (text, found) = "files", _break_everything(chosen, command)
    print(text)
    if chosen.report:
        write_part(PAGE, part, text)
    return int(found)


def _break_everything(chosen: argparse.Namespace, command: str) -> tuple[str, bool]:
    """Damage files, kill and fill disks; give the tables, and whether there are findings."""
    end = time.monotonic() + 3600 * chosen.hours
    files = {kind: Tally() for kind in chosen.kinds} if chosen.files else {}
    first = 0
    while files and (first < chosen.files or time.monotonic() < end):
        numbers = range(first, min(first + ROUND, chosen.files) if first < chosen.files else first + ROUND)
        for kind in tqdm(chosen.kinds, f"files from {first}", unit="kind", disable=None):
            files[kind].update(fuzz(kind, numbers, chosen.seed))
        first = numbers.stop
    works = tqdm(chosen.works, "works", unit="work", disable=None) if chosen.kills or chosen.disks else ()
    kills: dict[str, KillTally] = {}
    disks: dict[str, DiskTally] = {}
    for name in works:
        if chosen.kills:
            kills[name] = kill_again_and_again(name, chosen.kills, chosen.seed)
        if chosen.disks:
            disks[name] = fill_disks(name, chosen.disks)
    found = any(one.findings for one in (*files.values(), *kills.values(), *disks.values()))
    return tables(command, files, kills, disks), found
