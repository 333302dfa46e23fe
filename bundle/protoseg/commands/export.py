"""Write what ships in forms that others take.

    protoseg export onnx encoder.onnx             the encoder, for programs without torch
    protoseg export huggingface protoseg-on-hub   the bundle, as a repository of the Hugging Face hub

bundle/docs/export.md describes them.
"""

import argparse
from pathlib import Path

from protoseg import bundle_root
from protoseg.networks.onnx_export import TOLERANCE, export_onnx
from protoseg.workflows.hub_folder import write_hub_folder


def main() -> None:
    """Read the arguments, write, say where it is."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    forms = parser.add_subparsers(dest="form", required=True, metavar="FORM")
    shipped = Path(bundle_root()) / "models" / "model.pt"
    onnx = forms.add_parser("onnx", help="the encoder as an ONNX file, compared with torch", allow_abbrev=False)
    onnx.add_argument("output", type=Path, help="file to write")
    onnx.add_argument("--weights", type=Path, default=shipped, help="of a network with an FPN; those that ship")
    hub = forms.add_parser("huggingface", help="the bundle as a repository of the hub", allow_abbrev=False)
    hub.add_argument("output", type=Path, help="folder to make")
    arguments = parser.parse_args()
    if arguments.form == "huggingface":
        print(write_hub_folder(arguments.output))
    else:
        difference = export_onnx(arguments.weights, arguments.output)
        print(f"{arguments.output}  at most {difference:.1e} from torch, {TOLERANCE:g} is allowed")


if __name__ == "__main__":
    main()
