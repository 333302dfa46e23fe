"""Checkpoints of a training run: written atomically, resumed exactly."""

from __future__ import annotations

import logging
import pickle
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import torch
from ignite.engine import Engine, Events
from monai.engines import Evaluator, SupervisedTrainer

from protoseg.data.episodes.sampling import EpisodeSampler
from protoseg.errors import InputError
from protoseg.files import remove_unfinished, replacing, to_path
from protoseg.networks.header import HEADER
from protoseg.networks.weights import load_strict
from protoseg.workflows.handlers.weight_average import WeightAverage
from protoseg.workflows.processes import is_first

__all__ = ["TrainingCheckpoint"]

logger = logging.getLogger(__name__)

LAST, BEST, AVERAGE = "last.pt", "best.pt", "average.pt"
STATE_KEYS = (
    "network",
    "optimizer",
    "lr_scheduler",
    "loss",
    "iteration",
    "best_metric",
    "best_metric_epoch",
    "random",
    "random_cuda",
)


class TrainingCheckpoint:
    """Keeps `last.pt` (everything that a resumed run needs) and `best.pt` (the network of the best validation).

    Both are written beside their place and then moved, so that a run killed at any moment leaves the previous
    file whole. Episodes are a pure function of their number and the random state is kept, so a resumed run goes on
    exactly as the uninterrupted one. Of several processes only the first writes, and its random state is kept. An
    Ignite handler; attach it after the one that validates.

    Args:
        output_dir: folder of the two files.
        network: network that is trained.
        optimizer: optimizer of the network.
        lr_scheduler: learning-rate schedule of the optimizer.
        loss: loss, with its state from step to step.
        sampler: sampler that numbers the episodes, and is told where to resume.
        batch_size: number of episodes in an iteration, over all processes.
        evaluator: evaluator whose key metric decides about `best.pt`, higher being better.
        average: average of the weights over the steps, kept in `last.pt`, and by itself in `average.pt`.
        header: header of `best.pt` and `average.pt`, see `make_header`.
        interval: number of iterations between two writings of `last.pt` within an epoch, a whole number of optimizer
            steps. It is written at the end of every epoch as well.
    """

    def __init__(
        self,
        *,
        output_dir: str | Path,
        network: torch.nn.Module,
        optimizer: torch.optim.Optimizer,
        lr_scheduler: torch.optim.lr_scheduler.LRScheduler,
        loss: torch.nn.Module,
        sampler: EpisodeSampler,
        batch_size: int,
        evaluator: Evaluator,
        average: WeightAverage | None = None,
        header: Mapping[str, Any] | None = None,
        interval: int = 100,
    ) -> None:
        self.output_dir = to_path(output_dir, "output_dir")
        self.network = network
        self.optimizer = optimizer
        self.lr_scheduler = lr_scheduler
        self.loss = loss
        self.sampler = sampler
        self.batch_size = batch_size
        self.evaluator = evaluator
        self.average = average
        self.header = dict(header or {})
        self.interval = interval

    def attach(self, engine: SupervisedTrainer) -> None:
        """Save the state of `engine` as it trains."""
        engine.add_event_handler(Events.STARTED, self._check_interval)
        if self.average is not None:
            self.average.attach(engine)
        engine.add_event_handler(Events.EPOCH_COMPLETED, self._save_best)
        engine.add_event_handler(Events.ITERATION_COMPLETED, self._save_within_epoch)
        engine.add_event_handler(Events.EPOCH_COMPLETED, self._save_last)

    def run(self, trainer: SupervisedTrainer) -> None:
        """Train, from where `last.pt` was written if there is one; a finished run is left as it is.

        Raises:
            InputError: the file is damaged, is no `last.pt`, or belongs to another network or optimizer.
        """
        path = self.output_dir / LAST
        if is_first():
            remove_unfinished(
                self.output_dir, {LAST, BEST, AVERAGE}
            )  # left by a killed run, each as large as these are
        if path.exists():
            iteration = self._restore(path)
            # Ignite would restart a finished run, and refuses fewer epochs than are done.
            if iteration >= trainer.state.max_epochs * trainer.state.epoch_length:
                logger.info("%s: already finished after %d iterations; raise epochs to go on.", path, iteration)
                return
            trainer.load_state_dict(
                {
                    "iteration": iteration,
                    "epoch_length": trainer.state.epoch_length,
                    "max_epochs": trainer.state.max_epochs,
                }
            )
            logger.info("Resuming %s after iteration %d.", path, iteration)
        trainer.run()

    def _restore(self, path: Path) -> int:
        """Restore everything but the trainer from the file; give the number of iterations done by then."""
        state = _read(path, STATE_KEYS if self.average is None else (*STATE_KEYS, "average"))
        load_strict(self.network, state["network"], source=path, target=type(self.network).__name__)
        try:
            self.optimizer.load_state_dict(state["optimizer"])
        except ValueError as error:
            raise InputError(
                f"{path} was written by another optimizer: {error}. Resume with the settings of that run, or choose "
                "another output_dir."
            ) from error
        self.lr_scheduler.load_state_dict(state["lr_scheduler"])
        load_strict(self.loss, state["loss"], source=path, target=type(self.loss).__name__)
        if self.average is not None:
            self.average.load_state_dict(state["average"])
        self.evaluator.state.best_metric = state["best_metric"]
        self.evaluator.state.best_metric_epoch = state["best_metric_epoch"]
        torch.set_rng_state(state["random"])
        if torch.cuda.is_available() and len(state["random_cuda"]) == torch.cuda.device_count():
            torch.cuda.set_rng_state_all(state["random_cuda"])
        self.sampler.first += state["iteration"] * self.batch_size
        return state["iteration"]

    def _check_interval(self, engine: SupervisedTrainer) -> None:
        if self.interval % engine.accumulation_steps:
            raise InputError(
                f"checkpoint_interval is {self.interval} iterations, no multiple of the {engine.accumulation_steps} "
                "accumulation_steps: a checkpoint between them would lose gradients. Choose a multiple."
            )

    def _save_within_epoch(self, engine: Engine) -> None:
        done = engine.state.iteration % cast(int, engine.state.epoch_length)  # always set: episodes are endless
        # The end of an epoch is saved after its validation, or a run that dies in between would never do it.
        if done and done % self.interval == 0:
            self._save_last(engine)

    def _save_last(self, engine: Engine) -> None:
        checkpoint = {
            "network": self.network.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "lr_scheduler": self.lr_scheduler.state_dict(),
            "loss": self.loss.state_dict(),
            "iteration": engine.state.iteration,
            "best_metric": float(self.evaluator.state.best_metric),
            "best_metric_epoch": self.evaluator.state.best_metric_epoch,
            "random": torch.get_rng_state(),
            "random_cuda": torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [],
        }
        if self.average is not None:
            checkpoint["average"] = self.average.state_dict()
            self._save({"network": self.average.network.state_dict(), HEADER: self.header}, AVERAGE)
        self._save(checkpoint, LAST)

    def _save_best(self, engine: Engine) -> None:
        if self.evaluator.state.best_metric_epoch == engine.state.epoch:
            self._save({"network": self.network.state_dict(), HEADER: self.header}, BEST)

    def _save(self, content: Mapping[str, Any], name: str) -> None:
        if is_first():
            with replacing(self.output_dir / name) as unfinished, unfinished.open("wb") as file:
                torch.save(content, file)


def _read(path: Path, keys: Sequence[str]) -> Mapping[str, Any]:
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError, ValueError) as error:
        raise InputError(
            f"{path} ({path.stat().st_size} bytes) cannot be read as a checkpoint. Delete it to start afresh, or put "
            "a whole one in its place."
        ) from error
    missing = [key for key in keys if key not in state]
    if missing:
        raise InputError(
            f"{path} lacks {', '.join(missing)}: it was not written as the {LAST} of a training run. Delete it to "
            "start afresh; to start from the weights in it, give it another name and pass that as weights."
        )
    return state
