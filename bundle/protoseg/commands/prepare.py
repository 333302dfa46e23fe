"""Prepare a data set: scans, labels and superpixels as files, and the list of them, dataset.json.

Give the same command again to go on where it was stopped. The source is only read.
"""

import argparse
import os
from pathlib import Path

from protoseg import bundle_root
from protoseg.data.preparation.btcv import find_btcv
from protoseg.data.preparation.chaos import SEQUENCES, find_chaos
from protoseg.data.preparation.listed import find_listed
from protoseg.data.preparation.polyp import find_polyps
from protoseg.data.preparation.prepare import prepare, when_disk_is_full
from protoseg.errors import InputError
from protoseg.workflows.superpixel_cache import cache_superpixels

FINDERS = {"chaos": find_chaos, "btcv": find_btcv, "polyp": find_polyps, "folder": find_listed}
CONFIGS = Path(bundle_root()) / "configs"


def main() -> None:
    """Read the arguments, prepare, say where the list is."""
    parser = argument_parser()
    arguments = vars(parser.parse_args())
    command, folder, workers, image_size = (
        arguments.pop(name) for name in ("command", "folder", "workers", "image_size")
    )
    dataset = "chaos_ct" if arguments.get("sequence") == "ct" else command
    configs = [CONFIGS / "train.yaml", CONFIGS / "datasets" / f"{dataset}.yaml"]
    try:
        dataset_json = prepare(FINDERS[command](**arguments), folder, workers=workers)
        with when_disk_is_full(folder):
            cache_superpixels(dataset_json, configs, image_size=image_size, workers=workers)
        print(dataset_json)
    except InputError as error:
        parser.exit(2, f"Error: {error}\n")


def argument_parser() -> argparse.ArgumentParser:
    """Add a sub-command for each data set."""
    parser = argparse.ArgumentParser(description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)

    def command(name: str, source: str, summary: str) -> argparse.ArgumentParser:
        formatter = argparse.ArgumentDefaultsHelpFormatter
        added = commands.add_parser(name, help=summary, description=summary, formatter_class=formatter)
        added.add_argument("source", type=Path, help=source)
        added.add_argument("folder", type=Path, help="where to write; a stopped run is continued")
        added.add_argument("--workers", type=int, default=os.cpu_count(), help="processes to share the work")
        added.add_argument("--image_size", type=int, default=256, help="of the network that superpixels are made for")
        return added

    chaos = command("chaos", "folder that holds Train_Sets", "CHAOS, abdominal MR or CT")
    chaos.add_argument("--sequence", choices=SEQUENCES, default="t2spir", help="what to prepare")
    btcv = command("btcv", "folder that holds RawData", "BTCV, the Synapse multi-atlas abdominal CT")
    for added in (chaos, btcv):
        added.add_argument("--size", type=int, default=256, help="edge of the prepared slices in pixels")
        added.add_argument("--border", type=int, default=32, help="pixels cut off at each side of a CT slice")
    command("polyp", "folder that holds the sets", "Kvasir-SEG, CVC-300, CVC-ClinicDB, CVC-ColonDB, ETIS")
    folder = command("folder", "JSON or CSV list of scans", "any scans: NIfTI, NRRD, DICOM series, pictures")
    folder.add_argument("--label_names", dest="names", help='values by name, such as \'{"liver": 1, "spleen": 2}\'')
    folder.add_argument("--modality", choices=("auto", "ct", "mr", "picture"), default="auto", help="of all scans")
    return parser


if __name__ == "__main__":
    main()
