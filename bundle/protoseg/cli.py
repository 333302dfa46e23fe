"""The command `protoseg`: label one scan, get the rest.

Heavy modules are imported only when a sub-command needs them.
"""

from __future__ import annotations

import json
import logging
import os
import sys
import warnings
from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

import click

from protoseg import __version__, bundle_root
from protoseg.commands.sections import SectionedGroup
from protoseg.commands.texts import parse_labels, parse_options, parse_place, parse_slices
from protoseg.errors import InputError, input_errors_unwrapped
from protoseg.files import literal_path
from protoseg.moved import RenamedWarning

__all__ = ["main"]

Command = Callable[..., Any]
BAD_INPUT, INTERRUPTED = 2, 130  # exit statuses

overlays = click.option(
    "--config",
    "configs",
    multiple=True,
    metavar="FILE",
    help="Lay a config over the job's: refiners/guided.yaml.",
)
settings = click.option(
    "--set",
    "options",
    multiple=True,
    metavar="ID=VALUE",
    help="Set an entry of the config, such as support_selection=all.",
)
output = click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    default="results",
    show_default=True,
    help="Folder of results.",
)
device = click.option("--device", default="auto", show_default=True, help="cpu, cuda, cuda:1, mps, or auto.")
data = click.option("--data", required=True, metavar="FOLDER", help="Data set with a dataset.json.")
weights = click.option("--weights", metavar="FILE", help="Weights of the network; those that ship when left out.")
encoder = click.option(
    "--encoder", metavar="NAME", help="Encoder, such as dinov2_vitb14; the one that ships when left out."
)
as_json = click.option("--json", "as_json", is_flag=True, help="Print the results as JSON.")


def engine(command: Command) -> Command:
    """Add the options of every command that uses the network."""
    for option in (settings, overlays, weights, encoder, device):
        command = option(command)
    return command


def job(command: Command) -> Command:
    """Add the options of every command that runs a workflow of the bundle."""
    return output(engine(command))


