"""A short version of the pre-training: its features match better than random ones, and it repeats from a seed."""

import contextlib
from pathlib import Path

import pytest
import torch
from ignite.engine import Events

from protoseg.data.preparation.synthetic import write_dataset
from protoseg.synthesis import subjects as subjects_module
from protoseg.synthesis.anatomy.regions import REGIONS

SHORT = {
    "image_size": 96,
    "encoder_def#channels": 48,
    "encoder_def#widths": [16, 32, 48, 64, 96],
    "batch_size": 6,
    "epochs": 1,
    "epoch_length": 150,
    "coarse_episodes": 0,
    "subjects": {"abdomen": 12},
    "learning_rate": 0.003,
    "seed": 3,
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """Scans to validate on, of other people than those of the training."""
    folder = tmp_path_factory.mktemp("pretraining")
    write_dataset(folder / "scans", training=0, validation=2, test=0, shape=(84, 72, 14), spacing=(4.6, 4.6, 17.0))
    return folder


@pytest.fixture(autouse=True)
def coarse_subjects(monkeypatch) -> None:
    """Coarse subjects are painted in a moment."""
    monkeypatch.setattr(subjects_module, "FRAME", 84)
    monkeypatch.setattr(subjects_module, "ROWS", 68)
    monkeypatch.setattr(subjects_module, "SLICES", 14)
    monkeypatch.setattr(subjects_module, "SPACINGS", dict.fromkeys(REGIONS, (4.6, 17.0)))


@pytest.fixture
def start_pretraining(start_training, folder, tmp_path):
    def start(name: str, **overrides):
        paths = {"dataset_dir": str(folder / "scans"), "cache_dir": str(folder / "subjects")}
        return start_training(tmp_path / name, "pretrain.yaml", **{**SHORT, **paths, **overrides})

    return start


def mean_dice(workflow) -> float:
    workflow.parser.get_parsed_content("validate#evaluator").run()
    return workflow.parser.get_parsed_content("validate#evaluator").state.metrics["mean_dice"]


def test_a_short_run_beats_the_random_encoder(start_pretraining, surroundings):
    # By plain votes: others find a tenth with random features, too.
    workflow = start_pretraining("short", **{"matching#selectivity": 1.0, "matching#area_correction": 0.0})
    untrained = mean_dice(workflow)
    workflow.run()
    trained = mean_dice(workflow)
    assert trained > 0.12 > 0.08 > untrained


def test_a_seed_gives_the_same_weights(start_pretraining, surroundings, tmp_path):
    for name in ("first", "second"):
        start_pretraining(name, epoch_length=2, image_size=64).run()
    first, second = (
        torch.load(tmp_path / name / "last.pt", weights_only=True)["network"] for name in ("first", "second")
    )
    assert all(torch.equal(first[key], second[key]) for key in first)


STREAMED = {
    "image_size": 64,
    "precision": "float32",
    "encoder_def#channels": 16,
    "encoder_def#widths": [8, 16, 16, 16, 16],
    "batch_size": 2,
    "epochs": 2,
    "epoch_length": 3,
    "coarse_episodes": 4,
    "checkpoint_interval": 2,
    "slots": {"abdomen": 2, "heart": 2, "shapes": 1, "cells": 1, "skin": 2},
    "renewal": 8,
}


@pytest.fixture
def start_streaming(start_training, coarse_stream, folder, tmp_path):
    def start(name: str, **overrides):
        paths = {"dataset_dir": str(folder / "scans"), "cache_dir": str(tmp_path / name / "subjects")}
        settings = {**STREAMED, **paths, **overrides}
        return start_training(tmp_path / name, "pretrain.yaml", "pretraining/streamed.yaml", **settings)

    return start


def stop(workflow, iteration):
    def fail(engine):
        raise KeyboardInterrupt

    workflow.trainer.add_event_handler(Events.ITERATION_COMPLETED(once=iteration), fail)
    with contextlib.suppress(KeyboardInterrupt):
        workflow.run()


@pytest.mark.parametrize("iteration", [3, 6])
def test_a_streamed_run_that_is_resumed_gives_the_same_bits(start_streaming, surroundings, tmp_path, iteration):
    """Subjects change in mid-run and coordinates are dropped by chance: all of it has to come back."""
    start_streaming("whole").run()
    stop(start_streaming("parts"), iteration)
    start_streaming("parts").run()
    for file in ("last.pt", "average.pt"):
        first, second = (
            torch.load(tmp_path / name / file, weights_only=True)["network"] for name in ("whole", "parts")
        )
        assert all(torch.equal(first[key], second[key]) for key in first)
