"""The images of an inference run, as a MONAI data list."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from monai.config import PathLike

from protoseg.data.planes import SLICE_AXES
from protoseg.data.volumes import find_queries
from protoseg.engine.support import SupportSet

__all__ = ["follow_slices", "query_list"]


def query_list(query: PathLike, support: SupportSet | None = None) -> list[dict[str, Any]]:
    """List the images at a path, see `find_queries`, as cases {"image": path}, in the slices of a support."""
    return follow_slices([{"image": str(path)} for path in find_queries(query)], support)


def follow_slices(cases: Sequence[Mapping[str, Any]], support: SupportSet | None) -> list[dict[str, Any]]:
    """Let cases be cut into slices as a support is, see `OrientSlicesd`."""
    axes = support.slice_axes if support else None
    return [{**case, SLICE_AXES: axes} for case in cases]
