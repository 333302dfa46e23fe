"""Draw what the encoder sees in scans: slices, and under them the principal components of their features as colors.

Patches of one color look alike to the encoder, whichever scan they are in. For scans of synthetic people:
protoseg synthesize data/synthetic
"""

import argparse
from pathlib import Path

from protoseg.errors import InputError
from protoseg.files import replacing
from protoseg.workflows.studies.feature_pictures import draw_features


def main() -> None:
    """Read the arguments, draw, say where the picture is."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("scans", type=Path, nargs="+", help="volumes, pictures or DICOM folders")
    parser.add_argument("picture", type=Path, help="PNG to write")
    parser.add_argument("--weights", help="of the network; those that ship when left out")
    parser.add_argument("--encoder", help="by its name, such as dinov2_vits14; the one that ships when left out")
    parser.add_argument("--configs", nargs="+", default=[], help="such as slice_adapter.yaml")
    parser.add_argument("--columns", type=int, default=4, help="slices of a scan (4)")
    arguments = parser.parse_args()
    given = {"weights": arguments.weights, "encoder": arguments.encoder}
    overrides = {name: value for name, value in given.items() if value}
    try:
        figure = draw_features(
            arguments.scans, overlays=arguments.configs, overrides=overrides, columns=arguments.columns
        )
        with replacing(arguments.picture) as unfinished:
            figure.savefig(unfinished, format="png")
    except InputError as error:
        parser.exit(2, f"Error: {error}\n")
    print(f"written to {arguments.picture}")


if __name__ == "__main__":
    main()
