"""Study what a part of the method is worth on a data set with labels.

Writes STUDY.csv, a row for each scan, method and label, and STUDY.png, their means. Give the same command again to go
on where it was stopped. Without scans of your own: protoseg synthesize data/synthetic --test 12
"""

import argparse
import resource
from pathlib import Path
from typing import Any

from protoseg import bundle_root
from protoseg.workflows.errors import report_input_errors
from protoseg.workflows.studies import variants as study_variants
from protoseg.workflows.studies.clicks import click_figures
from protoseg.workflows.studies.correction_figures import correction_figures, correction_table, draw_corrections
from protoseg.workflows.studies.index_clicks import figures_by_set, run_click_study_of_index
from protoseg.workflows.studies.runs import run_click_study, run_study
from protoseg.workflows.studies.series import LIBRARY_SLICES, dataset_series, index_series, run_correction_study
from protoseg.workflows.studies.study import Study, study_table
from protoseg.workflows.studies.views import view_variants

SHIPPED = Path(bundle_root()) / "models" / "model.pt"
SCOPES = ("slice", "volume", "support")


def main() -> None:
    """Read the arguments, study, print a table, say where the files are."""
    command, arguments = parse()
    report_input_errors()
    drawn = {"corrections": draw_corrections}.get(command)
    study = Study(command, arguments.pop("output_dir"), drawn)
    if command in BY_CLICKS:
        BY_CLICKS[command](study, arguments)
    else:
        variants = variants_of(command, arguments)  # takes arguments out
        run_study(study, variants, **arguments)
        print(study_table(study.rows))
    print(f"peak memory {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20:.2f} GiB, of all methods together")
    print(f"written to {study.output_dir / study.name}.csv and .png")


def study_clicks(study: Study, arguments: dict[str, Any]) -> None:
    """Click on the scans of a data set, or of a suite's index, and print the figures."""
    index, only = arguments.pop("index"), arguments.pop("only")
    if index is None:
        run_click_study(study, **arguments)
        print(study_table(study.rows) + "\n\n" + figures_line(click_figures(study.rows)) + "\n")
    else:
        kept = {name: arguments[name] for name in ("clicks", "limit", "weights")}
        run_click_study_of_index(study, index, only=only, **kept)
        for name, figures in figures_by_set(study.rows).items():
            print(f"{name:24}{figures_line(figures)}")


def study_corrections(study: Study, arguments: dict[str, Any]) -> None:
    """Let a simulated user correct one scan after another, and print the figures of each position."""
    index, only, dataset_dir, section = (arguments.pop(key) for key in ("index", "only", "dataset_dir", "section"))
    series = dataset_series(dataset_dir, section) if index is None else index_series(index, only)
    run_correction_study(study, series, **arguments)
    print(correction_table(correction_figures(study.rows)))


BY_CLICKS = {"clicks": study_clicks, "corrections": study_corrections}


def figures_line(figures: dict[str, float]) -> str:
    """Put figures on one line."""
    return "  ".join(f"{name} {value:.3f}" for name, value in figures.items())


