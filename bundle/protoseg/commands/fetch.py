"""Fetch weights from their publishers into bundle/models, where the configs look for them.

Give the same command again to go on where it was stopped.
"""

import argparse
from pathlib import Path

from protoseg import bundle_root
from protoseg.data.preparation.published_weights import PUBLISHED, fetch, take
from protoseg.errors import InputError


def main() -> None:
    """Read the arguments, fetch, say where the files are."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    names = f"what to fetch: {', '.join(PUBLISHED)}"
    parser.add_argument("names", nargs="+", choices=list(PUBLISHED), metavar="NAME", help=names)
    parser.add_argument(
        "--from", dest="source", type=Path, metavar="DIR", help="where files that were fetched elsewhere are"
    )
    parser.add_argument("--folder", type=Path, default=Path(bundle_root()) / "models", help="where to put them")
    arguments = parser.parse_args()
    try:
        for name in arguments.names:
            file = PUBLISHED[name]
            if arguments.source is None:
                print(fetch(file, arguments.folder))
            else:
                print(take(file, arguments.source, arguments.folder))
    except InputError as error:
        parser.exit(2, f"Error: {error}\n")


if __name__ == "__main__":
    main()
