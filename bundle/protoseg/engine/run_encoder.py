"""Freezes the network given to an inferer: at every call, or once a run of the evaluator that it serves."""

from __future__ import annotations

from ignite.engine import Engine, Events

from protoseg.engine.feature_cache import FeatureCache
from protoseg.engine.slice_encoder import SliceEncoder
from protoseg.networks.alpnet import ALPNet

__all__ = ["RunEncoder"]


class RunEncoder:
    """Makes the slice encoder of a network for an inferer.

    The network may have been trained between two calls, so each call freezes it again. It is not trained while an
    evaluator runs: attached to one, this freezes once a run. In training, each validation is a run.

    Args:
        cache: cache of features.
    """

    def __init__(self, cache: FeatureCache) -> None:
        self.cache = cache
        self._running = False
        self._frozen: SliceEncoder | None = None

    def attach(self, engine: Engine) -> None:
        """Freeze once in each run of an evaluator."""
        engine.add_event_handler(Events.STARTED, self._begin)
        engine.add_event_handler(Events.COMPLETED, self._end)

    def of(self, network: ALPNet | SliceEncoder, image_size: int) -> SliceEncoder:
        """Give the encoder of a network for an input of a size; a `SliceEncoder` is returned as it is."""
        if isinstance(network, SliceEncoder):
            return network.of_size(image_size).with_cache(self.cache)
        if self._frozen is None or self._frozen.network is not network:
            encoder = SliceEncoder(network, image_size, self.cache)
            self._frozen = encoder if self._running else None
            return encoder
        return self._frozen.of_size(image_size)

    def _begin(self, engine: Engine) -> None:
        self._running, self._frozen = True, None

    def _end(self, engine: Engine) -> None:
        self._running, self._frozen = False, None
