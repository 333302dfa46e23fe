"""The squares that slices are fitted into: scans that show unlike parts of a body are scaled unlike."""

from __future__ import annotations

from torch import Tensor

from protoseg.ops.volume import Placed, spacing_of

__all__ = ["common_frame", "frame_doubt", "frame_mm"]

LARGEST_RATIO = 1.5  # of two frames; pairs of people of the ten sets of volumes of the suite have at most 1.3


def frame_mm(volume: Tensor) -> float | None:
    """Give the edge in mm of the square that the slices of a volume (C, X, Y, Z) are fitted into; None of a picture."""
    if not isinstance(volume, Placed) or volume.meta.get("kind") == "picture" or volume.shape[3] == 1:
        return None
    x, y, _ = spacing_of(volume.affine).tolist()
    return float(max(volume.shape[1] * x, volume.shape[2] * y))


def common_frame(one: float | None, other: float | None) -> float | None:
    """Give the larger of two frames that are alike; None if they are not, or one is unknown."""
    return max(one, other) if one and other and _are_alike(one, other) else None


def frame_doubt(scan: float | None, support: float | None) -> str:
    """Tell that a scan's frame is unlike the support's; empty if it is not, or one of them is unknown."""
    if scan is None or support is None or _are_alike(scan, support):
        return ""
    return (
        f"may be wrong: the scan shows {scan:.0f} mm across and the labelled one {support:.0f} mm, and both are scaled "
        "to one size"
    )


def _are_alike(one: float, other: float) -> bool:
    return max(one, other) <= LARGEST_RATIO * min(one, other)
