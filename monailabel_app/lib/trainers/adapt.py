"""Adaptation of the network to the studies at hand: the bundle's self-supervised training, which needs no labels."""

from __future__ import annotations

import copy
import json
import logging
import os
import shutil
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import psutil
from ignite.engine import Engine as Trainer
from ignite.engine import Events
from monai.bundle import ConfigParser, ConfigWorkflow
from monai.handlers import from_engine
from monailabel.datastore.local import LocalDatastore
from monailabel.interfaces.tasks.train import TrainTask

from lib.context import Context
from lib.options import CONFIGS, Options
from protoseg.data.io.volumes import read_image
from protoseg.engine.slice_axes import slice_axes
from protoseg.engine.slice_encoder import SliceEncoder
from protoseg.errors import InputError
from protoseg.files import replacing, write_json
from protoseg.networks.header import make_header
from protoseg.networks.weights import load_weights, save_weights
from protoseg.workflows.studies.leave_one_out import LabelledVolume, leave_one_out_dice, read_labelled_volume

__all__ = ["Adapt"]

logger = logging.getLogger(__name__)

TRAIN_FILES = ("train.yaml", "adapt.yaml")
SHOWN_EVERY = 1.0  # seconds between two writings of the progress
JUDGED_ON = 4  # labelled scans at most
TOLERANCE = 0.02  # of Dice; beyond it the new weights are worse than the old


