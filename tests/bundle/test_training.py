"""Training runs that can be repeated, stopped, killed and resumed."""

import copy
import json
import shutil
import signal
import subprocess
import sys

import pytest
import torch
from ignite.engine import Events
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

STEPS = 6  # two epochs of three


def train(workflow, *, stop_at=None):
    """Run a training; give the loss of every iteration. The run may be made to fail at one iteration."""
    losses = []

    def note(engine):
        if engine.state.iteration == stop_at:
            raise KeyboardInterrupt
        losses.append(engine.state.output[0]["loss"])

    workflow.trainer.add_event_handler(Events.ITERATION_COMPLETED, note)
    try:
        workflow.run()
    except KeyboardInterrupt:
        assert stop_at is not None
    return losses


def weights(output_dir):
    return torch.load(output_dir / "last.pt", weights_only=True)["network"]


def assert_same_weights(found, expected):
    assert found.keys() == expected.keys()
    for name, tensor in expected.items():
        assert torch.equal(found[name], tensor), name


@pytest.fixture(scope="module")
def uninterrupted(start_training, tmp_path_factory):
    """Losses and final weights of a whole run."""
    output_dir = tmp_path_factory.mktemp("uninterrupted")
    losses = train(start_training(output_dir))
    return losses, weights(output_dir)


@pytest.mark.parametrize("workers", [0, 2])
def test_a_seed_gives_the_same_training_whatever_the_workers(start_training, uninterrupted, tmp_path, workers):
    losses = train(start_training(tmp_path, workers=workers))
    assert len(losses) == STEPS
    assert losses == uninterrupted[0]
    assert_same_weights(weights(tmp_path), uninterrupted[1])


def test_another_seed_gives_another_training(start_training, uninterrupted, tmp_path):
    assert train(start_training(tmp_path, seed=1, epochs=1))[0] != uninterrupted[0][0]


@pytest.mark.parametrize(
    ("stop_at", "interval", "resumed_after"),
    [
        (5, 100, 3),  # only the end of the first epoch was saved
        (3, 2, 2),  # in the middle of the first epoch
        (6, 2, 5),  # in the middle of the second
    ],
)
def test_a_resumed_run_goes_on_as_the_uninterrupted_one(
    start_training, uninterrupted, tmp_path, stop_at, interval, resumed_after
):
    stopped = train(start_training(tmp_path, checkpoint_interval=interval), stop_at=stop_at)
    assert stopped == uninterrupted[0][: stop_at - 1]
    resumed = train(start_training(tmp_path, checkpoint_interval=interval))
    assert resumed == uninterrupted[0][resumed_after:]
    assert_same_weights(weights(tmp_path), uninterrupted[1])


def test_accumulated_gradients_survive_a_resumption(start_training, tmp_path):
    accumulating = {"accumulation_steps": 2, "checkpoint_interval": 2}
    whole = train(start_training(tmp_path / "whole", **accumulating))
    # The optimiser steps after iterations 2 and 3 of an epoch of three: iteration 4 must not be the last one saved.
    train(start_training(tmp_path / "parts", **accumulating), stop_at=4)
    assert train(start_training(tmp_path / "parts", **accumulating)) == whole[3:]
    assert_same_weights(weights(tmp_path / "parts"), weights(tmp_path / "whole"))


def test_a_longer_run_continues_a_finished_one(start_training, uninterrupted, tmp_path):
    assert train(start_training(tmp_path, epochs=1)) == uninterrupted[0][:3]
    assert train(start_training(tmp_path, epochs=2)) == uninterrupted[0][3:]
    assert_same_weights(weights(tmp_path), uninterrupted[1])


@pytest.mark.parametrize("epochs", [2, 1])
def test_a_finished_run_is_left_as_it_is(start_training, trained, tmp_path, capsys, epochs):
    for name in ("last.pt", "best.pt"):
        shutil.copy(trained / name, tmp_path)
    written = {path: path.stat().st_mtime_ns for path in tmp_path.iterdir()}
    assert train(start_training(tmp_path, epochs=epochs)) == []
    message = f"{tmp_path / 'last.pt'}: already finished after 6 iterations; raise epochs to go on."
    assert message in capsys.readouterr().out
    assert {path: path.stat().st_mtime_ns for path in tmp_path.glob("*.pt")} == written


