"""The one-shot engine: a support and a volume in, a label map with confidences out.

`match` finds labels at the resolution of the features, `finish` refines their borders and reports the findings. Each
slice of the volume is encoded once and matched with all labels at once; the labels compete with each other and with the
background in one arg max, so they never overlap and an empty slice stays empty. Scores are kept at feature resolution
and resampled to the volume's own grid slice by slice.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import torch
from torch import Tensor
from tqdm import tqdm

from protoseg.engine.clicks.click import Click
from protoseg.engine.frames import frame_doubt, frame_mm
from protoseg.engine.matched_volume import MatchedVolume
from protoseg.engine.prediction import Prediction
from protoseg.engine.refiners.refiner import CoarseSegmentation, RefinedSegmentation, Refiner
from protoseg.engine.settings import OneShotSettings, SupportSelection
from protoseg.engine.slice_axes import slice_axes
from protoseg.engine.slice_encoder import SliceEncoder
from protoseg.engine.support import SupportSet
from protoseg.ops.volume import Placed, spacing_of

__all__ = ["OneShotSettings", "SupportSelection", "finish", "match", "segment", "slice_spacing"]

UNKNOWN_SIDES = "may be on the wrong side: the scan or the support does not say where left and right are"
WRONG_ORIENTATION = "may be on the wrong side: the scan's or the support's file seems to state a wrong orientation"


class Adapting(Protocol):
    """Segments a volume with a network that it adapts first, see `Adaptation`."""

    def segment(
        self,
        volume: Tensor,
        support: SupportSet,
        encoder: SliceEncoder,
        settings: OneShotSettings | None,
        *,
        refiner: Refiner | None,
        clicks: Sequence[Click],
    ) -> Prediction:
        """Segment a volume; arguments as for `segment`."""
        ...


@torch.no_grad()
def segment(
    volume: Tensor,
    support: SupportSet,
    encoder: SliceEncoder,
    settings: OneShotSettings | None = None,
    *,
    refiner: Refiner | None = None,
    clicks: Sequence[Click] = (),
    adaptation: Adapting | None = None,
) -> Prediction:
    """Segment every slice of a volume.

    Args:
        volume: (C, X, Y, Z) volume, normalized as the support was, slices along Z; a `Placed` one tells the spacing in
            mm.
        support: support, whose labels are looked for.
        encoder: encoder of slices, at the size of the support's images.
        settings: settings; by default those of `OneShotSettings()`.
        refiner: refiner of the borders.
        clicks: clicks of the user, for the refiner.
        adaptation: adaptation of the network to the support or to the volume, done first.

    Raises:
        InputError: the support was made for another encoder.
    """
    if adaptation is not None:
        return adaptation.segment(volume, support, encoder, settings, refiner=refiner, clicks=clicks)
    return finish(match(volume, support, encoder, settings), refiner=refiner, clicks=clicks)


@torch.no_grad()
def match(
    volume: Tensor,
    support: SupportSet,
    encoder: SliceEncoder,
    settings: OneShotSettings | None = None,
) -> MatchedVolume:
    """Match every slice of a volume with a support; arguments and errors as for `segment`."""
    settings = settings or OneShotSettings()
    support.check_encoder(encoder.fingerprint())
    matched = MatchedVolume(volume, support, encoder.of_size(support.images.shape[-1]), settings)
    for start in tqdm(
        range(0, len(matched.slices), settings.batch_size),
        "Segmenting",
        unit="batch",
        disable=not settings.progress,
        leave=None,  # under the bar of several volumes, each volume's bar goes when it is done
    ):
        matched.match(range(start, min(start + settings.batch_size, len(matched.slices))))
    matched.decide()
    matched.keep_components()
    return matched


@torch.no_grad()
def finish(
    matched: MatchedVolume,
    coarse: CoarseSegmentation | None = None,
    *,
    refiner: Refiner | None = None,
    clicks: Sequence[Click] = (),
) -> Prediction:
    """Refine a matched volume, and report the findings.

    Args:
        matched: result of `match`.
        coarse: segmentation to begin with; by default that of `matched`.
        refiner: refiner of the borders.
        clicks: clicks of the user, for the refiner.
    """
    begin = coarse or matched.coarse
    refined = RefinedSegmentation(begin.label_map)
    if refiner is not None:
        refined = refiner.refine(matched.slices, begin, spacing=slice_spacing(matched.volume), clicks=clicks)
        if not clicks:  # each of which may have a component of its own
            matched.keep_components(refined.label_map)
    prediction = matched.describe(refined, moved=refiner is not None or coarse is not None)
    sizes = frame_doubt(frame_mm(matched.volume), matched.support.frame_mm)
    doubt = ", ".join(filter(None, [_doubt_of_sides(matched), sizes]))
    # A mirrored organ is found as surely as any, and its estimate would be as high.
    return prediction.without_estimates(doubt) if doubt else prediction


def _doubt_of_sides(matched: MatchedVolume) -> str:
    """Tell why left and right may be exchanged; empty if nothing speaks for it."""
    turned = len(matched.slices) > 1 and matched.turns != 0
    scan_states, support_states = slice_axes(matched.volume) is not None, matched.support.slice_axes is not None
    if scan_states != support_states or (turned and not scan_states):
        return UNKNOWN_SIDES
    return WRONG_ORIENTATION if turned else ""


def slice_spacing(volume: Tensor) -> tuple[float, float, float]:
    """Tell the distance of slices, rows and columns in mm; 1 mm each way if it is unknown."""
    if not isinstance(volume, Placed):
        return 1.0, 1.0, 1.0
    x, y, z = spacing_of(volume.affine).tolist()
    return z, y, x
