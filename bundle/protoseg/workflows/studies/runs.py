"""Runs the variants of a study on the scans of a data set."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import torch
from monai.data import Dataset, MetaTensor

from protoseg.engine.prediction import Prediction
from protoseg.engine.slice_encoder import SliceEncoder
from protoseg.engine.support import SupportSet
from protoseg.errors import InputError
from protoseg.files import write_json
from protoseg.labels import LabelSet
from protoseg.ops.fingerprint import tensor_digest, weights_fingerprint
from protoseg.ops.hashing import fingerprint
from protoseg.workflows.engine_parts import EngineParts, open_config, open_parts
from protoseg.workflows.studies.clicks import click_figures, click_rows
from protoseg.workflows.studies.label_noise import deform_labels
from protoseg.workflows.studies.study import Study
from protoseg.workflows.studies.variants import Variant

__all__ = ["run_click_study", "run_study"]

SETTINGS = (
    "support_selection",
    "contrast",
    "orientation",
    "layout",
    "component_filter",
    "refiner",
    "adaptation",
)  # config entries that, with its parts, make a method


def run_study(study: Study, variants: Mapping[str, Variant], *, limit: int | None = None, **overrides: Any) -> None:
    """Segment and measure the same scans by one variant after another; the files are written after each.

    Args:
        study: study that collects the rows.
        variants: variants by name.
        limit: largest number of scans; by default all.
        **overrides: values of config entries for all variants, which may override them again: "dataset_dir", "section",
            "weights".

    Raises:
        InputError: the limit is below 1, or the configs cannot be used.
    """
    for name, variant in variants.items():
        opened = _open(variant, overrides)
        scans = opened.scans[: _checked(limit)]
        study.measure(name, opened.segment, scans, opened.support.labels, made_with=opened.fingerprint())
        study.write()


def run_click_study(study: Study, *, clicks: int, limit: int | None = None, **overrides: Any) -> None:
    """Click on every label of scans, up to so many times, and sum up in a JSON file; as `run_study` otherwise."""
    if clicks < 1:
        raise InputError(f"clicks is {clicks}; it must be at least 1.")
    opened = _open(Variant(), overrides)
    encoder = opened.parts.encoder()
    for scan in opened.scans[: _checked(limit)]:
        content = scan["image"], scan["label"], opened.support.labels, encoder
        measure = partial(click_rows, *content, clicks=clicks)
        study.keep(scan, f"{clicks} clicks", opened.fingerprint(), measure)
        study.write()
        write_json(study.output_dir / f"{study.name}.json", click_figures(study.rows))


@dataclass(frozen=True)
class _OpenVariant:
    """The engine of a variant, and its scans."""

    parts: EngineParts
    support: SupportSet
    scans: Dataset
    described: Mapping[str, Any]  # `SETTINGS` as the configs have them
    encoder: SliceEncoder

    def segment(self, volume: MetaTensor) -> Prediction:
        return self.parts.segment(volume, self.support, self.encoder)

    def fingerprint(self) -> str:
        """Give the digits that stand for everything the result depends on, except the volume."""
        support = (tensor_digest(self.support.images), tensor_digest(self.support.masks))
        names = (self.support.labels, self.support.components)
        return fingerprint(weights_fingerprint(self.parts.network), *support, *names, self.described)


def _open(variant: Variant, overrides: Mapping[str, Any]) -> _OpenVariant:
    config = open_config(("train.yaml", "evaluate.yaml", *variant.overlays), **{**overrides, **variant.overrides})
    torch.manual_seed(config["seed"])  # an untrained network is the same each time
    parts = open_parts(config, estimate_quality=False)
    legend = LabelSet.parse(config.get_parsed_content("label_names"), "label_names")
    support = _with_values(config.get_parsed_content("validate#support"), legend)
    return _OpenVariant(
        parts=parts,
        support=deform_labels(support, variant.label_noise),
        scans=config.get_parsed_content("validate#dataset"),
        described={name: config[name] for name in SETTINGS},
        encoder=parts.encoder(),
    )


def _with_values(support: SupportSet, values: LabelSet) -> SupportSet:
    """Give the support with the values of the queries' data set, without labels unknown there."""
    if not support.labels.keys() & values.keys():
        raise InputError(
            f"The support has the labels {', '.join(support.labels)} and the queries {', '.join(values)}; they need "
            "a name in common. Give the same names to the same organs in both."
        )
    for name in support.labels.keys() - values.keys():
        support = support.without_label(name)
    return replace(support, labels=support.labels.with_values(values))


def _checked(limit: int | None) -> int | None:
    if limit is not None and limit < 1:
        raise InputError(f"--limit is {limit}; it must be at least 1 scan.")
    return limit
