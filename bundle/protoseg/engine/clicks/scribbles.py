"""From partial drawings to whole organs: every pixel of a scribble is a click."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from protoseg.engine.clicks.click import Click
from protoseg.engine.clicks.segmentation import ClickSegmentation
from protoseg.engine.prediction import Prediction
from protoseg.engine.slice_encoder import SliceEncoder
from protoseg.errors import InputError
from protoseg.labels import LabelSet

__all__ = ["BACKGROUND_SCRIBBLE", "segment_from_scribbles"]

BACKGROUND_SCRIBBLE = 255  # value of a scribble that says: none of the labels


def segment_from_scribbles(
    volume: Tensor, scribbles: NDArray[np.uint8], encoder: SliceEncoder, **arguments: Any
) -> Prediction:
    """Segment a volume from partial drawings.

    Args:
        volume: (C, X, Y, Z) normalized volume, slices along Z.
        scribbles: (S, H, W) scribbles; 0 where nothing is said, 1.. positions of labels, `BACKGROUND_SCRIBBLE` for none
            of them.
        encoder: encoder of slices.
        **arguments: arguments of `ClickSegmentation`.

    Raises:
        InputError: scribbles of another size or of unknown labels, or none of a label; and as `ClickSegmentation`.
    """
    session = ClickSegmentation(volume, encoder, **arguments)
    shape = (len(session.slices), *session.slices.shape[-2:])
    if scribbles.shape != shape:
        raise InputError(f"The scribbles are {scribbles.shape}, but the volume's slices, rows and columns are {shape}.")
    unknown = set(np.unique(scribbles).tolist()) - {0, *range(1, 1 + len(session.labels)), BACKGROUND_SCRIBBLE}
    if unknown:
        raise InputError(
            f"The scribbles hold the value {min(unknown)}; expected 0, labels 1..{len(session.labels)} or "
            f"{BACKGROUND_SCRIBBLE} for the background."
        )
    clicks = _clicks_on(scribbles, session.labels)
    labelled = {click.slice_index for click in clicks if click.positive}
    session.add([click for click in clicks if click.slice_index in labelled])
    session.add([click for click in clicks if click.slice_index not in labelled])
    return session.predict()


def _clicks_on(scribbles: NDArray[np.uint8], labels: LabelSet) -> list[Click]:
    """Make a click on every scribbled pixel, or one beside each label where it is none of them."""
    clicks = []
    for index, row, column in np.argwhere(scribbles).tolist():
        value = int(scribbles[index, row, column])
        if value == BACKGROUND_SCRIBBLE:
            clicks += [Click(index, row, column, label, positive=False) for label in labels]
        else:
            clicks.append(Click(index, row, column, labels.name_at(value)))
    return clicks
