"""Write volumes as DICOM series, one folder each, for a DICOM server such as Orthanc."""

import argparse
from pathlib import Path

from protoseg.data.io.dicom_export import STORAGE, write_series
from protoseg.data.io.volumes import query_id
from protoseg.errors import InputError


def main() -> None:
    """Read the arguments, write the series, say which UID each has."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    parser.add_argument("images", type=Path, nargs="+", help="volumes; the patient is named after the file")
    parser.add_argument("folder", type=Path, help="where to write <image>/0001.dcm and so on")
    parser.add_argument("--modality", choices=STORAGE, default="CT", help="what the volumes are")
    arguments = parser.parse_args()
    try:
        for image in arguments.images:
            name = query_id(image)
            series = write_series(arguments.folder / name, image, patient=name, modality=arguments.modality)
            print(f"{arguments.folder / name}  {series}")
    except InputError as error:
        parser.exit(2, f"Error: {error}\n")


if __name__ == "__main__":
    main()
