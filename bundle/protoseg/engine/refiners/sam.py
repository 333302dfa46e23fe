"""Refinement by SAM or MedSAM: prompts from the coarse mask, masks from SAM, and labels that compete for each pixel.

Source: ProtoSAM (arXiv 2407.07042, section 3.3). Here a slice is embedded once for all labels and components, all its
prompts are decoded in one batch, and where SAM strays from the coarse mask, the coarse mask stays.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor
from tqdm import tqdm

from protoseg.engine.clicks.click import Click, check_clicks
from protoseg.engine.feature_cache import FeatureCache
from protoseg.engine.refiners.refiner import CoarseSegmentation, RefinedSegmentation, Refiner
from protoseg.engine.refiners.sam_prompts import BOXES_ONLY, PromptSettings, SamRequest, sam_requests
from protoseg.errors import InputError
from protoseg.labels import LabelSet
from protoseg.ops.slices import three_channels
from protoseg.sam.frame import SamFrame, pad_to_square
from protoseg.sam.model import Sam

__all__ = ["SamRefiner"]

CERTAIN = 4.0  # logit inside a coarse mask that stands in for SAM's, minus this outside


class SamRefiner(Refiner):
    """Refines the slices that hold a label, or a click, with SAM or MedSAM.

    Args:
        sam: model.
        prompts: kinds of prompts; by default all there are, boxes for MedSAM.
        min_dice: lowest Dice of a component with SAM's mask; below, the component stays as it is, unless a click
            contradicts it.
        cache: cache of embeddings, to share it with others; by default one of its own.
        progress: True to show a progress bar over the slices.

    Raises:
        InputError: MedSAM would get more than boxes, or `min_dice` is not between 0 and 1.
    """

    def __init__(
        self,
        *,
        sam: Sam,
        prompts: PromptSettings | None = None,
        min_dice: float = 0.5,
        cache: FeatureCache | None = None,
        progress: bool = False,
    ) -> None:
        if not 0 <= min_dice <= 1:
            raise InputError(f"min_dice of a refiner is {min_dice}; it must lie between 0 and 1.")
        self.sam = sam
        self.prompts = prompts or (BOXES_ONLY if sam.boxes_only else PromptSettings())
        if sam.boxes_only and self.prompts != BOXES_ONLY:
            raise InputError("MedSAM takes boxes only: leave prompts out, or choose SAM for points and mask prompts.")
        self.min_dice = min_dice
        self.cache = cache or FeatureCache()
        self.progress = progress

    def refine(
        self,
        slices: Tensor,
        coarse: CoarseSegmentation,
        *,
        spacing: tuple[float, float, float],
        clicks: Sequence[Click] = (),
    ) -> RefinedSegmentation:
        """Refine all labels of a volume, slice by slice; SAM sees pixels, so the spacing does not matter.

        Raises:
            InputError: a click lies outside the volume or is for an unknown label; or MedSAM got clicks.
        """
        check_clicks(clicks, coarse.label_map.shape, coarse.labels)
        if clicks and self.sam.boxes_only:
            raise InputError(f"MedSAM got {len(clicks)} clicks; it takes boxes only. Choose SAM to correct by clicks.")
        clicks_on = defaultdict(list)
        for click in clicks:
            clicks_on[click.slice_index].append(click)
        held = np.flatnonzero(coarse.label_map.any((1, 2))).tolist()
        label_map = coarse.label_map.copy()
        distant: Counter[int] = Counter()  # slices by label
        low, high = slices.amin((0, 2, 3)), slices.amax((0, 2, 3))  # of the volume: a slice may be all air
        for index in tqdm(sorted({*held, *clicks_on}), "Refining", unit="slice", disable=not self.progress):
            embedding = self.cache.encode(self.sam.encoder, _as_bytes(slices[index], low, high)[None])[0]
            label_map[index], far = self._refine_slice(embedding, coarse, index, clicks_on[index])
            distant.update(far)
        return RefinedSegmentation(label_map, _notes(distant, coarse))

    def _refine_slice(
        self, embedding: Tensor, coarse: CoarseSegmentation, index: int, clicks: Sequence[Click]
    ) -> tuple[NDArray[np.uint8], set[int]]:
        """Refine a slice: (H, W), and the positions of the labels of which SAM went too far."""
        label_map, probability = coarse.label_map[index], coarse.probability(index).cpu()
        frame = self.sam.frame(*label_map.shape)
        requests = list(sam_requests(label_map, probability, coarse.labels, frame, self.prompts, clicks))
        if not requests:
            return label_map, set()
        logits, quality = self.sam.decode(embedding, [request.prompt for request in requests], frame)
        best = [_best_mask(*candidate, frame) for candidate in zip(logits.cpu(), quality.cpu(), requests)]
        masks = frame.unfit_maps(torch.stack(best))  # N x H x W
        distant = set()
        for mask, request in zip(masks, requests):
            component = torch.from_numpy(request.component)
            if not request.contradicted and _dice(mask > 0, component) < self.min_dice:
                mask.copy_(CERTAIN * (2 * component.float() - 1))
                distant.add(request.label)
        return _with_clicks(_compete(masks, requests, probability), clicks, coarse.labels), distant


def _as_bytes(image: Tensor, low: Tensor, high: Tensor) -> Tensor:
    """Convert a normalized slice (C, H, W) to the pictures that SAM was trained on: (3, H, W) uint8."""
    scaled = (image - low[:, None, None]) / (high - low).clamp(min=1e-6)[:, None, None]
    return three_channels((scaled * 255).round().byte())


def _best_mask(logits: Tensor, quality: Tensor, request: SamRequest, frame: SamFrame) -> Tensor:
    """Choose of masks (M, h, w) the one with the largest sum of scores; an empty one only if all are empty.

    The scores are SAM's own estimate (M,), the Dice with the coarse mask, and the share of the user's clicks respected.
    """
    masks = logits > 0
    component = pad_to_square(request.fitted, frame.map_size)
    score = quality.clamp(0, 1) + torch.stack([_dice(mask, component) for mask in masks])
    clicked = np.concatenate([request.inside, request.outside])
    if len(clicked):
        places = frame.fit_points(clicked + 0.5) * frame.map_size / frame.size
        columns, rows = places.long().clamp(max=frame.map_size - 1).unbind(1)
        wanted = torch.arange(len(clicked)) < len(request.inside)
        score += (masks[:, rows, columns] == wanted).float().mean(1)
    return logits[score.where(masks.flatten(1).any(1), -1).argmax()]


def _compete(masks: Tensor, requests: Sequence[SamRequest], probability: Tensor) -> NDArray[np.uint8]:
    """Give each pixel to one label: of those whose masks (N, H, W), logits, cover it, the most probable.

    SAM's certainty of the mask and the matching's probability of the label count alike. Where the user adds to a label,
    the matching does not count.
    """
    covered = (masks > 0).any(0)  # a small part of the slice
    logits = masks[:, covered]
    score = F.logsigmoid(logits)
    for one, request in zip(score, requests):
        if not request.grown:
            one += probability[request.label][covered].clamp(min=1e-4).log()
    winner = score.where(logits > 0, -torch.inf).argmax(0)
    label_map = torch.zeros(covered.shape, dtype=torch.uint8)
    label_map[covered] = torch.tensor([request.label for request in requests], dtype=torch.uint8)[winner]
    return label_map.numpy()


def _with_clicks(label_map: NDArray[np.uint8], clicks: Sequence[Click], labels: LabelSet) -> NDArray[np.uint8]:
    """Set the clicked pixels: the user is right, whatever SAM found."""
    for click in clicks:
        place, label = (click.row, click.column), labels.position(click.label)
        if click.positive:
            label_map[place] = label
        elif label_map[place] == label:
            label_map[place] = 0
    return label_map


def _notes(distant: Counter[int], coarse: CoarseSegmentation) -> dict[str, str]:
    notes = {}
    for label, count in sorted(distant.items()):
        slices = int((coarse.label_map == label).any((1, 2)).sum())
        notes[coarse.labels.name_at(label)] = f"not refined where SAM went too far ({count} of {slices} slices)"
    return notes


def _dice(first: Tensor, second: Tensor) -> Tensor:
    """Compute the Dice of two boolean masks; 0 for two empty ones."""
    return 2 * (first & second).sum() / (first.sum() + second.sum()).clamp(min=1)
