"""The images of an inference run, as a MONAI data list."""

from __future__ import annotations

from monai.config import PathLike

from protoseg.data.volumes import find_queries

__all__ = ["query_list"]


def query_list(query: PathLike) -> list[dict[str, str]]:
    """List the images at a path, as `find_queries` finds them: [{"image": path}, ...]."""
    return [{"image": str(path)} for path in find_queries(query)]
