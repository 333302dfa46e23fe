"""Show protoseg on synthetic people, offline: one is labelled, others are segmented; one click becomes an organ.

After that it trains without labels and evaluates; --quick leaves this out. Each step prints the command that it runs.
Give the same command again to go on where it was stopped.
"""

import argparse
import json
import shlex
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from protoseg.cli import protoseg

LABELS = "liver=4,spleen=1,right_kidney=2,left_kidney=3"
CLICK = "115,87,25"  # in the liver of the second person
RUNS = ("untrained", "trained", "shipped")


class Step(NamedTuple):
    """A command, and what it is for."""

    title: str
    words: tuple[str, ...]


def main() -> None:
    """Read the arguments, run one step after the other, say where the results are."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    parser.add_argument("--quick", action="store_true", help="end before training and evaluation")
    parser.add_argument("-o", "--output", type=Path, default=Path("demo"), help="folder to work in; demo when left out")
    arguments = parser.parse_args()
    folder: Path = arguments.output
    begun = time.perf_counter()
    steps = product_steps(folder) + ([] if arguments.quick else training_steps(folder))
    for number, step in enumerate(steps, start=1):
        print(f"\n== {number}. {step.title}\n$ protoseg {shlex.join(step.words)}", flush=True)
        run_command(step.words)
    if not arguments.quick:
        print("\n== Mean Dice on held-out scans, one labelled slice an organ")
        for run in RUNS:
            dice = json.loads((folder / run / "metrics.json").read_text(encoding="utf-8"))["mean_dice"]
            print(f"  {run:>9}  {dice:.3f}   ({folder / run / 'report.html'})")
    print(f"\n== Done in {time.perf_counter() - begun:.0f} s. Look at:")
    for picture in sorted((folder / "results").glob("*_seg.png")):
        print(picture)


def product_steps(folder: Path) -> list[Step]:
    """List what shows the product: people, one of them labelled, the others segmented, and a click."""
    images, labels, results = folder / "data" / "images", folder / "data" / "labels", folder / "results"
    queries = [f"{images / name}.nii.gz" for name in ("test_001", "test_002")]
    like = [f"{place / 'test_000'}.nii.gz" for place in (images, labels)]
    return [
        Step(
            "Draw abdominal CT scans of three people; they stand in for yours (a quarter of a minute)",
            _people(folder, training=0, validation=0),
        ),
        Step(
            "Label one, get the rest: the first is labelled, the other two are segmented (half a minute)",
            ("segment", *queries, "--like", *like, "--labels", LABELS, "--output", str(results)),
        ),
        Step(
            "No label at all: one click on the liver (half a minute)",
            ("click", queries[0], "--at", CLICK, "--label", "liver", "--output", str(results / "clicked.nii.gz")),
        ),
    ]


def training_steps(folder: Path) -> list[Step]:
    """List the steps that train and evaluate: an untrained encoder, the same after training, and the one that ships."""
    data, best = ("--data", str(folder / "data")), str(folder / "training" / "best.pt")
    short = ("--set", "epochs=1", "--set", "epoch_length=60")
    untrained, trained, shipped = (("--output", str(folder / run)) for run in RUNS)
    return [
        Step("Draw ten more people, to train on (half a minute)", _people(folder, training=8, validation=2)),
        Step(
            "Evaluate an untrained encoder: one labelled slice an organ, two held-out scans (a minute)",
            ("evaluate", *data, *untrained, "--set", "weights=null"),
        ),
        Step(
            "Train it on the unlabelled scans by superpixel self-supervision (two minutes)",
            ("train", *data, "--output", str(folder / "training"), *short),
        ),
        Step(
            "Evaluate the trained encoder on the same scans (a minute)",
            ("evaluate", *data, *trained, "--weights", best),
        ),
        Step("Evaluate the encoder that ships, trained on other people (a minute)", ("evaluate", *data, *shipped)),
    ]


def run_command(words: Sequence[str]) -> None:
    """Run a sub-command in this process, which keeps what it has imported."""
    protoseg.main(list(words), prog_name="protoseg", standalone_mode=False)


def _people(folder: Path, *, training: int, validation: int) -> tuple[str, ...]:
    counts = ("--training", str(training), "--validation", str(validation), "--test", "3")
    return ("synthesize", str(folder / "data"), *counts)


if __name__ == "__main__":
    main()
