"""The weights at the end of a training."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ignite.engine import Engine, Events

from protoseg.files import remove_unfinished, to_path
from protoseg.networks.alpnet import ALPNet
from protoseg.networks.weights import save_weights

__all__ = ["FinalWeights"]


class FinalWeights:
    """Writes the network and its header at the end of the training; an Ignite handler.

    Args:
        file: file of the weights.
        network: network that is trained.
        header: header of the file, see `make_header`.
    """

    def __init__(self, *, file: str | Path, network: ALPNet, header: Mapping[str, Any]) -> None:
        self.file = to_path(file, "file")
        self.network = network
        self.header = header

    def attach(self, engine: Engine) -> None:
        """Write at the end of a run of `engine`."""
        engine.add_event_handler(Events.COMPLETED, self)

    def __call__(self, engine: Engine) -> None:
        """Write the file."""
        remove_unfinished(self.file.parent, {self.file.name})  # left by a killed run
        save_weights(self.network, self.file, header=self.header)
