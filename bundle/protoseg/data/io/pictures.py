"""Picture files as images and as label maps."""

import logging
from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import ExifTags, Image, ImageOps
from PIL.PngImagePlugin import PngInfo

from protoseg.data.io.marks import mark_of
from protoseg.data.io.promised_sizes import check_promise
from protoseg.data.io.soft_masks import without_soft_edges
from protoseg.errors import InputError
from protoseg.files import PathLike, replacing

__all__ = [
    "PICTURE_SUFFIXES",
    "is_turned",
    "label_pixels",
    "one_page",
    "picture_pixels",
    "read_label_picture",
    "read_picture",
    "write_label_picture",
]

logger = logging.getLogger(__name__)

PICTURE_SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff")

GRAY_MODES = ("L", "I", "F")  # as Pillow names them; the 16-bit ones are "I;16" and its byte orders
WHITE = (255, 65535)  # of 8 and of 16 bits


def read_picture(path: Path, *, palette_indices: bool = False) -> np.ndarray:
    """Read a picture: float32 (C, W, H, 1), values as stored, C = 1 for gray or 3 for color.

    A photo comes upright, as its EXIF orientation says. Transparency is dropped. `palette_indices` reads a palette
    picture as its indices, not its colors.

    Raises:
        InputError: the file has several pages.
    """
    return picture_pixels(_upright(path), palette_indices=palette_indices)


def read_label_picture(path: Path) -> np.ndarray:
    """Read a label map: float32 (1, W, H, 1), see `label_pixels`.

    Raises:
        InputError: the picture is a JPEG, in color, an image rather than labels, or has several pages.
    """
    picture = _upright(path)
    if path.suffix.lower() in (".jpg", ".jpeg"):
        raise InputError(f"{path}: JPEG changes the values of labels. Save the label picture as PNG.")
    return label_pixels(picture, path)


def label_pixels(picture: Image.Image, path: PathLike) -> np.ndarray:
    """Give the labels of a picture: float32 (1, W, H, 1), gray values or palette indices; black and white are 0 and 1.

    A mask that was drawn into the transparency of a picture of one color is read from there. A mask with soft edges is
    thresholded at half, see `without_soft_edges`.

    Raises:
        InputError: the picture is in color, or an image rather than labels.
    """
    pixels = picture_pixels(picture, palette_indices=True)
    alpha = picture_pixels(picture.getchannel("A")) if "A" in picture.getbands() else None
    if alpha is not None and (pixels == pixels[:, :1, :1]).all() and alpha.min() < alpha.max():
        logger.warning("%s: the picture has one color, so its labels are read from its transparency.", path)
        pixels = alpha
    if (pixels != pixels[:1]).any():
        raise InputError(f"{path}: the label picture is in color, expected gray. Save it in gray values.")
    labels = pixels[:1]
    white = next((value for value in WHITE if labels.max() <= value), None)
    if white is None:
        return labels
    labels = labels if picture.mode == "P" else without_soft_edges(labels, white, path)
    only_black_and_white = labels.max() == white and np.isin(labels, (0, white)).all()
    return (labels > 0).astype(np.float32) if only_black_and_white else labels


def write_label_picture(path: str | Path, labels: np.ndarray) -> None:
    """Write labels (1, W, H, 1), 0..255, as a gray PNG whose pixels are the labels' values.

    `read_label_picture` reads it. It looks black, because the values are small.
    """
    about = PngInfo()
    about.add_text("Software", mark_of(labels[0]))
    with replacing(path) as unfinished:
        picture = Image.fromarray(np.ascontiguousarray(labels[0, ..., 0].T.astype(np.uint8)))
        picture.save(unfinished, format="png", pnginfo=about)


def _upright(path: Path) -> Image.Image:
    # Given a path, Pillow 13 maps an uncompressed TIFF into memory and scrambles one that is to be rotated. And a file
    # would take 4 GB of memory for what a damaged PNG says is so long, before it reads.
    with Image.open(BytesIO(path.read_bytes())) as file:
        if file.format == "PNG":  # one of a single channel may have one bit a pixel
            channels = len(file.getbands())
            check_promise(path, file.width * file.height * channels // (8 if channels == 1 else 1))
        picture = ImageOps.exif_transpose(one_page(file, path))
        picture.load()
        return picture


def one_page(picture: Image.Image, path: PathLike) -> Image.Image:
    """Give a picture back that has one page.

    Raises:
        InputError: it has several.
    """
    pages = getattr(picture, "n_frames", 1)
    if pages > 1:
        raise InputError(f"{path}: the picture has {pages} pages, expected one. Save one page a file.")
    return picture


def is_turned(path: PathLike) -> bool:
    """Tell whether a picture file comes turned or mirrored, as its EXIF orientation says."""
    try:
        with Image.open(path) as file:
            return bool(file.getexif().get(ExifTags.Base.Orientation, 1) != 1)
    except (OSError, ValueError):  # it is no picture, or in memory
        return False


def picture_pixels(picture: Image.Image, *, palette_indices: bool = False) -> np.ndarray:
    """Give the pixels of a picture, see `read_picture`."""
    gray = picture.mode.split(";")[0] in GRAY_MODES or (palette_indices and picture.mode == "P")
    picture = picture if gray else picture.convert("L" if picture.mode in ("1", "LA") else "RGB")
    pixels = np.asarray(picture, dtype=np.float32)
    channels_last = pixels.reshape(*pixels.shape[:2], -1)  # H x W x C
    return channels_last.transpose(2, 1, 0)[..., None]
