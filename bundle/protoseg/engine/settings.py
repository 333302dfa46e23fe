"""Settings of the one-shot engine."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from protoseg.errors import InputError
from protoseg.moved import renamed_arguments
from protoseg.ops.components import ComponentFilter

__all__ = ["OneShotSettings", "SupportSelection"]

SupportSelection = Literal["similar", "nearest", "all"]


@renamed_arguments(choice="support_selection", components="component_filter")
@dataclass(frozen=True)
class OneShotSettings:
    """Settings of one-shot segmentation.

    Args:
        batch_size: number of slices encoded together.
        support_selection: support slices for a query slice, chosen by the images alone: "nearest", for every label the
            slice that looks most like the query's; "similar", for every label five of them, and the sixteen of all that
            look most like it; "all".
        contrast: "auto" to negate the gray values if the support then explains the volume better; "as_is" never to.
        orientation: "auto" to turn the slices by quarter turns if the support then explains them better, whatever the
            file states; "as_is" never to.
        layout: "auto" to take probability from labels that lie elsewhere among the others than on the support; "as_is"
            never to.
        component_filter: 3D components of a label to keep, before and after it is refined: "support" (as many as the
            support has, and more that are as large and sure), "one" or "none" (no filter).
        estimate_quality: True to segment the support in reverse and estimate each label's Dice.
        progress: True to show a progress bar over the slices.

    Raises:
        InputError: an unknown support selection, contrast, orientation, layout or component filter, or a batch size
            below 1.
    """

    batch_size: int = 8
    support_selection: SupportSelection = "similar"
    contrast: Literal["auto", "as_is"] = "auto"
    orientation: Literal["auto", "as_is"] = "auto"
    layout: Literal["auto", "as_is"] = "auto"
    component_filter: ComponentFilter = "support"
    estimate_quality: bool = True
    progress: bool = False

    def __post_init__(self) -> None:
        if self.support_selection not in get_args(SupportSelection):
            raise InputError(
                f"support_selection is '{self.support_selection}'; choose 'similar', 'nearest' or 'all'. (The "
                "published choice by parts of an organ's extent needs the query's own label map: it exists in the "
                "legacy evaluation protocol alone.)"
            )
        for name in ("contrast", "orientation", "layout"):
            if getattr(self, name) not in ("auto", "as_is"):
                raise InputError(f"{name} is '{getattr(self, name)}'; choose 'auto' or 'as_is'.")
        if self.component_filter not in ("none", "one", "support"):
            raise InputError(f"component_filter is '{self.component_filter}'; choose 'support', 'one' or 'none'.")
        if self.batch_size < 1:
            raise InputError(f"batch_size is {self.batch_size}; it must be at least 1.")
