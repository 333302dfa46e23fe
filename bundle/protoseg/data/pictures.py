"""Picture files as images and as label maps."""

from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from protoseg.errors import InputError

__all__ = ["PICTURE_SUFFIXES", "read_label_picture", "read_picture"]

PICTURE_SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff")

GREY_MODES = ("L", "I", "F")  # as Pillow names them; the 16-bit ones are "I;16" and its byte orders
WHITE = (255, 65535)


def read_picture(path: Path, *, palette_indices: bool = False) -> np.ndarray:
    """Read a picture: float32 (C, W, H, 1), values as stored, C = 1 for grey or 3 for colour.

    A photo comes upright, as its EXIF orientation says. Transparency is dropped. `palette_indices` reads a palette
    picture as its indices, not its colours.

    Raises:
        InputError: the file has several pages.
    """
    # By handle: given a path, Pillow 13 maps an uncompressed TIFF into memory and scrambles one that is to be turned.
    with path.open("rb") as content, Image.open(content) as file:
        pages = getattr(file, "n_frames", 1)
        if pages > 1:
            raise InputError(f"{path}: the picture has {pages} pages, expected one. Save one page a file.")
        picture = ImageOps.exif_transpose(file)
        grey = picture.mode.split(";")[0] in GREY_MODES or (palette_indices and picture.mode == "P")
        picture = picture if grey else picture.convert("L" if picture.mode in ("1", "LA") else "RGB")
        pixels = np.asarray(picture, dtype=np.float32)
    channels_last = pixels.reshape(*pixels.shape[:2], -1)  # H x W x C
    return channels_last.transpose(2, 1, 0)[..., None]


def read_label_picture(path: Path) -> np.ndarray:
    """Read a label map: float32 (1, W, H, 1), grey values or palette indices; black and white become 0 and 1.

    Raises:
        InputError: the picture is a JPEG, in colour, or has several pages.
    """
    pixels = read_picture(path, palette_indices=True)
    if path.suffix.lower() in (".jpg", ".jpeg"):
        raise InputError(f"{path}: JPEG changes the values of labels. Save the label picture as PNG.")
    if (pixels != pixels[:1]).any():
        raise InputError(f"{path}: the label picture is in colour, expected grey. Save it in grey values.")
    labels = pixels[:1]
    white = labels.max()
    only_black_and_white = white in WHITE and np.isin(labels, (0, white)).all()
    return (labels > 0).astype(np.float32) if only_black_and_white else labels
