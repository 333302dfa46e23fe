"""The bundle as a folder for the Hugging Face hub: as it is here, with a card made of its pages."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from protoseg import bundle_root
from protoseg.errors import InputError
from protoseg.files import PathLike, is_there, to_path, unfinished_path, write_errors

__all__ = ["hub_card", "write_hub_folder"]

WEIGHTS = "models/model.pt"  # others in the folder were fetched, and are not ours to publish
PARTS = ("LICENSE", "configs", "docs", "protoseg", WEIGHTS)
PAGES = ("README.md", "model_card.md")  # the parts of the card, in this order
# Metadata of the model on the hub; license and the first two tags are as MONAI's own `push_to_hf_hub` has them.
FRONT_MATTER: dict[str, Any] = {
    "license": "apache-2.0",
    "library_name": "monai",
    "pipeline_tag": "image-segmentation",
    "tags": [
        "monai",
        "medical",
        "medical-imaging",
        "one-shot-segmentation",
        "few-shot-segmentation",
        "interactive-segmentation",
        "ct",
        "mri",
    ],
}
LARGE_FILES = ("*.pt", "*.onnx", "*.png")  # kept in the hub's store of large and binary files
LINK = re.compile(r"\]\((?!https?:|#)")


def write_hub_folder(folder: PathLike) -> Path:
    """Write the bundle as a repository of the hub: the card, license, configs, weights that ship, pages and code.

    The code is as in the bundle's folder, so that `python -m monai.bundle run` works in a copy of it.

    Args:
        folder: folder to make, which appears whole or not at all.

    Returns:
        Path of the folder.

    Raises:
        InputError: the folder is not empty, cannot be written, or the installation has no pages.
    """
    bundle, folder = Path(bundle_root()), to_path(folder, "folder").absolute()
    _check_parts(bundle)
    if is_there(folder) and not (folder.is_dir() and not any(folder.iterdir())):
        raise InputError(f"{folder} exists already; expected a new folder, or an empty one. Choose another.")
    unfinished = unfinished_path(folder)
    try:
        with write_errors(folder):
            unfinished.mkdir(parents=True)
            _copy_parts(bundle, unfinished)
            (unfinished / "README.md").write_text(hub_card(bundle), encoding="utf-8")
            rules = "".join(f"{pattern} filter=lfs diff=lfs merge=lfs -text\n" for pattern in LARGE_FILES)
            (unfinished / ".gitattributes").write_text(rules, encoding="utf-8")
            if folder.is_dir():
                folder.rmdir()  # Windows does not rename to an existing folder
            unfinished.rename(folder)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
    return folder


def hub_card(bundle: Path) -> str:
    """Make the model card of the hub: its metadata, then the bundle's first page and its own card.

    Args:
        bundle: folder of the bundle.
    """
    metadata = json.loads((bundle / "configs" / "metadata.json").read_text(encoding="utf-8"))
    front = yaml.safe_dump({**FRONT_MATTER, "model_name": metadata["name"]}, sort_keys=False)
    first, *others = (LINK.sub("](docs/", _page(bundle, name)) for name in PAGES)
    below = (re.sub(r"(?m)^#", "##", page) for page in others)
    return "\n".join((f"---\n{front}---\n", first, *below))


def _page(bundle: Path, name: str) -> str:
    return (bundle / "docs" / name).read_text(encoding="utf-8")


def _check_parts(bundle: Path, parts: Sequence[str] = PARTS) -> None:
    missing = [part for part in parts if not (bundle / part).exists()]
    if missing:
        raise InputError(
            f"{bundle} has no {' and no '.join(missing)}: an installed wheel lacks what only those who publish need. "
            "Give the command in a checkout of protoseg, after pip install --editable."
        )


def _copy_parts(bundle: Path, folder: Path) -> None:
    for part in PARTS:
        source, target = bundle / part, folder / part
        if source.is_dir():
            shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__", ".*"))
        else:
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source, target)
