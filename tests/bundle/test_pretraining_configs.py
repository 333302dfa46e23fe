"""Every override file of configs/pretraining fits pretrain.yaml: what it names is built, and learns."""

from pathlib import Path

import pytest
import torch
from monai.bundle import ConfigParser

CONFIGS = Path(__file__).parents[2] / "bundle" / "configs"
TINY = {"encoder_def": {"_target_": "protoseg.networks.fpn.FPNEncoder", "channels": 16}}
OVERLAYS = sorted(path.name for path in (CONFIGS / "pretraining").glob("*.yaml"))


def parse(*overlays, **overrides):
    parser = ConfigParser()
    names = ("train.yaml", "pretrain.yaml", *(f"pretraining/{name}" for name in overlays))
    parser.read_config([str(CONFIGS / name) for name in names])
    for key, value in {"device": "cpu", "weights": None, **overrides}.items():
        parser[key] = value
    return parser


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_an_override_file_gives_a_loss_that_the_encoder_learns_from(overlay):
    parser = parse(overlay, **({} if overlay == "vit14.yaml" else TINY))
    network, encode, loss = (
        parser.get_parsed_content(name) for name in ("network", "train#inferer", "train#trainer#loss_function")
    )
    assert parser.get_parsed_content("image_size") % network.encoder.stride == 0
    size = 4 * network.encoder.stride
    labels = torch.ones(2, 1, size, size, dtype=torch.long)
    labels[..., : size // 2] = 2
    images = torch.randn(2, 1, 3, size, size)
    loss(encode(images, network, support_images=images, support_masks=labels[:, None]), labels).backward()
    assert all(parameter.grad is not None for parameter in network.parameters())


def test_the_second_stage_goes_on_where_the_first_ends():
    first, second = parse(), parse("second_stage.yaml")
    taken = first["epochs"] * first["epoch_length"] * first["batch_size"]
    assert second["train#sampler#first"] == taken < first["coarse_episodes"]
    assert second["learning_rate"] == first["learning_rate"] / 2
    assert second["output_dir"] != first["output_dir"]