@click.group(cls=SectionedGroup, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(__version__)
@click.option("-v", "--verbose", is_flag=True, help="Tell more on the way.")
def protoseg(verbose: bool) -> None:
    """Label one slice or scan, get the rest: one-shot segmentation of CT, MRI and pictures."""
    logging.basicConfig(level=logging.INFO if verbose else logging.WARNING, format="%(levelname)s: %(message)s")
    logging.captureWarnings(True)
    logging.getLogger("py.warnings").addFilter(lambda record: "use that name" in record.getMessage())
    warnings.formatwarning = lambda message, *_: str(message)
    warnings.simplefilter("ignore")
    warnings.simplefilter("default", RenamedWarning)


@protoseg.command()
@click.argument("queries", nargs=-1, required=True)
@click.option(
    "--like", nargs=2, multiple=True, required=True, metavar="IMAGE LABELS", help="A labelled scan; repeatable."
)
@click.option("--labels", help="Which labels: liver,spleen or liver=6,spleen=1. All when left out.")
@click.option(
    "--slices", default="largest", show_default=True, help="Labelled slices to go by: largest, thirds, all, 12,15."
)
@click.option("--fast", is_flag=True, help="Without refined borders and estimated Dice.")
@click.option("--save", default="", help="More formats: nrrd,mha,dicom_seg,rtstruct; the last two of DICOM series.")
@click.option("--statistics", is_flag=True, help="Write statistics.csv: size, place and intensities of each label.")
@click.option("--resume", is_flag=True, help="Leave out what has a result of the same settings.")
@click.option(
    "--workers", default=1, show_default=True, type=click.IntRange(1), help="Processes here that share the scans."
)
@click.option("--scheduler", metavar="ADDRESS", help="Cluster of Dask that shares them: tcp://10.0.0.1:8786.")
@click.option("--dashboard", is_flag=True, help="Show what the workers do at 127.0.0.1:8787; needs bokeh.")
@job
@as_json
def segment(queries: tuple[str, ...], like: tuple[tuple[str, str], ...], output: Path, **chosen: Any) -> None:
    """Segment scans, pictures, DICOM folders, or folders of these, by what is labelled in others.

    For each there will be QUERY_seg.nii.gz, QUERY_seg.png to look at, and QUERY_seg.json.
    """
    from protoseg.data.io.queries import query_list
    from protoseg.workflows.cluster import open_cluster
    from protoseg.workflows.further_results import check_formats, write_further_results
    from protoseg.workflows.inference import run_inference
    from protoseg.workflows.reports.tables import read_reports, report_table

    formats = check_formats(chosen["save"].split(",") if chosen["save"] else [])
    images, label_maps = (list(paths) for paths in zip(*like))
    overrides: dict[str, Any] = {
        "support_image": [literal_path(image) for image in images],
        "support_label": [literal_path(label_map) for label_map in label_maps],
        "query": [literal_path(query) for query in queries],
        "output_dir": literal_path(output),
        "label_names": parse_labels(chosen["labels"]),
        "support_slices": parse_slices(chosen["slices"]),
        "resume": chosen["resume"],
        **({"refiner": "$None", "inferer#estimate_quality": False} if chosen["fast"] else {}),
    }
    with open_cluster(chosen["workers"], chosen["scheduler"], dashboard=chosen["dashboard"]) as client:
        run_inference(chosen["configs"], overrides | _common(chosen), client=client)
        reports = read_reports(output, [case["image"] for case in query_list(list(queries))])
        more = write_further_results(output, reports, formats=formats, statistics=chosen["statistics"], client=client)
    click.echo(
        json.dumps(reports, indent=2)
        if chosen["as_json"]
        else "\n".join((report_table(reports, output), *map(str, more)))
    )


@protoseg.command("click")
@click.argument("image")
@click.option("--at", multiple=True, required=True, metavar="X,Y,Z", help="A place inside the structure; repeatable.")
@click.option("--not", "outside", multiple=True, metavar="X,Y,Z", help="A place outside of it; repeatable.")
@click.option("--mm", is_flag=True, help="Places are in RAS+ mm, not voxels counted from 0.")
@click.option("--label", default="structure", show_default=True, help="Name of the structure.")
@click.option("-o", "--output", type=click.Path(path_type=Path), help="Label map; IMAGE_seg.nii.gz when left out.")
@engine
@as_json
def click_on(image: str, at: tuple[str, ...], outside: tuple[str, ...], output: Path | None, **chosen: Any) -> None:
    """Segment a structure by clicks on it."""
    from protoseg.api import Segmenter
    from protoseg.data.io.results import check_replaceable
    from protoseg.data.io.volumes import query_id

    if output is None:
        output = Path(f"{query_id(image)}_seg.nii.gz")
        check_replaceable(output)
    places = [(parse_place(text), True) for text in at] + [(parse_place(text), False) for text in outside]
    options = _common(chosen)
    segmenter = Segmenter.from_pretrained(configs=chosen["configs"], progress=True, **options)
    session = segmenter.session(image, labels=[chosen["label"]])
    for place, positive in places:
        found = session.click(place, positive=positive, millimeters=chosen["mm"])
    saved = found.save(output)
    click.echo(json.dumps({"labels": found.report(), "file": str(saved)}) if chosen["as_json"] else f"{found}\n{saved}")


@protoseg.command()
@data
@job
def evaluate(**chosen: Any) -> None:
    """Measure Dice and surfaces on scans whose labels are known."""
    shipped = str(Path(bundle_root()) / "models" / "model.pt")
    usual = shipped if chosen["encoder"] in (None, "fpn") else "$None"  # None: that encoder's own weights
    _run("evaluating", chosen, weights=usual)


@protoseg.command()
@data
@job
def train(**chosen: Any) -> None:
    """Train the network by superpixels, without labels; a stopped run goes on."""
    _run("training", chosen)


@protoseg.command()
@data
@job
def adapt(**chosen: Any) -> None:
    """Adapt the weights that ship to scans without labels."""
    _run("training", {**chosen, "configs": ("adapt.yaml", *chosen["configs"])})


@protoseg.command()
@click.option("--studies", required=True, help="Folder of scans, or address of a DICOMweb server.")
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen at.")
@click.option("--port", default=8000, show_default=True, help="Port to listen at.")
@click.option("--conf", nargs=2, multiple=True, metavar="KEY VALUE", help="Option of the app; repeatable.")
def serve(studies: str, host: str, port: int, conf: tuple[tuple[str, str], ...]) -> None:
    """Start the MONAI Label server for OHIF and 3D Slicer."""
    from importlib.util import find_spec

    if find_spec("monailabel") is None:
        raise InputError("The server is not installed. Install it: pip install 'protoseg[label]' (Python 3.11).")
    if not studies.startswith(("http://", "https://")) and not Path(studies).is_dir():
        raise InputError(
            f"--studies {studies}: there is no such folder. Give a folder of scans, or the address of a DICOMweb "
            "server, http://127.0.0.1:8042/dicom-web."
        )
    folders = (folder / "monailabel_app" for folder in (Path(bundle_root()), Path(bundle_root()).parent))
    app = next(filter(Path.is_dir, folders))
    options = [word for pair in conf for word in ("--conf", *pair)]
    command = [sys.executable, "-m", "monailabel.main", "start_server", "--app", str(app), "--studies", studies]
    os.execv(sys.executable, [*command, "--host", host, "--port", str(port), *options])


@protoseg.command()
@as_json
def info(as_json: bool) -> None:
    """Tell versions, devices, weights and licenses."""
    from protoseg.workflows.versions import system_info

    found = system_info()
    click.echo(
        json.dumps(found, indent=2) if as_json else "\n".join(f"{key:10} {value}" for key, value in found.items())
    )


def _own_arguments(name: str, summary: str) -> None:
    """Add a sub-command that reads its arguments itself."""

    @protoseg.command(
        name,
        help=summary,
        add_help_option=False,
        context_settings={"ignore_unknown_options": True, "allow_extra_args": True, "help_option_names": []},
    )
    @click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
    def command(arguments: tuple[str, ...]) -> None:
        sys.argv = [f"protoseg {name}", *arguments]
        import_module(f"protoseg.commands.{name.replace('-', '_')}").main()


for _name, _summary in (
    ("demo", "Show it on synthetic people, offline."),
    ("prepare", "Turn public data sets, or a list of scans, into a dataset.json."),
    ("suite", "Judge the product on many sets of labelled scans."),
    ("calibrate", "Fit the estimated Dice to runs of the suite anew."),
    ("study", "Compare methods, or simulate a user who clicks."),
    ("join", "Join small encoders to one network."),
    ("average", "Average weights of the same network."),
    ("export", "Write the encoder as ONNX, or the bundle for the Hugging Face hub."),
    ("fetch", "Fetch published weights: DINOv2, SAM, MedSAM."),
    ("synthesize", "Draw synthetic people with labels."),
    ("features", "Show what the encoder makes of scans."),
    ("to-dicom", "Write volumes as DICOM series."),
):
    _own_arguments(_name, _summary)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command; bad input ends it with one sentence and the status 2.

    Args:
        arguments: words of the command line; by default those of the process.
    """
    try:
        with input_errors_unwrapped():
            status = protoseg.main(arguments, prog_name="protoseg", standalone_mode=False)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except InputError as error:
        click.echo(f"Error: {error}", err=True)
        sys.exit(BAD_INPUT)
    except (click.Abort, KeyboardInterrupt):
        click.echo("Interrupted.", err=True)
        sys.exit(INTERRUPTED)
    sys.exit(status if isinstance(status, int) else 0)


def _run(job: Any, chosen: Mapping[str, Any], **defaults: Any) -> None:
    from protoseg.workflows.bundle_runs import run_bundle

    common = {"dataset_dir": literal_path(chosen["data"]), "output_dir": literal_path(chosen["output"])}
    run_bundle(job, chosen["configs"], defaults | common | _common(chosen))
    click.echo(chosen["output"])


def _common(chosen: Mapping[str, Any]) -> dict[str, Any]:
    """Give the overrides that all jobs share."""
    from protoseg.ops.device import best_device

    given = {name: literal_path(chosen[name]) for name in ("weights", "encoder") if chosen[name]}
    if chosen["device"] != "auto":  # "auto" is resolved by every process for itself
        # As text, which MONAI's parser takes for a value and the report can hold.
        given["device"] = str(best_device(chosen["device"]))
    return {**given, **parse_options(chosen["options"])}
