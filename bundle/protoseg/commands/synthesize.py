"""Write a data set of synthetic scans with exact labels."""

import argparse
from pathlib import Path

from protoseg.data.preparation.synthetic import write_dataset
from protoseg.engine.slice_axes import PLANE_AXES
from protoseg.errors import InputError
from protoseg.files import replacing
from protoseg.synthesis.anatomy.gallery import draw_anatomy
from protoseg.synthesis.anatomy.regions import REGIONS
from protoseg.synthesis.anatomy.rendering import CONTRASTS


def main() -> None:
    """Read the arguments, write the data set, say where its list is."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    parser.add_argument("folder", type=Path, help="where to write; a stopped run is continued")
    for section, count in (("training", 16), ("validation", 4), ("test", 4)):
        parser.add_argument(f"--{section}", type=int, default=count, help=f"number of {section} scans")
    parser.add_argument("--seed", type=int, default=0, help="another seed, other people")
    parser.add_argument("--region", choices=REGIONS, default="abdomen", help="part of the body")
    parser.add_argument("--contrast", choices=CONTRASTS, default="ct", help="what to imitate")
    parser.add_argument("--plane", choices=PLANE_AXES, default="axial", help="in which the scans are acquired")
    parser.add_argument("--shape", type=int, nargs=3, default=(160, 160, 40), help="columns, rows and slices")
    parser.add_argument("--spacing", type=float, nargs=3, default=(2.4, 2.4, 6.0), help="voxel size in mm")
    parser.add_argument("--picture", type=Path, help="also draw a few people as a PNG")
    arguments = vars(parser.parse_args())
    picture = arguments.pop("picture")
    try:
        print(write_dataset(arguments.pop("folder"), **arguments))
        if picture is not None:
            with replacing(picture) as unfinished:
                draw_anatomy().savefig(unfinished, format="png")
    except InputError as error:
        parser.exit(2, f"Error: {error}\n")


if __name__ == "__main__":
    main()
