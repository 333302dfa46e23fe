"""The library as one file: a ZIP archive of supports, and a list of where they come from."""

from __future__ import annotations

import hashlib
import json
import zipfile
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from lib.library.examples import Example, Examples
from lib.times import utc_now
from protoseg import __version__
from protoseg.data.support.library import SavedSupport
from protoseg.data.support.loading import save_support
from protoseg.engine.support import SliceOrigin, SupportSet
from protoseg.errors import InputError

__all__ = ["FORMAT", "LIST", "LONGEST_TEXT", "VERSION", "pack", "printable", "write_archive"]

FORMAT, VERSION = "protoseg-library", 1
LIST = "library.json"
LONGEST_TEXT = 256  # characters


def pack(support: SupportSet, study: str) -> SupportSet:
    """Make a support small, and equal to others of its content: a gray slice is three times the same.

    `read_support` undoes it.
    """
    images, origins = support.images, tuple(SliceOrigin(study, origin.slice_index) for origin in support.origins)
    gray = bool((images == images[:, :1]).all())
    return replace(support, images=images[:, :1] if gray else images, origins=origins)


def write_archive(archive: Path, examples: Examples, chosen: Iterable[Example], by: str) -> None:
    """Write examples, those that are switched off too, into an archive; those of no use are left out.

    Args:
        archive: file to write, in a folder of its own.
        examples: library.
        chosen: examples of the library.
        by: name of the user who asked for it.

    Raises:
        InputError: they are more than fit into one archive, 4 GB.
    """
    weights = examples.context.engine.encoder().fingerprint()
    exported = {"exported_at": utc_now(), "exported_by": by, "protoseg": __version__, "weights": weights}
    listed: list[dict[str, Any]] = []
    scratch = archive.with_name("support.safetensors")
    try:
        with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED, compresslevel=1, allowZip64=False) as zipped:
            for example in chosen:
                there = None if example.sketch is None else _read(examples, example)
                if there is None:
                    continue
                example, support = there
                save_support(scratch, pack(support, printable(example.study)))
                content = scratch.read_bytes()
                name = f"supports/{example.id}.safetensors"
                zipped.writestr(name, content)
                digest = hashlib.sha256(content).hexdigest()
                listed.append({"file": name, "sha256": digest, **_about(example, exported)})
            whole = {"format": FORMAT, "version": VERSION, **exported, "examples": listed}
            zipped.writestr(LIST, json.dumps(whole, indent=2))
    except zipfile.LargeZipFile as error:
        raise InputError(
            "The library is larger than an archive may be, 4 GB. Delete examples that you need not."
        ) from error
    finally:
        scratch.unlink(missing_ok=True)


def _read(examples: Examples, example: Example) -> tuple[Example, SupportSet] | None:
    """Read an example, or what others have put in its place meanwhile; None if they removed it."""
    while True:
        try:
            return example, examples.support(example)
        except InputError:
            now = examples.find(example.id)
            if now is None:
                return None
            if now.version == example.version:
                raise
            example = now


def _about(example: Example, exported: Mapping[str, str]) -> dict[str, Any]:
    """Tell of an example where it comes from; what was imported keeps what it came with."""
    come_with = dict(example.provenance) if isinstance(example.source, SavedSupport) else {}
    provenance = {**example.provenance, **exported, **come_with}
    provenance.pop("kind", None)
    provenance = {key: printable(text) for key, text in provenance.items()}
    about: dict[str, Any] = {"study": printable(example.study), "enabled": example.enabled}
    about |= {} if example.weight == 1 else {"weight": example.weight}
    return {**about, "by": printable(example.by), "at": example.at, "provenance": provenance}


def printable(text: str) -> str:
    """Replace characters that an archive may not hold; a file's name may have any."""
    return "".join(c if c.isprintable() else "?" for c in text)[:LONGEST_TEXT].strip() or "?"
