"""One preparation at a time in a folder, and only in a folder of its own."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from protoseg.errors import InputError
from protoseg.files import remove_unfinished, write_json

__all__ = ["claimed_folder"]

LOCK = ".lock"
RECIPE = "preparation.json"
FOLDERS = ("images", "labels", "records")  # not the cache, where training may be writing


@contextmanager
def claimed_folder(folder: Path, recipe: dict[str, Any]) -> Iterator[None]:
    """Keep other preparations out of a folder while the block runs, and remove unfinished files of killed ones.

    The operating system releases the lock however the process ends.

    Args:
        folder: folder to claim, made if it is absent.
        recipe: settings of the preparation, as JSON; the folder remembers them.

    Raises:
        InputError: another preparation works here, or the folder holds anything that was not prepared by this recipe.
    """
    _refuse_others(folder, recipe)
    folder.mkdir(parents=True, exist_ok=True)
    try:
        claimed = FileLock(folder / LOCK).acquire(timeout=0)
    except Timeout as error:
        raise InputError(
            f"{folder}: another preparation is working here, expected to be the only one. Wait until it ends, or "
            "choose another folder."
        ) from error
    with claimed:
        _refuse_others(folder, recipe)  # again: one may have begun and ended since
        for part in (folder, *(folder / name for name in FOLDERS)):
            remove_unfinished(part)
        if not (folder / RECIPE).exists():
            write_json(folder / RECIPE, recipe)
        yield


def _refuse_others(folder: Path, recipe: dict[str, Any]) -> None:
    if (folder / RECIPE).exists():
        found = json.loads((folder / RECIPE).read_text(encoding="utf-8"))
        if found != recipe:
            raise InputError(
                f"{folder} holds scans prepared as {found}, not as {recipe}. Choose another folder, or delete this one."
            )
    elif folder.exists() and any(not path.name.startswith(".") for path in folder.iterdir()):
        raise InputError(f"{folder} holds files that were not prepared here. Choose an empty or a new folder.")
