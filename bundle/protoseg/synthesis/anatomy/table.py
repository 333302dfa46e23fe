"""The table of a CT scanner, on which people lie."""

import numpy as np

from protoseg.synthesis.anatomy.canvas import Canvas
from protoseg.synthesis.anatomy.shapes import Array
from protoseg.synthesis.anatomy.tissues import Tissue

__all__ = ["paint_table"]


def paint_table(canvas: Canvas) -> None:
    """Paint a curved CT table, a thin shell around foam, that touches the back."""
    flat_x, flat_y = canvas.axes[0][:, None, None], canvas.axes[1][None, :, None]
    body_y = np.where((canvas.tissue > 0) & (np.abs(flat_x) < 60), flat_y, np.inf)
    top = float(body_y.min()) if np.isfinite(body_y).any() else float(canvas.axes[1][0])
    surface = flat_y - top - (flat_x / 26) ** 2 * 0.35
    plate = np.maximum(np.maximum(surface, -surface - 22), np.abs(flat_x) - 205)
    slab: Array = np.broadcast_to(plate, canvas.shape).astype(np.float32)
    canvas.paint(canvas.everywhere, slab, Tissue.TABLE_SHELL, over={Tissue.AIR})
    canvas.paint(canvas.everywhere, slab + 5, Tissue.TABLE_FOAM, over={Tissue.TABLE_SHELL})
