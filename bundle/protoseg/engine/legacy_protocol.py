"""The published evaluation procedure: organ by organ and third by third, located by the query's own label map.

For comparison with published figures only. The procedure reads the **ground truth of the query** before it segments:
which slices show an organ (no others are segmented), and in which third of the organ's extent each of them is (the
support slice of the same third serves it). Nobody has that for a scan that is yet to be segmented;
`protoseg.engine.one_shot` does without.

Sources: SSL-ALPNet (Ouyang et al., ECCV 2020, section 4.1) and the code of DINOv2-ALPNet and ProtoSAM.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Literal

import numpy as np
import torch
from ignite.engine import Engine
from monai.data import MetaTensor
from monai.data.utils import affine_to_spacing
from monai.inferers import Inferer
from numpy.typing import NDArray
from torch import Tensor

from protoseg.engine.adaptation.episodes import LabelledSlices
from protoseg.engine.adaptation.test_time import Adaptation
from protoseg.engine.feature_cache import FeatureCache
from protoseg.engine.refiners.refiner import CoarseSegmentation, Refiner
from protoseg.engine.run_encoder import RunEncoder
from protoseg.engine.slice_encoder import SliceEncoder
from protoseg.engine.support import SupportSet
from protoseg.errors import InputError
from protoseg.matching.matching import Prototypes
from protoseg.moved import renamed_arguments
from protoseg.networks.alpnet import ALPNet
from protoseg.ops.components import keep_most_confident
from protoseg.ops.slices import axial_slices, unfit_slices, volume_from_slices

__all__ = ["LegacyInferer", "query_third", "support_thirds"]

THIRDS = 3

Components = Literal["one", "none"]


def support_thirds(slices: Sequence[int]) -> tuple[int, ...]:
    """Choose from the slices that hold an organ, in order, those at 1/6, 3/6 and 5/6."""
    return tuple(slices[(2 * third + 1) * len(slices) // (2 * THIRDS)] for third in range(THIRDS))


def query_third(index: int, first: int, last: int) -> int:
    """Tell in which third (0, 1 or 2) of an organ from slice `first` to slice `last` a slice is."""
    return min(THIRDS * (index - first) // max(last - first, 1), THIRDS - 1)


@renamed_arguments(components="component_filter")
class LegacyInferer(Inferer):
    """Segments the slices of a volume that are known to hold an organ, one organ after the other.

    Also a handler of the evaluator that it serves, so that the network is frozen once a run, see `RunEncoder`.

    Args:
        support: function that gives the support when it is first needed: all labelled slices of one scan or, for
            several shots, of several scans.
        cache: cache of features, to share it with others; by default one of its own.
        component_filter: components to keep on each slice: "one", the most confident as published, or "none" for no
            filter.
        adaptation: test-time training of a copy of the network on each slice's prediction, if any; its scope must be
            "slice".
        refiner: refiner of the borders, label by label.

    Raises:
        InputError: an unknown component rule, or another scope of adaptation.
    """

    def __init__(
        self,
        *,
        support: Callable[[], SupportSet],
        cache: FeatureCache | None = None,
        component_filter: Components = "one",
        adaptation: Adaptation | None = None,
        refiner: Refiner | None = None,
    ) -> None:
        super().__init__()
        if component_filter not in ("one", "none"):
            raise InputError(
                f"component_filter of the legacy protocol is '{component_filter}'; choose 'one' or 'none'."
            )
        if adaptation is not None and adaptation.scope != "slice":
            raise InputError(
                f"The scope of adaptation is '{adaptation.scope}'; the legacy protocol adapts to each 'slice', as "
                "published. Choose that, or protocol leak_free."
            )
        self._encoder = RunEncoder(cache or FeatureCache())
        self.component_filter = component_filter
        self.adaptation = adaptation
        self.refiner = refiner
        self._make_support = support
        self._support: SupportSet | None = None

    def attach(self, engine: Engine) -> None:
        """Freeze the network once in each run of an evaluator."""
        self._encoder.attach(engine)

    @property
    def support(self) -> SupportSet:
        """All labelled slices of the support scans."""
        if self._support is None:
            self._support = self._make_support()
        return self._support

    def serving(self, name: str) -> list[list[int]]:
        """Give the support slices for each third of a label (positions in `support`): one of each scan."""
        number = self.support.labels.position(name)
        slices: dict[str, list[int]] = {}
        for position, origin in enumerate(self.support.origins):
            if (self.support.masks[position] == number).any():
                slices.setdefault(origin.scan, []).append(position)
        return [list(shots) for shots in zip(*map(support_thirds, slices.values()))]

    def slices_used(self) -> list[int]:
        """Give the support slices for any third of any label (positions in `support`)."""
        return sorted({k for name in self.support.labels for shots in self.serving(name) for k in shots})

    @torch.no_grad()
    def __call__(
        self, inputs: Tensor, network: Any, *args: Any, query_label: Tensor | None = None, **kwargs: Any
    ) -> MetaTensor:
        """Segment the organ slices of one volume.

        Args:
            inputs: (1, C, X, Y, Z) normalized volume, slices along Z; a `MetaTensor` keeps its metadata.
            network: `ALPNet`, in evaluation mode.
            *args: unused positional arguments of MONAI's interface.
            query_label: **true** label map of the volume, (1, 1, X, Y, Z).
            **kwargs: unused keyword arguments of MONAI's interface.

        Returns:
            (1, L, X, Y, Z) uint8, a mask for each label: labels that are matched one by one may overlap.

        Raises:
            InputError: the label map is missing.
        """
        if query_label is None:
            raise InputError(
                "The legacy protocol needs the query's own label map to choose support slices, and this query has "
                "none. Add the label map to the data list, or choose protocol leak_free, which does without."
            )
        volume, encoder = inputs[0], self._encoder.of(network, self.support.images.shape[-1])
        ground_truth = axial_slices(query_label[0])[:, 0]
        masks = np.zeros((len(self.support.labels), *ground_truth.shape), np.uint8)
        for mask, (name, value) in zip(masks, self.support.labels.items()):
            holding = (ground_truth == value).flatten(1).any(1).nonzero()[:, 0].tolist()
            if holding and self.serving(name):  # a speck may be lost when the support is resized for the network
                mask[holding] = self._segment_label(volume, holding, name, encoder)
        labelled = volume_from_slices(torch.from_numpy(masks).transpose(0, 1))[None]
        return MetaTensor(labelled, meta=dict(inputs.meta) if isinstance(inputs, MetaTensor) else {})

    def _segment_label(self, volume: Tensor, holding: list[int], name: str, encoder: SliceEncoder) -> NDArray[np.uint8]:
        """Segment one label on the slices that hold it: (len(holding), H, W)."""
        slices = axial_slices(volume)
        serving = self.serving(name)
        prototypes = [self._prototypes(positions, name, encoder) for positions in serving]
        thirds = [query_third(index, holding[0], holding[-1]) for index in holding]
        features = encoder.encode_slices(slices, holding)
        logits = torch.stack(
            [
                encoder.matching.match(query[None, None], prototypes[third])[0, 0]
                for third, query in zip(thirds, features)
            ]
        )
        if self.adaptation is not None:
            images = encoder.network_input(slices, holding)
            for k, third in enumerate(thirds):
                adapted = _adapted(self.adaptation, encoder.network, images[[k]], logits[k])
                alone = encoder.of_network(adapted, FeatureCache(0))  # used for no other slice
                logits[k] = self._match(alone, images[[k]], serving[third], name)
        log_probability = logits.log_softmax(1)
        masks = np.stack([self._mask(slice_, *slices.shape[-2:]) for slice_ in log_probability])
        if self.refiner is None:
            return masks
        x, y, z = affine_to_spacing(volume.affine).tolist() if isinstance(volume, MetaTensor) else (1.0, 1.0, 1.0)
        coarse = CoarseSegmentation(masks, log_probability.half().cpu(), self.support.labels.only([name]))
        return self.refiner.refine(slices[holding], coarse, spacing=(z, y, x)).label_map

    def _match(self, encoder: SliceEncoder, image: Tensor, positions: list[int], name: str) -> Tensor:
        """Compute logits (2, h, w) of one slice (1, 3, size, size)."""
        prototypes = self._prototypes(positions, name, encoder)
        return encoder.matching.match(encoder.encode(image)[None], prototypes)[0, 0]

    def _prototypes(self, positions: list[int], name: str, encoder: SliceEncoder) -> Prototypes:
        """Make prototypes of one label against everything else, as published: other organs are background."""
        number = self.support.labels.position(name)
        masks = (self.support.masks[positions] == number).float()
        features = encoder.encode(self.support.images[positions])
        return encoder.matching.build(features[None], masks[None, None].to(features.device))

    def _mask(self, log_probability: Tensor, height: int, width: int) -> NDArray[np.uint8]:
        """Mask where the label wins on one slice's own grid, from (2, h, w)."""
        background, label = unfit_slices(log_probability[None], height, width)[0].cpu()
        mask = (label > background).numpy()
        if self.component_filter == "one":
            mask = keep_most_confident(mask, (label - background).sigmoid().numpy())
        return mask.astype(np.uint8)


def _adapted(adaptation: Adaptation, network: ALPNet, image: Tensor, logits: Tensor) -> ALPNet:
    """Copy the network and train it on one slice (1, 3, size, size) under its prediction, logits (2, h, w)."""
    size = image.shape[-1]
    found = unfit_slices(logits[None], size, size).argmax(1).byte().cpu()
    return adaptation.to_slices(network, LabelledSlices(image, found))
