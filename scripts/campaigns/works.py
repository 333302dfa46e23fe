"""Pieces of the product's work that write files, each small enough to be killed a dozen times in a minute."""

from __future__ import annotations

import gzip
import hashlib
import importlib.util
import json
import logging
import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from campaigns.scan import label_map, scan, write_nifti
from campaigns.targets import SMALL
from protoseg.data.preparation.listed import find_listed
from protoseg.data.preparation.prepare import prepare
from protoseg.data.preparation.synthetic import write_dataset
from protoseg.files import replacing
from protoseg.workflows.bundle_runs import run_bundle
from protoseg.workflows.inference import run_inference

__all__ = ["WORKS", "Work", "file_digest"]

APP = Path(__file__).resolve().parents[2] / "monailabel_app"
TRAINING = {**SMALL, "weights": None, "workers": 0, "batch_size": 2, "epochs": 2, "epoch_length": 2}
TRAINING.pop("shipped_weights")
NAMES = {"label_info": [{"name": "liver", "idx": 1}, {"name": "spleen", "idx": 2}]}


def file_digest(path: Path) -> str:
    """Digest the content of a file; of a checkpoint, its tensors."""
    if path.suffix == ".pt":
        content: Any = torch.load(path, weights_only=True)
        hashed = hashlib.sha256()
        for name, tensor in sorted(content["network"].items()):
            hashed.update(name.encode() + tensor.numpy().tobytes())
        return f"{hashed.hexdigest()} {content.get('iteration')}"
    content = path.read_bytes()
    return hashlib.sha256(gzip.decompress(content) if path.suffix == ".gz" else content).hexdigest()


@dataclass(frozen=True)
class Work:
    """A piece of work.

    Args:
        prepare: function that writes the input into a folder.
        run: function that does the work from that folder into another, and resumes it if it was stopped.
        results: names of output files that must equal those of an undisturbed run.
        rewritten: names of those that are written more than once, so that their earlier states are whole, too.
    """

    prepare: Callable[[Path], Any]
    run: Callable[[Path, Path], Any]
    results: tuple[str, ...]
    rewritten: tuple[str, ...] = ()


def _scans(folder: Path) -> None:
    write_nifti(folder / "labels.nii.gz", label_map())
    for seed in range(4):
        write_nifti(folder / f"scan{seed}.nii.gz", scan(seed))


def _segment(source: Path, place: Path) -> None:
    queries = [str(source / f"scan{seed}.nii.gz") for seed in (1, 2, 3)]
    overrides = {
        **SMALL,
        "support_image": str(source / "scan0.nii.gz"),
        "support_label": str(source / "labels.nii.gz"),
        "query": queries,
        "output_dir": str(place),
        "resume": True,
    }
    run_inference((), overrides)


def _synthesize(_: Path, place: Path) -> None:
    write_dataset(place, training=2, validation=1, test=0, shape=(32, 32, 4), spacing=(12.0, 12.0, 60.0))


def _listed(folder: Path) -> None:
    _scans(folder)
    cases = [{"image": f"scan{seed}.nii.gz", "label": "labels.nii.gz"} for seed in range(4)]
    content = {"labels": {"liver": 1, "spleen": 2}, "scans": cases}
    (folder / "list.json").write_text(json.dumps(content), encoding="utf-8")


def _prepare(source: Path, place: Path) -> None:
    prepare(find_listed(source / "list.json"), place)


def _dataset(folder: Path) -> None:
    _scans(folder)
    cases = [{"image": f"scan{seed}.nii.gz", "label": "labels.nii.gz"} for seed in range(2)]
    content = {"labels": {"1": "liver", "2": "spleen"}, "training": cases, "validation": cases}
    (folder / "dataset.json").write_text(json.dumps(content), encoding="utf-8")


def _train(source: Path, place: Path) -> None:
    paths = {"dataset_dir": str(source), "output_dir": str(place), "cache_dir": str(place / "cache")}
    run_bundle("training", (), {**TRAINING, **paths, "checkpoint_interval": 1})


def _adapt(source: Path, place: Path) -> None:
    paths = {"dataset_dir": str(source), "output_dir": str(place), "cache_dir": str(place / "cache")}
    run_bundle("training", ("adapt.yaml",), {**TRAINING, **paths, "epochs": 1})


def _submit(source: Path, place: Path) -> None:
    """Submit a label as the app does, to a folder of studies that is open anew."""
    if str(APP) not in sys.path:
        sys.path.insert(0, str(APP))
    from lib.server.folder_datastore import FolderDatastore

    if not (place / "scan0.nii.gz").exists():
        with replacing(place / "scan0.nii.gz") as unfinished:  # which is no work of the product's
            shutil.copy(source / "scan0.nii.gz", unfinished)
    store = FolderDatastore(str(place), extensions=("*.nii.gz",))
    store.save_label("scan0", str(source / "labels.nii.gz"), "final", NAMES)


def _outputs(*names: str) -> tuple[str, ...]:
    return tuple(f"{name}_seg{suffix}" for name in names for suffix in (".nii.gz", ".png", ".json"))


WORKS: dict[str, Work] = {
    "inference": Work(_scans, _segment, _outputs("scan1", "scan2", "scan3")),
    "synthesis": Work(
        lambda _: None,
        _synthesize,
        ("dataset.json", "synthesis.json", *(f"{kind}/training_000.nii.gz" for kind in ("images", "labels"))),
    ),
    "preparation": Work(_listed, _prepare, ("dataset.json", *(f"images/scan{number}.nii.gz" for number in range(4)))),
    "training": Work(_dataset, _train, ("last.pt", "best.pt"), rewritten=("last.pt", "best.pt")),
    "adaptation": Work(_dataset, _adapt, ("adapted.pt",)),
}
if importlib.util.find_spec("monailabel") is not None:
    WORKS["submit"] = Work(_scans, _submit, ("labels/final/scan0.nii.gz",))
logging.getLogger("monai").setLevel(logging.ERROR)