def test_random_numbers_of_the_network_go_on_as_well(start_training, tmp_path):
    """Dropout draws from the random state that a checkpoint keeps."""
    dropout = {
        "encoder_def": {
            "_target_": "protoseg.networks.encoders.TimmEncoder",
            "name": "vit_tiny_patch16_224",
            "patch_size": 8,
            "embed_dim": 16,
            "depth": 1,
            "num_heads": 2,
            "proj_drop_rate": 0.5,
        },
        "checkpoint_interval": 2,
    }
    whole = train(start_training(tmp_path / "whole", **dropout))
    train(start_training(tmp_path / "parts", **dropout), stop_at=3)
    assert train(start_training(tmp_path / "parts", **dropout)) == whole[2:]
    assert_same_weights(weights(tmp_path / "parts"), weights(tmp_path / "whole"))


def test_every_process_goes_on_after_the_episodes_of_all(start_training, tmp_path):
    train(start_training(tmp_path, epochs=1))
    workflow = start_training(tmp_path, epochs=1, **{"train#sampler#rank": 1, "train#sampler#world_size": 2})
    train(workflow)
    # 3 iterations of 2 episodes, over both processes
    assert workflow.parser.get_parsed_content("train#sampler").first == 6


def test_a_run_that_begins_at_later_episodes_resumes_after_its_own(start_training, tmp_path):
    for _ in range(2):
        workflow = start_training(tmp_path, epochs=1, **{"train#sampler#first": 10})
        train(workflow)
    assert workflow.parser.get_parsed_content("train#sampler").first == 10 + 6


def test_validation_remembers_few_features(start_training, tmp_path):
    inferer = start_training(tmp_path).parser.get_parsed_content("validate#inferer")
    assert inferer.cache.max_bytes == 64 * 2**20


KILLED = """
import io, json, os, signal, sys
import torch
from monai.bundle import ConfigWorkflow

workflow = ConfigWorkflow(**json.loads(sys.argv[1]))
save = torch.save

def save_half(content, file):
    if content.get("iteration") != 4:
        return save(content, file)
    whole = io.BytesIO()
    save(content, whole)
    file.write(whole.getvalue()[: whole.tell() // 2])
    file.flush()
    os.kill(os.getpid(), signal.SIGKILL)

torch.save = save_half
workflow.initialize()
workflow.run()
"""


def test_killed_while_it_writes_a_checkpoint(start_training, uninterrupted, configs, tmp_path):
    workflow = start_training(tmp_path, checkpoint_interval=1)
    overrides = {
        key: workflow.parser[key]
        for key in (
            "dataset_dir",
            "cache_dir",
            "output_dir",
            "image_size",
            "precision",
            "workers",
            "batch_size",
            "epochs",
            "epoch_length",
            "checkpoint_interval",
            "encoder_def#channels",
            "encoder_def#widths",
        )
    }
    arguments = {"workflow_type": "train", "config_file": str(configs / "train.yaml"), "device": "cpu", **overrides}
    killed = subprocess.run(
        [sys.executable, "-c", KILLED, json.dumps(arguments)], capture_output=True, text=True, encoding="utf-8"
    )
    assert killed.returncode == -signal.SIGKILL, killed.stderr

    assert torch.load(tmp_path / "last.pt", weights_only=True)["iteration"] == 3
    assert [path.name[33:] for path in tmp_path.glob(".*.pt")] == [".last.pt"]
    assert train(workflow) == uninterrupted[0][3:]
    assert {path.name for path in tmp_path.iterdir() if path.suffix == ".pt"} == {"last.pt", "best.pt"}
    assert_same_weights(weights(tmp_path), uninterrupted[1])


