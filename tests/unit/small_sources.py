"""How small sources are prepared, spoilt and refused."""

from collections.abc import Callable
from pathlib import Path

import pytest

from protoseg.errors import InputError

SMALL = {"size": 42, "border": 4}


def files(folder: Path) -> dict[str, bytes]:
    """Content of all files, by their paths in the folder; the lock remembers a process and is left out."""
    paths = (path for path in folder.rglob("*") if path.is_file() and path.name != ".lock")
    return {str(path.relative_to(folder)): path.read_bytes() for path in paths}


def refusal(work: Callable[[], object]) -> str:
    with pytest.raises(InputError) as caught:
        work()
    return str(caught.value)


def cut_short(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:400])
