"""Small pictures for reports: a case seen on three slices, and the slices of a support."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from monai.config import KeysCollection
from monai.transforms import MapTransform
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from scipy.ndimage import find_objects
from skimage.color import label2rgb
from skimage.segmentation import find_boundaries

from protoseg.data.io.volumes import query_id
from protoseg.engine.legacy_protocol import support_thirds
from protoseg.engine.support import SupportSet
from protoseg.files import replacing, to_path
from protoseg.moved import renamed_arguments
from protoseg.workflows.evaluation.metrics import LabelDice
from protoseg.workflows.reports.pictures import as_slices, label_color

__all__ = ["EDGE", "PREDICTION", "SaveCasePicturesd", "case_file", "draw_case", "draw_slice", "draw_support"]

EDGE = 150  # pixels of a slice in a picture
CONTEXT = 1.6  # side of the part shown, over the extent of the label
TRUTH = (1.0, 1.0, 1.0)
PREDICTION = (1.0, 0.55, 0.0)


def case_file(protocol: str, scan: str, label: str) -> Path:
    """Give the path of the picture of a case in the folder of an evaluation."""
    return Path("cases") / protocol / f"{scan}_{label}.png"


@renamed_arguments(truth_key="ground_truth_key")
class SaveCasePicturesd(MapTransform):
    """Draw every label of a scan as a picture of its own, see `draw_case` and `case_file`.

    Args:
        keys: keys of predictions, slices along Z.
        metric: metric that knows the labels and which part of a prediction counts.
        output_dir: folder of the evaluation.
        image_key: key of the image (C, X, Y, Z) on the same grid.
        ground_truth_key: key of the true label map on the same grid.
    """

    def __init__(
        self,
        keys: KeysCollection,
        metric: LabelDice,
        output_dir: str | Path,
        image_key: str = "image",
        ground_truth_key: str = "label",
    ) -> None:
        super().__init__(keys)
        self.metric = metric
        self.output_dir = to_path(output_dir, "output_dir")
        self.image_key = image_key
        self.ground_truth_key = ground_truth_key

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Draw the labels of each key."""
        image = as_slices(data[self.image_key])
        for key in self.key_iterator(dict(data)):
            scan = query_id(data[key].meta["filename_or_obj"])
            for name in self.metric.labels:
                masks = self.metric.masks(data[key], data[self.ground_truth_key], name)
                predicted, true = (np.asarray(mask).transpose(2, 1, 0) for mask in masks)
                if predicted.any() or true.any():
                    with replacing(self.output_dir / case_file(self.metric.protocol, scan, name)) as unfinished:
                        draw_case(image, predicted, true).save(unfinished)
        return dict(data)


def draw_case(image: NDArray[Any], predicted: NDArray[np.bool_], true: NDArray[np.bool_]) -> Image.Image:
    """Draw one label on three slices of its extent: prediction filled, ground truth as a white outline.

    A volume of one slice, a picture, is drawn whole without the label first, then with it, and then its surroundings.

    Args:
        image: (S, H, W) or, in color, (S, H, W, 3) image with square pixels.
        predicted: (S, H, W) predicted mask.
        true: (S, H, W) true mask; at most one of the two is empty.
    """
    either = predicted | true
    low, high = float(image.min()), float(image.max())
    picture = Image.new("RGB", (3 * EDGE, EDGE))
    for place, (index, center, side, labelled) in enumerate(_views(either)):
        shown = (_square(image[index], center, side, low) - low) / (high - low or 1)
        filled, outlined = (_square(mask[index] & labelled, center, side, False) for mask in (predicted, true))
        tile = draw_slice(shown, filled.astype(np.uint8), [PREDICTION], outlined)
        if len(image) > 1:
            ImageDraw.Draw(tile).text((4, 3), f"slice {index}", fill="white")
        picture.paste(tile, (place * EDGE, 0))
    return picture


def draw_support(support: SupportSet, positions: Sequence[int]) -> list[tuple[str, Image.Image]]:
    """Draw slices of a support with their labels filled, each with a caption that tells its origin."""
    colors = [label_color(position) for position in range(len(support.labels))]
    drawn = []
    for position in positions:
        image = support.images[position].numpy().transpose(1, 2, 0)
        shown = (image - image.min()) / (float(np.ptp(image)) or 1)
        tile = draw_slice(shown, support.masks[position].numpy(), colors)
        origin = support.origins[position]
        drawn.append((f"{query_id(origin.scan)}, slice {origin.slice_index}", tile))
    return drawn


def _views(mask: NDArray[np.bool_]) -> list[tuple[int, tuple[int, int], int, bool]]:
    """Choose slice, center and side of the square to show, and whether with the label, for each of three tiles."""
    _, rows, columns = find_objects(mask.astype(np.uint8))[0]
    center = ((rows.start + rows.stop) // 2, (columns.start + columns.stop) // 2)
    extent = max(rows.stop - rows.start, columns.stop - columns.start)
    height, width = mask.shape[1:]
    side = max(int(CONTEXT * extent), min(height, width) // 4)
    if len(mask) == 1:
        whole = (0, (height // 2, width // 2), max(height, width))
        return [(*whole, False), (*whole, True), (0, center, side, True)]
    slices = support_thirds(np.flatnonzero(mask.any((1, 2))).tolist())
    return [(index, center, side, True) for index in slices]


def _square(slice_: NDArray[Any], center: tuple[int, int], side: int, padding: float) -> NDArray[Any]:
    """Cut a square of `side` pixels around a center out of a slice; the part outside is padded."""
    half = side // 2
    widths = [(half, side - half)] * 2 + [(0, 0)] * (slice_.ndim - 2)
    padded = np.pad(slice_, widths, constant_values=padding)
    return padded[center[0] : center[0] + side, center[1] : center[1] + side]


def draw_slice(
    shown: NDArray[Any],
    filled: NDArray[np.uint8],
    colors: Sequence[tuple[float, float, float]],
    outlined: NDArray[np.bool_] | None = None,
) -> Image.Image:
    """Draw one square slice, gray or in color from 0 to 1, with labels 1, 2, ... filled and a mask outlined."""
    gray = Image.fromarray((255 * shown).astype(np.uint8)).convert("RGB").resize((EDGE, EDGE), Image.Resampling.BICUBIC)
    labels = np.asarray(Image.fromarray(filled).resize((EDGE, EDGE), Image.Resampling.NEAREST))
    present = [colors[value - 1] for value in np.unique(labels) if value]  # label2rgb gives colors in this order
    painted = label2rgb(labels, np.asarray(gray), colors=present or None, alpha=0.4, bg_label=0, saturation=1)
    if outlined is not None:
        mask = np.asarray(Image.fromarray(outlined).resize((EDGE, EDGE), Image.Resampling.NEAREST))
        painted[find_boundaries(mask, mode="inner")] = TRUTH
    return Image.fromarray((255 * painted).round().astype(np.uint8))
