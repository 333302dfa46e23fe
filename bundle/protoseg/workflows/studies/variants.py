"""The variants of an evaluation that the studies compare, by name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path
from typing import Any

from protoseg import bundle_root
from protoseg.data.io.datalists import load_datalist
from protoseg.errors import InputError
from protoseg.networks.encoder_table import ENCODERS, SHIPPED
from protoseg.workflows.studies.corrupted_adaptation import CORRUPTIONS

__all__ = [
    "CONFIGS",
    "Variant",
    "Variants",
    "component_variants",
    "corruption_variants",
    "encoder_variants",
    "modality_variants",
    "refinement_variants",
    "resolution_variants",
    "shot_variants",
    "ttt_variants",
]

CONFIGS = Path(bundle_root()) / "configs"
SHOTS = (1, 2, 3, 5, 10)


@dataclass(frozen=True)
class Variant:
    """Overlays and overrides of `train.yaml` and `evaluate.yaml`.

    Args:
        overlays: names of files in the folder of configs.
        overrides: values of config entries by id.
        label_noise: largest move of the labels' borders in pixels, see `deform_labels`.
    """

    overlays: tuple[str, ...] = ()
    overrides: Mapping[str, Any] = field(default_factory=dict)
    label_noise: float = 0.0


Variants = dict[str, Variant]  # by name, in the order of the table


def refinement_variants(*, adaptation: bool = False, slice_steps: int = 20) -> Variants:
    """Vary the refinement: coarse masks, and the steps that improve them, in order.

    Args:
        adaptation: True to add test-time training and adaptation to the support, without a limit of time, so that the
            figures do not depend on the machine.
        slice_steps: number of steps of test-time training on each slice; with the published number a volume takes half
            an hour.
    """
    graph_cut = "refiners/graph_cut.yaml"
    variants = {
        "coarse": Variant(overrides={"component_filter": "none", "refiner": None}),
        "+ CCA": Variant(overrides={"refiner": None}),
        "+ guided upsampling": Variant(("refiners/guided.yaml",)),
        "+ graph cut": Variant((graph_cut,)),
    }
    if adaptation:
        steps = {"adaptation#steps": slice_steps}
        variants["+ support adaptation"] = Variant((graph_cut, "adaptation/support.yaml"))
        variants["+ TTT (volume)"] = Variant((graph_cut, "adaptation/volume.yaml"), {"adaptation#seconds": None})
        variants[f"+ TTT (slice, {_counted(slice_steps, 'step')})"] = Variant(
            (graph_cut, "adaptation/slice.yaml"), steps
        )
    return variants


def encoder_variants(weights: Mapping[str, str]) -> tuple[Variants, list[str]]:
    """Vary the encoder: trained, untrained, and each that has a checkpoint; and give the names of the others.

    Args:
        weights: checkpoint of an encoder by its name, if it is not in the bundle's models.

    Raises:
        InputError: an unknown name, or a missing file.
    """
    names = sorted(name for name in ENCODERS if name != SHIPPED)
    for name, path in weights.items():
        if name not in names:
            raise InputError(f"There is no encoder '{name}'; choose {', '.join(names)}.")
        if not Path(path).is_file():
            raise InputError(f"The weights {path} of the encoder '{name}' do not exist. Check the path.")
    variants, absent = {"fpn": Variant(), "fpn, untrained": Variant(overrides={"weights": None})}, []
    for name in names:
        path = weights[name] if name in weights else str(Path(bundle_root()) / "models" / ENCODERS[name].file)
        if Path(path).is_file():
            variants[name] = Variant(overrides={"encoder": name, "weights": None, "encoder_def#weights": path})
        else:
            absent.append(name)
    return variants, absent


def shot_variants(dataset_dir: str, section: str) -> tuple[Variants, list[str]]:
    """Vary the support: more and more scans for the same queries, and the names of those that need more scans."""
    count = len(load_datalist(f"{dataset_dir}/dataset.json", section, dataset_dir=dataset_dir, segmented=True))
    possible = [shots for shots in SHOTS if shots < count]
    variants = {
        _counted(shots, "shot"): Variant(
            overrides={
                "support_scans": max(possible),
                "validate#support#cases": f"$@validate#split.supports[:{shots}]",
            }
        )
        for shots in possible
    }
    return variants, [_counted(shots, "shot") for shots in SHOTS if shots >= count]


def component_variants() -> Variants:
    """Vary how many 3D components of a label are kept."""
    return {rule: Variant(overrides={"component_filter": rule}) for rule in ("one", "support", "none")}


def ttt_variants(*, scopes: Sequence[str], steps: Sequence[int], label_noise: Sequence[float]) -> Variants:
    """Vary scope and number of steps, from a support with each amount of label noise; and go without."""
    variants = {}
    for noise in label_noise:
        suffix = f", noise {noise:g} px" if noise else ""
        variants[f"no TTT{suffix}"] = Variant(label_noise=noise)
        for scope, count in product(scopes, steps):
            # Without the limit of time, which would end some of the trainings before their steps.
            overrides = {"adaptation#steps": count, "adaptation#seconds": None}
            variants[f"{scope}, {_counted(count, 'step')}{suffix}"] = Variant(
                (f"adaptation/{scope}.yaml",), overrides, noise
            )
    return variants


def corruption_variants(*, learning_rate: float) -> Variants:
    """Train on masks spoilt in several ways at test time, watched by a guard and not; and go without."""
    variants = {"no TTT": Variant()}
    for corruption, guarded in product(CORRUPTIONS, (True, False)):
        overrides = {
            "adaptation#_target_": "protoseg.workflows.studies.corrupted_adaptation.CorruptedAdaptation",
            "adaptation#corruption": corruption,
            "adaptation#guarded": guarded,
            "adaptation#seconds": None,
            "adaptation#optimizer#lr": learning_rate,
        }
        name = f"{corruption}, {'guarded' if guarded else 'unguarded'}"
        variants[name] = Variant(("adaptation/volume.yaml",), overrides)
    return variants


def resolution_variants(sizes: Sequence[int]) -> Variants:
    """Vary the edge of the network's input in pixels."""
    return {f"{size} px": Variant(overrides={"image_size": size, "magnification": 1.0}) for size in sizes}


def modality_variants(dataset_dirs: Sequence[str]) -> Variants:
    """Take a support from each data set for the queries of each, which are the same whatever the support.

    Raises:
        InputError: two data sets have one name.
    """
    names = [Path(folder).resolve().name for folder in dataset_dirs]
    if len(set(names)) < len(names):
        raise InputError(f"The data sets are named {', '.join(names)}; give folders with names of their own.")
    folders = dict(zip(names, dataset_dirs))
    return {
        f"{support} to {query}": Variant(overrides=_support_from(folders[support]) | {"dataset_dir": folders[query]})
        for query, support in product(names, names)
    }


def _support_from(folder: str) -> dict[str, Any]:
    listed = f"{folder}/dataset.json"
    return {
        "support_cases": {
            "_target_": "protoseg.data.io.datalists.load_datalist",
            "dataset_json": listed,
            "section": "@section",
            "dataset_dir": folder,
        },
        "validate#support#cases": "$@support_cases[:@support_scans]",
        "validate#support#label_names": {
            "_target_": "protoseg.data.io.datalists.label_names",
            "dataset_json": listed,
        },
    }


def _counted(count: int, thing: str) -> str:
    return f"{count} {thing}{'' if count == 1 else 's'}"
