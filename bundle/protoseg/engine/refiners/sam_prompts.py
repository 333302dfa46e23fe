"""Prompts for SAM on a slice: each component of each label, and the user's clicks beside them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from protoseg.engine.clicks.click import Click
from protoseg.errors import InputError
from protoseg.labels import LabelSet
from protoseg.ops.components import connected_components
from protoseg.sam.frame import SamFrame, pad_to_square
from protoseg.sam.prompts import (
    MASK_BACKGROUND,
    RING,
    PointChoice,
    Prompt,
    component_box,
    mask_prompt,
    negative_points,
    positive_points,
)

__all__ = ["BOXES_ONLY", "PromptSettings", "SamRequest", "sam_requests"]


@dataclass(frozen=True)
class PromptSettings:
    """Kinds of prompts to make of a component.

    Args:
        box: True for its bounding box.
        points: kind of points inside it, see `positive_points`.
        point_count: number of points for "spread".
        negatives: largest number of points in the ring around it.
        negative_gate: probability of the background that a negative point needs.
        mask: True for its coarse logits.

    Raises:
        InputError: no kind of prompt is left.
    """

    box: bool = True
    points: PointChoice = "spread"
    point_count: int = 8
    negatives: int = 1
    negative_gate: float = 0.9
    mask: bool = True

    def __post_init__(self) -> None:
        if not self.box and self.points == "none":
            raise InputError("The prompts for SAM have neither boxes nor points: set box to true or choose points.")


BOXES_ONLY = PromptSettings(points="none", negatives=0, mask=False)


@dataclass(frozen=True)
class SamRequest:
    """One object that SAM is asked for, on a slice of H x W pixels."""

    label: int  # position among the support's labels, from 1
    component: NDArray[np.bool_]  # H x W, of the coarse mask; empty where there are clicks alone
    fitted: Tensor  # bool, the component in the part of SAM's maps that the slice fills
    prompt: Prompt
    inside: NDArray[np.float64]  # N x 2, the user's points among the prompt's positive ones
    outside: NDArray[np.float64]  # N x 2, those among its negative ones

    @property
    def grown(self) -> bool:
        """Whether the user says that the coarse mask is too small."""
        return not self._covers(self.inside).all()

    @property
    def contradicted(self) -> bool:
        """Whether the user says that the coarse mask is wrong."""
        return self.grown or bool(self._covers(self.outside).any())

    def _covers(self, points: NDArray[np.float64]) -> NDArray[np.bool_]:
        columns, rows = points.astype(int).T
        return self.component[rows, columns]


def sam_requests(
    label_map: NDArray[np.uint8],
    probability: Tensor,
    labels: LabelSet,
    frame: SamFrame,
    settings: PromptSettings,
    clicks: Sequence[Click] = (),
) -> Iterator[SamRequest]:
    """Make all requests for a slice.

    A positive click sharpens the component that it is on or near; clicks of a label away from all its components make a
    request of their own. A click on another label counts as a negative one.

    Args:
        label_map: (H, W) coarse label map.
        probability: (1 + L, H, W) probability of the background and the labels.
        labels: labels that may be there.
        frame: frame of the slice in SAM's input.
        settings: kinds of prompts.
        clicks: clicks on this slice.
    """
    found = set(np.flatnonzero(np.bincount(label_map.ravel())).tolist()) - {0}
    for label in sorted(found | {labels.position(click.label) for click in clicks if click.positive}):
        name = labels.name_at(label)
        outside = _points([click for click in clicks if click.positive != (click.label == name)])
        components = connected_components(label_map == label)
        inside: dict[int, list[Click]] = {number: [] for number in range(int(components.max()) + 1)}
        for click in clicks:
            if click.positive and click.label == name:
                inside[_owner(components, click)].append(click)
        for number, own in inside.items():
            points = _points(own)
            if number > 0:
                component = components == number
                fitted = _fitted(component, frame)
                prompt = _prompt(component, fitted, probability[0], probability[label], frame, settings)
                yield SamRequest(label, component, fitted, _sharpened(prompt, points, outside), points, outside)
            elif own:  # beside all components
                component = np.zeros_like(components, bool)
                prompt = Prompt(None, points, outside)
                yield SamRequest(label, component, _fitted(component, frame), prompt, points, outside)


def _fitted(component: NDArray[np.bool_], frame: SamFrame) -> Tensor:
    return frame.fit_maps(torch.from_numpy(component)[None].float())[0] > 0.5


def _prompt(
    component: NDArray[np.bool_],
    fitted: Tensor,
    background: Tensor,
    foreground: Tensor,
    frame: SamFrame,
    settings: PromptSettings,
) -> Prompt:
    """Make the prompt for a component of the coarse segmentation."""
    box = component_box(component)
    corner = np.maximum(box[:2] - RING, 0)
    around = slice(corner[1], box[3] + RING + 1), slice(corner[0], box[2] + RING + 1)  # all points are within
    component, sure, else_sure = component[around], foreground[around].numpy(), background[around].numpy()
    positive = positive_points(component, sure, settings.points, count=settings.point_count)
    negative = negative_points(component, else_sure, count=settings.negatives, gate=settings.negative_gate)
    return Prompt(
        box=box if settings.box else None,
        positive=positive + corner,
        negative=negative + corner,
        mask=_mask(fitted, foreground, frame) if settings.mask else None,
    )


def _mask(fitted: Tensor, foreground: Tensor, frame: SamFrame) -> Tensor | None:
    """Make the mask prompt; None for a component that is too small to be seen in SAM's maps."""
    if not fitted.any():
        return None
    probability = frame.fit_maps(foreground[None])[0]
    return pad_to_square(mask_prompt(torch.logit(probability, eps=1e-4), fitted), frame.map_size, MASK_BACKGROUND)


def _sharpened(prompt: Prompt, inside: NDArray[np.float64], outside: NDArray[np.float64]) -> Prompt:
    """Add the user's points to a prompt, and extend its box to hold those inside."""
    box = prompt.box
    if box is not None and len(inside):
        box = np.concatenate([np.minimum(box[:2], inside.min(0)), np.maximum(box[2:], inside.max(0))])
    positive, negative = np.concatenate([prompt.positive, inside]), np.concatenate([prompt.negative, outside])
    return replace(prompt, box=box, positive=positive, negative=negative)


def _owner(components: NDArray[np.uint32], click: Click) -> int:
    """Find the number of the component nearest to a click, at most a ring's width away; 0 if there is none."""
    rows = slice(max(0, click.row - RING), click.row + RING + 1)
    columns = slice(max(0, click.column - RING), click.column + RING + 1)
    near = components[rows, columns]
    places = np.argwhere(near > 0)
    if not len(places):
        return 0
    distance = np.abs(places - [click.row - rows.start, click.column - columns.start]).max(1)
    return int(near[tuple(places[distance.argmin()])])


def _points(clicks: Sequence[Click]) -> NDArray[np.float64]:
    return np.array([(click.column, click.row) for click in clicks], float).reshape(-1, 2)
