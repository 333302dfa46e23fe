"""Average weights of one network, of which one was trained from the other.

    protoseg average runs/restart/average.pt runs/cooldown/average.pt --shares 0.7 0.3 --output averaged.pt

The header is that of the first file.
"""

import argparse
from pathlib import Path

from protoseg.networks.joined_weights import average_weights
from protoseg.workflows.errors import report_input_errors


def main() -> None:
    """Read the arguments and write the file."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    parser.add_argument("weights", nargs="+", type=Path, help="of the same network, at least two")
    parser.add_argument("--shares", nargs="+", type=float, help="of each file in the mean; equal when left out")
    parser.add_argument("--output", type=Path, required=True, help="file to write")
    arguments = parser.parse_args()
    report_input_errors()
    shares = arguments.shares or [1.0] * len(arguments.weights)
    average_weights(arguments.weights, shares, arguments.output)
    print(f"{arguments.output}: mean of {len(arguments.weights)} files")


if __name__ == "__main__":
    main()