@pytest.mark.parametrize(
    ("dice", "best"),
    [([0.2, 0.5, 0.4], 2), ([0.3, 0.1, 0.2], 1), ([0.1, 0.2, 0.3], 3), ([0.2, 0.2, 0.2], 1)],
)
def test_the_best_checkpoint_follows_the_validation(start_training, tmp_path, monkeypatch, dice, best):
    workflow = start_training(tmp_path, epochs=3, epoch_length=1)
    validated = iter(dice)
    monkeypatch.setattr("protoseg.workflows.evaluation.metrics.LabelDice.compute", lambda self: next(validated))
    networks = []
    workflow.trainer.add_event_handler(
        Events.EPOCH_COMPLETED,
        lambda _: networks.append(copy.deepcopy(workflow.network_def.state_dict())),
    )
    train(workflow)
    assert_same_weights(torch.load(tmp_path / "best.pt", weights_only=True)["network"], networks[best - 1])


def test_a_resumed_run_remembers_the_best_validation(start_training, tmp_path, monkeypatch):
    monkeypatch.setattr("protoseg.workflows.evaluation.metrics.LabelDice.compute", lambda self: 0.5)
    train(start_training(tmp_path, epochs=1))
    written = (tmp_path / "best.pt").stat().st_mtime_ns
    monkeypatch.setattr("protoseg.workflows.evaluation.metrics.LabelDice.compute", lambda self: 0.4)
    workflow = start_training(tmp_path, epochs=2)
    train(workflow)
    assert (tmp_path / "best.pt").stat().st_mtime_ns == written
    assert (workflow.evaluator.state.best_metric, workflow.evaluator.state.best_metric_epoch) == (0.5, 1)


def test_losses_and_dice_are_shown_in_tensorboard(trained):
    tags = {}
    for file in trained.glob("events.out.tfevents.*"):
        events = EventAccumulator(str(file)).Reload()
        tags.update({tag: [event.step for event in events.Scalars(tag)] for tag in events.Tags()["scalars"]})
    assert tags["train_loss"] == list(range(1, STEPS + 1))
    assert tags["mean_dice"] == [1, 2]


def test_tracking_with_mlflow(start_training, tmp_path):
    mlflow = pytest.importorskip("mlflow")
    uri = f"sqlite:///{tmp_path / 'runs.db'}"
    workflow = start_training(
        tmp_path, epochs=1, tracking="mlflow", tracking_uri=uri, experiment_name="abdomen", run_name="first"
    )
    losses = train(workflow)
    client = mlflow.MlflowClient(uri)
    (run,) = client.search_runs([client.get_experiment_by_name("abdomen").experiment_id])
    assert run.info.run_name == "first"
    tracked = [metric.value for metric in client.get_metric_history(run.info.run_id, "train_loss")]
    assert tracked == pytest.approx(losses)
    assert 0 <= run.data.metrics["mean_dice"] <= 1


def test_averaged_weights_are_written_and_resumed(start_training, tmp_path):
    averaging = {
        "train#average": {
            "_target_": "protoseg.workflows.handlers.weight_average.WeightAverage",
            "network": "@network",
        },
        "train#checkpoint#average": "@train#average",
        "checkpoint_interval": 2,
    }
    train(start_training(tmp_path / "whole", **averaging))
    train(start_training(tmp_path / "parts", **averaging), stop_at=3)
    train(start_training(tmp_path / "parts", **averaging))
    averages = [torch.load(tmp_path / name / "average.pt", weights_only=True)["network"] for name in ("whole", "parts")]
    assert_same_weights(averages[1], averages[0])
    last = weights(tmp_path / "whole")
    assert any(not torch.equal(last[name], tensor) for name, tensor in averages[0].items())


def test_a_run_without_average_cannot_be_resumed_with_one(start_training, trained, tmp_path):
    shutil.copy(trained / "last.pt", tmp_path)
    averaging = {
        "train#average": {
            "_target_": "protoseg.workflows.handlers.weight_average.WeightAverage",
            "network": "@network",
        },
        "train#checkpoint#average": "@train#average",
    }
    with pytest.raises(Exception) as caught:
        train(start_training(tmp_path, epochs=3, **averaging))
    assert f"{tmp_path / 'last.pt'} lacks average: " in str(caught.value.__cause__)
