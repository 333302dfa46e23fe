"""Join weights of small encoders to one file: the network encodes by all of them, and averages their cosines.

    protoseg join first.pt runs/cooldown/average.pt --output joined.pt

Which one is better varies from image to image; together they are better than either, and take as long as both.
Scale and rejection threshold are those of the first file.
"""

import argparse
from pathlib import Path

from protoseg.networks.joined_weights import join_weights
from protoseg.workflows.errors import report_input_errors


def main() -> None:
    """Read the arguments and write the file."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    parser.add_argument("weights", nargs="+", type=Path, help="of networks that encode by one FPNEncoder, at least two")
    parser.add_argument("--output", type=Path, required=True, help="file to write")
    parser.add_argument("--recipe", help="how they were trained, for the header; that of the first when left out")
    arguments = parser.parse_args()
    report_input_errors()
    header = join_weights(arguments.weights, arguments.output, recipe=arguments.recipe)
    sizes = " and ".join(str(member["channels"]) for member in header["members"])
    print(f"{arguments.output}: {len(header['members'])} encoders of {sizes} channels")


if __name__ == "__main__":
    main()
