"""A data set of tiny scans, and workflows small enough to run in seconds."""

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from monai.bundle import ConfigWorkflow

from protoseg.data.preparation.synthetic import write_dataset

sys.path.insert(0, str(Path(__file__).parent))  # pytest's importlib mode does not

TINY = {
    "image_size": 64,
    "precision": "float32",
    "encoder_def#channels": 16,
    "encoder_def#widths": [8, 16, 16, 16, 16],
    "device": "cpu",
}
TINY_TRAINING = {"workers": 0, "batch_size": 2, "epochs": 2, "epoch_length": 3}

Start = Callable[..., ConfigWorkflow]


@pytest.fixture
def surroundings(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A workflow changes the interpreter's hook for exceptions, its search path and the random state."""
    monkeypatch.setattr(sys, "excepthook", sys.excepthook)
    monkeypatch.setattr(sys, "path", list(sys.path))
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    with torch.random.fork_rng():
        yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="session")
def configs() -> Path:
    """Folder of the bundle's config files."""
    return Path(__file__).parents[2] / "bundle" / "configs"


@pytest.fixture(scope="session")
def start_workflow(configs) -> Start:
    """Make a tiny workflow of some of the bundle's config files, laid over each other, and initialise it."""

    def start(workflow_type: str, *names: str, **overrides: Any) -> ConfigWorkflow:
        workflow = ConfigWorkflow(
            workflow_type=workflow_type,
            config_file=[str(configs / name) for name in names],
            meta_file=str(configs / "metadata.json"),
            logging_file=str(configs / "logging.conf"),
            **{**TINY, **overrides},
        )
        workflow.initialize()
        return workflow

    return start


@pytest.fixture(scope="session")
def dataset_dir(tmp_path_factory) -> Path:
    """Synthetic abdomens of 48 x 48 x 10 voxels: 2 scans for training, 2 for validation, 2 for the test."""
    folder = tmp_path_factory.mktemp("dataset")
    write_dataset(folder, training=2, validation=2, test=2, shape=(48, 48, 10), spacing=(8.0, 8.0, 24.0))
    return folder


@pytest.fixture(scope="session")
def start_training(start_workflow, dataset_dir, tmp_path_factory) -> Start:
    """Start to train on the tiny data set; all runs share the prepared scans."""
    paths = {"dataset_dir": str(dataset_dir), "cache_dir": str(tmp_path_factory.mktemp("cache"))}

    def start(output_dir: Path, *overlays: str, **overrides: Any) -> ConfigWorkflow:
        settings = {**TINY_TRAINING, **paths, "output_dir": str(output_dir), **overrides}
        return start_workflow("train", "train.yaml", *overlays, **settings)

    return start


@pytest.fixture(scope="session")
def trained(start_training, tmp_path_factory) -> Path:
    """Folder of a finished training run: `best.pt`, `last.pt` and what TensorBoard reads."""
    output_dir = tmp_path_factory.mktemp("trained")
    workflow = start_training(output_dir)
    workflow.run()
    workflow.finalize()
    return output_dir
