"""Fit the engine's estimate of the Dice anew to runs of protoseg suite, and tell how it does on sets left out.

    protoseg calibrate runs/largest runs/thirds

prints the figures, set by set without the set, and the lines to put into bundle/protoseg/engine/estimate.py.
"""

import argparse
from pathlib import Path

from protoseg.errors import InputError
from protoseg.workflows.errors import report_input_errors
from protoseg.workflows.suite.calibration import calibration_source, fit_calibration, left_out_figures
from protoseg.workflows.suite.rows import read_suite_rows


def main() -> None:
    """Read the arguments, fit and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    parser.add_argument("runs", nargs="+", type=Path, help="output_dir of a run")
    arguments = parser.parse_args()
    report_input_errors()
    missing = [run for run in arguments.runs if not (run / "rows.csv").is_file()]
    if missing:
        raise InputError(f"{missing[0]} has no rows.csv. Give the output_dir of a run of protoseg suite.")
    rows = [row for run in arguments.runs for row in read_suite_rows(run / "rows.csv")]
    for name, value in left_out_figures(rows).items():
        print(f"{name}: {value}")
    print(calibration_source(fit_calibration(rows)))


if __name__ == "__main__":
    main()
