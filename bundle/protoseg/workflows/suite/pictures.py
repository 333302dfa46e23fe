"""Pictures of a suite's cases: a label of a query beside the support that it was found from."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from protoseg.engine.support import SupportSet
from protoseg.files import replacing
from protoseg.workflows.reports.case_pictures import EDGE, PREDICTION, draw_case, draw_slice
from protoseg.workflows.reports.pictures import as_slices
from protoseg.workflows.suite.index import ScanPair
from protoseg.workflows.suite.segmenter import SegmentedPair

__all__ = ["picture_file", "save_pictures"]

GAP = 6  # pixels between support and query
QUALITY = 88  # of JPEG: a run has hundreds of pictures


def picture_file(pair: ScanPair, label: str) -> Path:
    """Give the path of the picture of a label in the folder of a run."""
    return Path("cases") / f"{pair.file}_{pair.labels[label]}.jpg"


def save_pictures(output_dir: Path, pair: ScanPair, segmented: SegmentedPair) -> None:
    """Draw each label that is, or was found, in the query: its support, and three slices of the query."""
    image = as_slices(segmented.image)
    found, drawn = as_slices(segmented.found), as_slices(segmented.drawn)
    for name in segmented.support_ml:
        predicted, true = found == pair.labels[name], drawn == pair.labels[name]
        if predicted.any() or true.any():
            with replacing(output_dir / picture_file(pair, name)) as unfinished:
                picture = _beside(_draw_support(segmented.support, name), draw_case(image, predicted, true))
                picture.save(unfinished, quality=QUALITY)


def _draw_support(support: SupportSet, name: str) -> Image.Image:
    """Draw the support slice on which a label is largest."""
    if name not in support.labels:
        return Image.new("RGB", (EDGE, EDGE))
    masks = (support.masks == support.labels.position(name)).numpy()
    position = int(masks.sum((1, 2)).argmax())
    image = support.images[position].numpy().transpose(1, 2, 0)
    shown = (image - image.min()) / (float(np.ptp(image)) or 1)
    tile = draw_slice(shown, masks[position].astype(np.uint8), [PREDICTION])
    ImageDraw.Draw(tile).text((4, 3), "support", fill="white")
    return tile


def _beside(left: Image.Image, right: Image.Image) -> Image.Image:
    both = Image.new("RGB", (left.width + GAP + right.width, EDGE), "white")
    both.paste(left, (0, 0))
    both.paste(right, (left.width + GAP, 0))
    return both
