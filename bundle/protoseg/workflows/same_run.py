"""A check that results belong to this run, not to another."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from protoseg.errors import InputError
from protoseg.moved import renamed_settings

__all__ = ["check_same_run"]


def check_same_run(file: Path, found: Mapping[str, Any], wanted: Mapping[str, Any]) -> None:
    """Refuse results that were made with other settings than this run's.

    Args:
        file: file of the results.
        found: settings that the results were made with.
        wanted: settings of this run.

    Raises:
        InputError: naming what differs.
    """
    found, wanted = renamed_settings(found), renamed_settings(wanted)
    differing = [name for name in {**found, **wanted} if found.get(name) != wanted.get(name)]
    if differing:
        told = "; ".join(f"{name} was {found.get(name)!r}, now {wanted.get(name)!r}" for name in differing)
        raise InputError(
            f"{file} is not of this run: {told}. Resume with what it was made of, choose another output_dir, or "
            "delete the old results."
        )
