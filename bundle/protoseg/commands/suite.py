"""Judge the product on labelled scans: an index of sets and pairs in, Dice by set, group and label out.

Segments the query of every pair from its support by bundle/configs/inference.yaml, without knowing the query's labels,
and writes rows.csv, summary.json, summary.csv and report.html. Give the same command again to go on where it was
stopped; --workers shares the work among processes, --scheduler among machines. Any entry of the config is one
`--id value` away, as in the bundle:

    protoseg suite INDEX.json --output_dir runs/suite
    protoseg suite INDEX.json --output_dir runs/suite_all --slices thirds --support_selection all --against runs/suite

bundle/docs/suite.md describes the index.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from fire.parser import DefaultParseValue

from protoseg.errors import InputError
from protoseg.workflows.cluster import open_cluster
from protoseg.workflows.errors import report_input_errors
from protoseg.workflows.suite.run import run_suite


def main() -> None:
    """Read the arguments and run the suite."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    parser.add_argument("index", type=Path, help="JSON file that lists the sets")
    parser.add_argument("--output_dir", type=Path, required=True, help="folder of the results")
    parser.add_argument("--against", type=Path, metavar="RUN", help="output_dir of an earlier run, to compare with")
    parser.add_argument("--only", nargs="+", default=[], metavar="NAME", help="sets to take; * stands for any letters")
    parser.add_argument("--limit", type=int, metavar="N", help="pairs of each set, spread over its list")
    parser.add_argument("--slices", help="support slices: largest (as shipped), thirds, all, 12 or [12,15]")
    parser.add_argument("--configs", nargs="+", default=[], help="laid over inference.yaml: refiners/guided.yaml")
    parser.add_argument("--workers", type=int, default=1, metavar="N", help="processes on this machine that share it")
    parser.add_argument("--scheduler", metavar="ADDRESS", help="cluster of Dask that does it: tcp://10.0.0.1:8786")
    arguments, others = parser.parse_known_args()
    report_input_errors()
    overrides = read_overrides(others)
    if arguments.slices is not None:
        overrides["support_slices"] = DefaultParseValue(arguments.slices)
    with open_cluster(arguments.workers, arguments.scheduler) as client:
        run_suite(
            arguments.index,
            arguments.output_dir,
            against=arguments.against,
            only=arguments.only,
            limit=arguments.limit,
            overlays=arguments.configs,
            overrides=overrides,
            client=client,
        )


def read_overrides(words: Sequence[str]) -> dict[str, Any]:
    """Read config entries by their ids, from `--id value` or `--id=value`, with values as the bundle reads them."""
    overrides = {}
    waiting = list(words)
    while waiting:
        word = waiting.pop(0)
        name, given, value = word.removeprefix("--").partition("=")
        if not word.startswith("--") or not (given or waiting):
            raise InputError(f"{word}: expected --id value, an entry of inference.yaml and what it is to be.")
        overrides[name] = DefaultParseValue(value if given else waiting.pop(0))
    return overrides


if __name__ == "__main__":
    main()