class Adapt(TrainTask):
    """Trains on all images present, and replaces the server's weights if the new ones are as good.

    MONAI Label runs it in a process of its own and stops it by killing that: the weights in use are replaced by one
    renaming at the very end, or not at all.

    Args:
        context: objects that the app shares.
        folder: folder for the training data.
    """

    def __init__(self, context: Context, folder: Path) -> None:
        super().__init__("Adapts the network to these images, without labels")
        self.context = context
        self.folder = folder
        self.progress = folder / "progress.json"

    def config(self) -> dict[str, Any]:
        """Give the user's choices."""
        return {"max_epochs": 2, "epoch_length": 100, "learning_rate": 0.00002}

    def stats(self) -> dict[str, Any]:
        """Give the progress of a running training, or the outcome of the last one."""
        try:
            stats = json.loads(self.progress.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return {}
        if stats["state"] == "running" and not psutil.pid_exists(stats["pid"]):
            stats["state"] = "stopped"
        return stats

    def __call__(self, request: dict[str, Any], datastore: LocalDatastore) -> dict[str, Any]:
        """Train, judge, and put the new weights in their place.

        Returns:
            Content of `stats` from now on.

        Raises:
            InputError: there is no image to train on, or an option is no number above 0.
        """
        chosen = {key: _number(request.get(key, usual), key, type(usual)) for key, usual in self.config().items()}
        progress = _Progress(self.progress, epochs=chosen["max_epochs"], epoch_length=chosen["epoch_length"])
        run = self.folder / "run"
        shutil.rmtree(run, ignore_errors=True)
        try:
            before = self.context.engine.encoder()
            self._train(run, chosen, progress, datastore, before)
            outcome = self._replace(run / "adapted.pt", before)
        except BaseException as error:
            progress.write("failed", message=str(error))
            raise
        finally:
            shutil.rmtree(run, ignore_errors=True)
        progress.write("done", **outcome)
        return self.stats()

    def _train(
        self,
        run: Path,
        chosen: Mapping[str, Any],
        progress: _Progress,
        datastore: LocalDatastore,
        before: SliceEncoder,
    ) -> None:
        run.mkdir(parents=True)
        header = make_header(before.network, image_size=before.image_size)
        save_weights(before.network, run / "start.pt", header=header)
        write_json(run / "dataset.json", {"training": [{"image": path} for path in _readable(datastore)]})
        files, overrides = _training_config(self.context.options)
        workflow = ConfigWorkflow(
            config_file=files,
            workflow_type="train",
            logging_file=False,
            dataset_dir=str(run),
            output_dir=str(run),
            cache_dir=str(self.folder / "cache"),
            workers=0,
            weights=str(run / "start.pt"),
            epochs=chosen["max_epochs"],
            epoch_length=chosen["epoch_length"],
            learning_rate=chosen["learning_rate"],
            **overrides,
        )
        workflow.initialize()
        progress.attach(workflow.parser.get_parsed_content("train#trainer"))
        workflow.run()
        workflow.finalize()

    def _replace(self, new_weights: Path, before: SliceEncoder) -> dict[str, Any]:
        """Replace the old weights by the new ones unless these are worse; give the comparison."""
        network = copy.deepcopy(before.network)
        try:
            load_weights(network, new_weights)
        except InputError:
            return {"used": False, "message": "The training diverged; the old weights stay."}
        old, new = self._judge(before), self._judge(before.of_network(network))
        dice = {"dice_before": old, "best_metric": new}
        if old is not None and new is not None and new < old - TOLERANCE:
            return {"used": False, "message": "The new weights segment the labelled images worse.", **dice}
        with replacing(self.context.engine.adapted_weights) as unfinished:
            shutil.copy(new_weights, unfinished)
        return {"used": True, "message": "The new weights are in use.", **dice}

    def _judge(self, encoder: SliceEncoder) -> float | None:
        """Compute the Dice between labelled images; None if there are fewer than two."""
        engine = self.context.engine
        volumes: list[LabelledVolume] = []
        for scan in self.context.scans()[:JUDGED_ON]:
            try:
                axes = slice_axes(volumes[0].image) if volumes else None  # all in one plane, to compare
                volumes.append(read_labelled_volume(scan, engine.parts.preprocessing, self.context.registry, axes))
            except InputError as error:
                logger.warning("%s is not judged on. %s", scan.scan, error)
        dice = leave_one_out_dice(volumes, encoder, engine.settings)
        return None if dice is None else round(dice, 4)


class _Progress:
    """Writes the file that `Adapt.stats` reads, in the words of MONAI Label's own training."""

    def __init__(self, file: Path, *, epochs: int, epoch_length: int) -> None:
        self.file = file
        self.steps: dict[str, float] = {
            "total_epochs": epochs,
            "epoch": 0,
            "total_iterations": epochs * epoch_length,
            "iteration": 0,
        }
        self.start = time.time()
        self.written = 0.0
        self.write("running")

    def attach(self, trainer: Trainer) -> None:
        """Follow a trainer."""
        trainer.add_event_handler(Events.ITERATION_COMPLETED, self._advance)

    def _advance(self, trainer: Trainer) -> None:
        state = trainer.state
        self.steps.update(epoch=state.epoch, iteration=state.iteration, loss=round(_loss(state.output), 4))
        if time.time() - self.written > SHOWN_EVERY or state.iteration == self.steps["total_iterations"]:
            self.write("running")

    def write(self, state: str, **more: Any) -> None:
        """Write the state."""
        self.written = time.time()
        took = time.strftime("%H:%M:%S", time.gmtime(self.written - self.start))
        now = {"state": state, "pid": os.getpid(), "start_ts": int(self.start), "total_time": took}
        write_json(self.file, {**now, **self.steps, **more})


def _loss(output: Any) -> float:
    return float(from_engine("loss", first=True)(output))


def _number(value: Any, name: str, kind: type) -> Any:
    """Read a number above 0, an int or a float; clients may send text, or a list if the user chose nothing."""
    value = value[0] if isinstance(value, list) and value else value
    try:
        number = kind(value)
    except (TypeError, ValueError):
        number = kind(0)
    if not 0 < number < float("inf"):
        raise InputError(f"{name} is {value!r}; expected {'a whole' if kind is int else 'a'} number above 0.")
    return number


def _readable(datastore: LocalDatastore) -> list[str]:
    """List the paths of the images that are present and readable."""
    paths = []
    for image in sorted(LocalDatastore.list_images(datastore)):
        path = LocalDatastore.get_image_uri(datastore, image)
        try:
            read_image(path)
        except InputError as error:
            logger.warning("%s is not trained on. %s", image, error)
        else:
            paths.append(path)
    if not paths:
        raise InputError("There is no image to train on. Add images to the studies.")
    return paths


def _training_config(options: Options) -> tuple[list[str], dict[str, Any]]:
    """Give the config of the bundle's training with the same choices as for its inference."""
    main, last = (str(CONFIGS / name) for name in TRAIN_FILES)
    known = ConfigParser.load_config_file(main)
    overrides = {key: value for key, value in options.overrides.items() if key.split("#")[0] in known}
    overrides.pop("weights", None)  # it starts from the weights in use
    return [main, *options.files[1:], last], overrides
