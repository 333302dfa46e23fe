"""The clicks that a user has set on a volume, which of them still count, and what they changed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from protoseg.engine.clicks.click import Click

__all__ = ["ClickRecord", "ClickStep"]

LabelMap = NDArray[np.uint8]
Point = tuple[int, int]


class ClickStep(NamedTuple):
    """Clicks that were set at once, and what they changed."""

    clicks: tuple[Click, ...]
    before: dict[int, LabelMap]  # slices (H, W) that changed, as they were
    confidence: dict[str, float]  # by label whose first mask was made
    boxed: bool  # whether the clicks stand for a box


class ClickRecord:
    """Clicks in the order in which they were set, without those that later ones contradict."""

    def __init__(self) -> None:
        self.seen: set[Click] = set()  # contradicted ones too
        self.valid: list[Click] = []
        self.steps: list[ClickStep] = []

    def begin_step(self, clicks: Sequence[Click], *, boxed: bool) -> None:
        """Append clicks that are set at once."""
        self.steps.append(ClickStep(tuple(clicks), {}, {}, boxed))
        self.add(clicks)

    def keep(self, index: int, labels: LabelMap) -> None:
        """Keep a slice (H, W) of the label map as it was before the latest step, which is about to change it."""
        self.steps[-1].before.setdefault(index, labels.copy())

    def take_back(self, clicks: Sequence[Click], label_map: LabelMap) -> None:
        """Undo the steps since the first that holds other clicks than these.

        A click that was set again after its opposite is in two steps, and stays in both if it is given twice.

        Args:
            clicks: clicks that stay.
            label_map: (S, H, W) label map, changed in place.
        """
        valid, left = 0, Counter(clicks)
        while valid < len(self.steps) and Counter(self.steps[valid].clicks) <= left:
            left -= Counter(self.steps[valid].clicks)
            valid += 1
        undone = self.steps[valid:]
        if not undone:
            return
        for step in reversed(undone):
            for index, before in step.before.items():
                label_map[index] = before
        kept = self.steps[:valid]
        self.seen, self.valid, self.steps = set(), [], kept
        for step in kept:
            self.add(step.clicks)

    def missing(self, clicks: Sequence[Click]) -> Iterator[Click]:
        """Yield those of all clicks, in their order, that no step holds; they may be added meanwhile.

        One that is repeated counts again where its opposite came between, and else is left out.
        """
        there = Counter(click for step in self.steps for click in step.clicks)
        for click in clicks:
            if there[click]:
                there[click] -= 1
            elif click not in self.valid:
                yield click

    @property
    def confidence(self) -> dict[str, float]:
        """By label that was first found by a click, how sure it is."""
        return {label: value for step in self.steps for label, value in step.confidence.items()}

    def add(self, clicks: Sequence[Click]) -> list[Click]:
        """Append clicks, and give the earlier ones that no longer count.

        Of two on one pixel that cannot both be right the later one counts.
        """
        settled = {(*click[:3], click.label) for click in clicks}
        taken = {click[:3] for click in clicks if click.positive}
        self.seen.update(clicks)
        contradicted = [
            click
            for click in self.valid
            if (*click[:3], click.label) in settled or (click.positive and click[:3] in taken)
        ]
        self.valid = [click for click in self.valid if click not in contradicted]
        self.valid += clicks
        return contradicted

    def clicked_on(self) -> set[str]:
        """Name the labels that a click was set on, whether or not it counts any more."""
        return {click.label for step in self.steps for click in step.clicks if click.positive}

    def points(self, index: int, label: str) -> tuple[list[Point], list[Point]]:
        """Give the (row, column) points of a slice that are on a label, and those that are not.

        A positive click on another label is a negative one.
        """
        here = [click for click in self.valid if click.slice_index == index]
        positive = [(click.row, click.column) for click in here if click.label == label and click.positive]
        negative = [(click.row, click.column) for click in here if click.label == label and not click.positive]
        others = [(click.row, click.column) for click in here if click.label != label and click.positive]
        return positive, negative + others

    def on(self, label: str) -> list[Click]:
        """List the clicks that count for a label; a positive one on another label is a negative one on it."""
        positive_elsewhere = [click for click in self.valid if click.label != label and click.positive]
        mine = [click for click in self.valid if click.label == label]
        return mine + [click._replace(label=label, positive=False) for click in positive_elsewhere]

    def slices(self) -> dict[str, list[int]]:
        """List the sorted indices of the slices with positive clicks, by label."""
        found: dict[str, set[int]] = {}
        for click in self.valid:
            if click.positive:
                found.setdefault(click.label, set()).add(click.slice_index)
        return {label: sorted(indices) for label, indices in found.items()}
