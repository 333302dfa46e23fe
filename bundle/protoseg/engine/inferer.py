"""The engine as MONAI's evaluators call it."""

from __future__ import annotations

from typing import Any

import torch
from ignite.engine import Engine
from monai.data import MetaTensor
from monai.inferers import Inferer
from torch import Tensor

from protoseg.engine.adaptation.test_time import Adaptation
from protoseg.engine.feature_cache import FeatureCache
from protoseg.engine.one_shot import OneShotSettings, segment
from protoseg.engine.prediction import findings_to_json
from protoseg.engine.refiners.refiner import Refiner
from protoseg.engine.run_encoder import RunEncoder
from protoseg.engine.support import SupportSet
from protoseg.ops.slices import volume_from_slices

__all__ = ["FINDINGS", "OneShotInferer"]

FINDINGS = "findings"  # key of a label map's metadata; JSON, because MONAI would take a mapping apart with the batch


class OneShotInferer(Inferer):
    """Segments whole volumes from a support.

    Also a handler of the evaluator that it serves, so that the network is frozen once a run, see `RunEncoder`.

    Args:
        support: support, whose labels are looked for.
        cache: cache of features, to share it with others; by default one of its own.
        refiner: refiner of the borders.
        adaptation: adaptation of the network to the support or to each volume.
        settings: arguments of `OneShotSettings`.
    """

    def __init__(
        self,
        *,
        support: SupportSet,
        cache: FeatureCache | None = None,
        refiner: Refiner | None = None,
        adaptation: Adaptation | None = None,
        **settings: Any,
    ) -> None:
        super().__init__()
        self.support = support
        self.cache = cache or FeatureCache()
        self._encoder = RunEncoder(self.cache)
        self.refiner = refiner
        self.adaptation = adaptation
        self.settings = OneShotSettings(**settings)

    def attach(self, engine: Engine) -> None:
        """Freeze the network once in each run of an evaluator."""
        self._encoder.attach(engine)

    def __call__(self, inputs: Tensor, network: Any, *args: Any, **kwargs: Any) -> MetaTensor:
        """Segment one volume.

        Args:
            inputs: (1, C, X, Y, Z) normalized volume, slices along Z; a `MetaTensor` keeps its metadata.
            network: `ALPNet`, or a `SliceEncoder` of it.
            *args: unused positional arguments of MONAI's interface.
            **kwargs: unused keyword arguments of MONAI's interface.

        Returns:
            (1, 1, X, Y, Z) float32 label map with the input's metadata and, under "findings", the findings as JSON
            (`findings_from_json`).
        """
        prediction = segment(
            inputs[0],
            self.support,
            self._encoder.of(network, self.support.images.shape[-1]),
            self.settings,
            adaptation=self.adaptation,
            refiner=self.refiner,
        )
        label_map = volume_from_slices(torch.from_numpy(prediction.label_map)[:, None])[None].float()
        meta = dict(inputs.meta) if isinstance(inputs, MetaTensor) else {}
        return MetaTensor(label_map, meta={**meta, FINDINGS: findings_to_json(prediction.findings)})
