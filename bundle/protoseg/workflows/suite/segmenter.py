"""The product as `inference.yaml` and the user's overrides make it, for one pair of scans after another."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from pathlib import Path
from time import perf_counter
from typing import Any

import torch
from monai.bundle import ConfigParser
from monai.data import MetaTensor
from monai.utils import set_determinism

import protoseg
from protoseg.data.io.grids import align_labels
from protoseg.data.io.volumes import read_labels
from protoseg.data.preprocessing.meta_tensors import meta_tensor
from protoseg.data.preprocessing.orientation import SLICE_AXES
from protoseg.data.preprocessing.transforms import Preprocessing
from protoseg.engine.inferer import FINDINGS
from protoseg.engine.prediction import LabelFinding, findings_from_json
from protoseg.engine.slice_encoder import SliceEncoder
from protoseg.engine.support import SupportSet
from protoseg.errors import InputError, input_errors_unwrapped
from protoseg.ops.volume import Volume, volume_ml
from protoseg.workflows.engine_parts import open_config
from protoseg.workflows.invert import InvertLabelMapd
from protoseg.workflows.suite.index import LabelledScan, ScanPair

__all__ = ["PairSegmenter", "SegmentedPair"]

BY_PAIR = {"support": ("image", "label", "transform", "label_names"), "inferer": ("support",)}  # not of the config
REFERENCE = re.compile(r"@(?:::)?(\w+)")


@dataclass(frozen=True)
class SegmentedPair:
    """A query that was segmented, with its ground truth.

    `image`, `found` and `drawn` are on the grid that the engine works on, axes L, P, S; `predicted` and `true` are on
    that of the query's file, whole. All are (C, X, Y, Z), or (1, X, Y, Z) for label maps.
    """

    support: SupportSet
    support_ml: Mapping[str, float]  # labelled volume of each label that was asked for, mean over the support's scans
    image: MetaTensor
    found: MetaTensor
    drawn: MetaTensor
    predicted: MetaTensor
    true: MetaTensor
    findings: Mapping[str, LabelFinding]
    seconds: float  # from the image in memory to its label map, the support's encoding included


class PairSegmenter:
    """Segments queries from supports by the bundle's own inference config.

    Args:
        overlays: names of files in the folder of configs, laid over `inference.yaml`.
        overrides: values of config entries by id.

    Raises:
        InputError: an overlay or an entry does not exist, or an entry cannot be used.
    """

    def __init__(self, overlays: Sequence[str] = (), overrides: Mapping[str, Any] | None = None) -> None:
        config = open_config(("inference.yaml", *overlays), **(overrides or {}))
        for name, arguments in BY_PAIR.items():
            kept = {key: value for key, value in config[name].items() if key not in arguments}
            config[name] = {**kept, "_mode_": "callable"}
        set_determinism(0)
        self.config = config
        with input_errors_unwrapped():
            self.network = config.get_parsed_content("network").eval()
            self._load_support = config.get_parsed_content("support")
            self._make_inferer = config.get_parsed_content("inferer")
            self.encoder = SliceEncoder(self.network, config.get_parsed_content("image_size"))
        self._preprocessings: dict[str, Preprocessing] = {}

    def settings(self) -> dict[str, Any]:
        """Give all that a label map depends on besides its scans, as JSON: config entries, weights, code and device."""
        roots = ("support", "inferer", "network", "preprocessing")
        return {
            **{name: json.loads(json.dumps(self.config[name])) for name in _reachable(self.config, roots)},
            "device": str(next(self.network.parameters()).device.type),
            "weights_fingerprint": self.encoder.fingerprint(),
            "code": _code_digest(),
        }

    def load(self, scan: LabelledScan) -> dict[str, Any]:
        """Load a scan and its label map for the engine: "image" (C, X, Y, Z) and "label" (1, X, Y, Z).

        Raises:
            InputError: one of them cannot be read.
        """
        data: dict[str, Any] = self._preprocessing(scan)({"image": str(scan.image), "label": str(scan.label)})
        return data

    def segment(self, pair: ScanPair) -> SegmentedPair:
        """Segment the query of a pair, without knowing its label map.

        Raises:
            InputError: a scan cannot be read, or shows none of the labels to look for.
        """
        support, support_ml = self._support(pair)
        preprocessing = self._preprocessing(pair.query)
        query = {"image": str(pair.query.image), "label": str(pair.query.label)}
        data = preprocessing({**query, SLICE_AXES: support.slice_axes})
        inferer = self._make_inferer(support=support, progress=False)
        begin = perf_counter()
        found = inferer(data["image"][None], self.encoder)[0]
        seconds = perf_counter() - begin
        inverting = InvertLabelMapd(keys="pred", transform=preprocessing, orig_keys="image")
        predicted = inverting({**data, "pred": found})["pred"]
        return SegmentedPair(
            support=support,
            support_ml=support_ml,
            image=data["image"],
            found=found,
            drawn=data["label"],
            predicted=predicted,
            true=meta_tensor(align_labels(read_labels(pair.query.label), Volume.of(predicted))),
            findings=findings_from_json(found.meta[FINDINGS]),
            seconds=seconds,
        )

    def _support(self, pair: ScanPair) -> tuple[SupportSet, dict[str, float]]:
        supports: list[SupportSet] = []
        volumes: dict[str, list[float]] = {}
        for scan in pair.supports:
            labels = read_labels(scan.label)
            present = set(torch.unique(labels.as_tensor()).tolist())
            shown = pair.labels.only([name for name, value in pair.labels.items() if value in present])
            if not shown:
                told = ", ".join(f"{name} ({value})" for name, value in pair.labels.items())
                raise InputError(f"{scan.label}: none of the labels {told} is in it. Correct the labels of the set.")
            for name, value in shown.items():
                volumes.setdefault(name, []).append(volume_ml(labels[0] == value, labels.affine))
            supports.append(
                self._load_support(
                    image=scan.image,
                    label=scan.label,
                    transform=self._preprocessing(scan),
                    label_names=shown.legend(),
                    slice_axes=supports[0].slice_axes if supports else None,  # all in the plane of the first
                )
            )
        return reduce(SupportSet.merge, supports), {name: sum(each) / len(each) for name, each in volumes.items()}

    def _preprocessing(self, scan: LabelledScan) -> Preprocessing:
        """Make the config's preprocessing for a scan's modality; a modality chosen by the user holds for all scans."""
        modality = scan.read_as if self.config["modality"] == "auto" else self.config["modality"]
        if modality not in self._preprocessings:
            config = ConfigParser()
            config.read_config(self.config.get())
            config["modality"] = modality
            self._preprocessings[modality] = config.get_parsed_content("preprocessing")
        return self._preprocessings[modality]


def _reachable(config: ConfigParser, roots: Sequence[str]) -> list[str]:
    """List the config's entries that the roots refer to, directly or not, including the roots."""
    reached: list[str] = []
    waiting = list(roots)
    while waiting:
        name = waiting.pop(0)
        if name not in reached and name in config:
            reached.append(name)
            waiting += REFERENCE.findall(json.dumps(config[name]))
    return sorted(reached)


def _code_digest() -> str:
    """Compute the digits that stand for the package's source code, except the workflows, which measure and report."""
    folder = Path(protoseg.__file__).parent
    digest = hashlib.sha256()
    for file in sorted(folder.rglob("*.py")):
        name = file.relative_to(folder)
        if name.parts[0] != "workflows":
            digest.update(str(name).encode() + file.read_bytes())
    return digest.hexdigest()[:12]
