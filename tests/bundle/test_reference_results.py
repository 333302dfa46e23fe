"""Inference, clicks and training give what they gave before: a net under changes that are to change nothing.

A change that is meant to change them writes the figures anew, and says so:
`PROTOSEG_WRITE_REFERENCE=1 pytest tests/bundle/test_reference_results.py`.
"""

import json
import os
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
from ignite.engine import Events
from monai.bundle import ConfigParser

from protoseg.engine.clicks.click import Click
from protoseg.engine.clicks.segmentation import ClickSegmentation
from protoseg.engine.slice_encoder import SliceEncoder
from protoseg.labels import LabelSet

REFERENCE = Path(__file__).parents[1] / "data" / "reference_results.json"
VOXELS = 3  # that another processor's rounding may move
ROUNDING = 1e-4
SHIPPED = {"image_size": 128, "precision": "float32", "device": "cpu"}


def check(name: str, **found: Any) -> None:
    """Compare figures with those that were kept, or keep them."""
    kept = json.loads(REFERENCE.read_text(encoding="utf-8")) if REFERENCE.exists() else {}
    if os.environ.get("PROTOSEG_WRITE_REFERENCE"):
        REFERENCE.write_text(json.dumps({**kept, name: found}, indent=1) + "\n", encoding="utf-8")
        return
    expected = kept[name]
    for what in found.keys() - {"voxels"}:
        assert found[what] == pytest.approx(expected[what], rel=ROUNDING, abs=ROUNDING), what
    if "voxels" in found:
        assert found["voxels"] == pytest.approx(expected["voxels"], abs=VOXELS)


def voxels(label_map: np.ndarray) -> dict[str, int]:
    """How many voxels each label has on each slice, labels and slices without any left out."""
    sizes = {(value, z): int((label_map[..., z] == value).sum()) for value in range(1, 14) for z in range(10)}
    return {f"label {value}, slice {z}": size for (value, z), size in sizes.items() if size}


@pytest.fixture
def case(dataset_dir):
    dataset = json.loads((dataset_dir / "dataset.json").read_text(encoding="utf-8"))
    support, query = dataset["validation"][0], dataset["test"][0]
    return {
        "support_image": str(dataset_dir / support["image"]),
        "support_label": str(dataset_dir / support["label"]),
        "query": str(dataset_dir / query["image"]),
    }


@pytest.fixture
def inference(configs, case, tmp_path, surroundings):
    """The inference config with the weights that ship, on a tiny synthetic person."""
    config = ConfigParser()
    config.read_config(str(configs / "inference.yaml"))
    config.update({**SHIPPED, **case, "output_dir": str(tmp_path)})
    return config


def test_inference(inference, tmp_path):
    inference.get_parsed_content("initialize")
    inference.get_parsed_content("run")
    [report] = tmp_path.glob("*_seg.json")
    found = json.loads(report.read_text(encoding="utf-8"))["labels"]
    label_map = np.asarray(nibabel.load(report.with_suffix(".nii.gz")).dataobj)
    confidences = {name: each["confidence"] for name, each in found.items() if each["confidence"]}
    check("inference", voxels=voxels(label_map), confidences=confidences)


def test_clicks(inference):
    network = inference.get_parsed_content("network").eval()
    scan = inference.get_parsed_content("preprocessing")({"image": inference["query"]})["image"]
    encoder = SliceEncoder(network, SHIPPED["image_size"])
    clicking = ClickSegmentation(scan, encoder, labels=LabelSet({"organ": 1}), scan="scan")
    middle = tuple(edge // 2 for edge in scan.shape[:0:-1])
    beside = (middle[0], middle[1] - 6, middle[2] - 6)
    prediction = clicking.segment([Click(*middle, "organ"), Click(*beside, "organ", positive=False)])
    check("clicks", voxels=voxels(prediction.label_map.transpose(2, 1, 0)))


def test_training(start_training, tmp_path):
    losses = []
    workflow = start_training(tmp_path)
    workflow.trainer.add_event_handler(
        Events.ITERATION_COMPLETED, lambda engine: losses.append(float(engine.state.output[0]["loss"]))
    )
    workflow.run()
    check("training", losses=losses)