def parse() -> tuple[str, dict[str, Any]]:
    """Read the name of the study and its arguments."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)

    def add(name: str, summary: str) -> argparse.ArgumentParser:
        formatter = argparse.ArgumentDefaultsHelpFormatter
        command = commands.add_parser(name, help=summary, description=summary, formatter_class=formatter)
        several = {"nargs": "+"} if name == "modalities" else {}
        needed = name not in BY_CLICKS
        command.add_argument("--dataset_dir", required=needed, help="that holds dataset.json", **several)
        command.add_argument("--output_dir", type=Path, required=True, help=f"where to write {name}.csv and .png")
        first = "is corrected first" if name == "corrections" else "is the support"
        command.add_argument("--section", default="test", help=f"of dataset.json; its first scan {first}")
        command.add_argument("--weights", default=str(SHIPPED), help="of the network")
        command.add_argument("--limit", type=int, help="scans to segment; all when left out")
        return command

    refinement = add("refinement", "coarse masks against refined ones")
    refinement.add_argument("--adaptation", action="store_true", help="study test-time training too, which is slow")
    refinement.add_argument("--slice_steps", type=int, default=20, help="of it on each slice; published: 100")
    encoders = add("encoders", "the encoders whose checkpoints are there, and the FPN, trained and untrained")
    encoders.add_argument(
        "--encoder_weights", metavar="NAME=FILE", nargs="+", default=[], help="checkpoints of encoders, by their names"
    )
    add("shots", "1, 2, 3, 5 and 10 labelled scans, as far as the section has them")
    add("components", "one 3D component of each label, as many as in the support, or all")
    ttt = add("ttt", "test-time training: scopes, steps, and noise in the support's labels; slow")
    ttt.add_argument("--scopes", nargs="+", choices=SCOPES, default=SCOPES, help="what is learned from")
    ttt.add_argument("--steps", type=int, nargs="+", default=(10, 40), help="of the optimizer")
    ttt.add_argument("--label_noise", type=float, nargs="+", default=(0, 4), help="pixels that borders move")
    corruption = add("corruption", "test-time training on masks that are wrong on purpose, guarded and not; slow")
    corruption.add_argument("--learning_rate", type=float, default=0.003, help="high, to do harm in a few steps")
    resolution = add("resolution", "edges of the network's input")
    resolution.add_argument("--sizes", type=int, nargs="+", default=(256, 448, 672), help="in pixels")
    add("modalities", "a support of each of several data sets for the scans of each, such as CT and MR")
    add("views", "scans turned, mirrored, cropped, coarser or inverted; the support as it is, or seen so too")
    clicks = add("clicks", "Dice of each label, alone, after every click of a simulated user, without a support")
    clicks.add_argument("--clicks", type=int, default=5, help="on each label")
    corrections = add("corrections", "clicks to a Dice of .90 from scan to scan, each corrected by a user and learned")
    corrections.add_argument("--clicks", type=int, default=10, help="the most that a label of a scan gets")
    corrections.add_argument("--orders", type=int, default=1, help="in how many orders the scans are gone through")
    corrections.add_argument("--support_slices", type=int, default=LIBRARY_SLICES, help="that the library keeps in all")
    for command in (clicks, corrections):
        command.add_argument("--index", type=Path, help="of a suite, whose queries are taken instead of dataset_dir's")
        command.add_argument("--only", nargs="+", default=[], metavar="NAME", help="sets of it; all when left out")
    arguments = vars(parser.parse_args())
    name = arguments.pop("command")
    if name in BY_CLICKS and (arguments["dataset_dir"] is None) == (arguments["index"] is None):
        commands.choices[name].error("give either --dataset_dir or --index")
    return name, arguments


def variants_of(command: str, arguments: dict[str, Any]) -> study_variants.Variants:
    """Make the variants of a study; its own arguments are taken out, the rest is common to all studies."""

    def own(*names: str) -> dict[str, Any]:
        return {name: arguments.pop(name) for name in names}

    match command:
        case "refinement":
            return study_variants.refinement_variants(**own("adaptation", "slice_steps"))
        case "encoders":
            files = {name: file for name, _, file in (pair.partition("=") for pair in arguments.pop("encoder_weights"))}
            variants, skipped = study_variants.encoder_variants(files)
            reason = "as their checkpoints are not there (--encoder_weights NAME=FILE)"
        case "shots":
            variants, skipped = study_variants.shot_variants(arguments["dataset_dir"], arguments["section"])
            reason = f"as the section '{arguments['section']}' has too few scans"
        case "components":
            return study_variants.component_variants()
        case "ttt":
            return study_variants.ttt_variants(**own("scopes", "steps", "label_noise"))
        case "corruption":
            return study_variants.corruption_variants(**own("learning_rate"))
        case "resolution":
            return study_variants.resolution_variants(**own("sizes"))
        case "modalities":  # whose folders are part of the variants
            return study_variants.modality_variants(arguments.pop("dataset_dir"))
        case _:
            return view_variants()
    if skipped:
        print(f"skipped, {reason}: {', '.join(skipped)}")
    return variants


if __name__ == "__main__":
    main()
