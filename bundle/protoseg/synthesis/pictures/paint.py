"""Pictures with one lesion in them, as cameras and ultrasound probes show it, so that features suit those, too."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from protoseg.errors import InputError
from protoseg.synthesis.pictures.fields import Field
from protoseg.synthesis.pictures.polyp import paint_polyp
from protoseg.synthesis.pictures.skin import paint_skin
from protoseg.synthesis.pictures.ultrasound import paint_ultrasound

__all__ = ["paint_picture"]

PAINTERS: dict[str, Callable[[np.random.Generator, int], tuple[Field, NDArray[np.uint8]]]] = {
    "skin": paint_skin,
    "polyp": paint_polyp,
    "ultrasound": paint_ultrasound,
}

SMALLEST, LARGEST = 0.01, 0.6  # shares of a picture that a lesion takes


def paint_picture(seed: int, *, kind: str, size: int = 256) -> NDArray[np.uint8]:
    """Paint the picture of one patient: red, green, blue and structure (4, size, size).

    The structure is 1 in the lesion and 2 in a vessel, which some ultrasound pictures have; hairs, rulers, glints and
    other things in front of a lesion are not cut out of it.

    Args:
        seed: seed of everything; any two pictures of one kind make a pair.
        kind: "skin" (dermoscopy), "polyp" (colonoscopy) or "ultrasound".
        size: number of pixels along an edge.

    Raises:
        InputError: there is no such kind.
    """
    if kind not in PAINTERS:
        raise InputError(f"There are no pictures of the kind {kind!r}; expected one of {', '.join(PAINTERS)}.")
    random = np.random.default_rng(seed)
    while True:
        colors, structure = PAINTERS[kind](random, size)
        if SMALLEST <= (structure == 1).mean() <= LARGEST:  # about one in a hundred is outside the view
            break
    return np.concatenate([np.round(255 * np.clip(colors, 0, 1)).astype(np.uint8), structure[None]])
