"""Every override file fits the main configs that it is made for."""

import re
from pathlib import Path
from pydoc import locate

import pytest
import timm
import torch
from monai.bundle import ConfigParser

from protoseg.networks.fpn import FPNEncoder

CONFIGS = Path(__file__).parents[2] / "bundle" / "configs"
ENCODERS = sorted(path.stem for path in (CONFIGS / "encoders").glob("*.yaml"))
MAIN = ("train.yaml", "inference.yaml")


def parse(*names, **overrides):
    parser = ConfigParser()
    parser.read_config([str(CONFIGS / name) for name in names])
    parser.update(overrides)
    parser.parse()
    return parser


@pytest.mark.parametrize("main", MAIN)
@pytest.mark.parametrize("encoder", ENCODERS)
def test_an_encoder_fits_the_main_configs(encoder, main):
    parser = parse(main, f"encoders/{encoder}.yaml")
    config = parser["encoder"]["encoder"]
    assert locate(parser["encoder"]["_target_"]) is not None
    assert locate(config["_target_"]) is not None
    assert parser["encoder"]["tuning"] == "@tuning"
    patch = 8
    if "name" in config:
        assert config["name"] in timm.list_models(pretrained=True)
        patch = int(match[1]) if (match := re.search(r"_patch(\d+)_", config["name"])) else 16
    assert parser["image_size"] % patch == 0
    if "weights" in config:
        file = Path(parser.get_parsed_content("encoder#encoder#weights"))
        assert file.parent == CONFIGS.parent / "models"
        assert file.suffix in (".pth", ".safetensors")
        assert parser.get_parsed_content("weights") is None  # or those that ship would be loaded into another encoder


@pytest.mark.parametrize("encoder", [name for name in ENCODERS if name != "fpn"])
def test_a_trained_network_needs_no_weights_of_the_encoder(encoder):
    parser = parse("train.yaml", f"encoders/{encoder}.yaml", weights="runs/training/best.pt")
    assert parser.get_parsed_content("encoder#encoder#weights") is None


@pytest.mark.parametrize(
    ("names", "weights"),
    [
        (["train.yaml", "evaluate.yaml", "encoder"], "runs/training/best.pt"),
        (["train.yaml", "encoder", "evaluate.yaml"], "runs/training/best.pt"),
        (["inference.yaml", "encoder", "slice_adapter.yaml"], None),
        (["inference.yaml", "slice_adapter.yaml", "encoder"], None),
    ],
)
@pytest.mark.parametrize("chosen", [{}, {"weights": "mine.pt"}])
def test_weights_do_not_depend_on_the_order_of_the_files(names, weights, chosen):
    files = [name.replace("encoder", "encoders/dinov2_vits14.yaml") for name in names]
    parser = parse(*files, **chosen)
    found = parser.get_parsed_content("weights")
    assert found == chosen.get("weights", weights)
    own = parser.get_parsed_content("encoder#encoder#weights")
    assert own == (str(CONFIGS.parent / "models" / "dinov2_vits14_pretrain.pth") if found is None else None)


def test_training_and_inference_agree():
    """What both files say is the same, except where they differ by nature."""
    train, infer = (ConfigParser.load_config_file(CONFIGS / name) for name in MAIN)
    # Validation in the course of training leaves out refinement: it takes time, and judges the encoder.
    differing = {"dataset_dir", "output_dir", "label_names", "weights", "refiner", "initialize", "run"}
    shared = (train.keys() & infer.keys()) - differing
    assert {
        "network",
        "network_def",
        "encoder",
        "matching",
        "precision",
        "preprocessing",
        "support_selection",
    } <= shared
    assert {name: train[name] for name in shared} == {name: infer[name] for name in shared}


def test_evaluation_and_inference_refine_alike():
    evaluate, infer = (ConfigParser.load_config_file(CONFIGS / name) for name in ("evaluate.yaml", "inference.yaml"))
    assert evaluate["refiner"] == infer["refiner"]


@pytest.mark.parametrize("main", MAIN)
def test_the_fpn_is_built(main):
    assert isinstance(parse(main, "encoders/fpn.yaml").get_parsed_content("encoder"), FPNEncoder)


@pytest.mark.parametrize(
    ("dataset", "label_set", "names"),
    [
        ("btcv", 0, {"right_kidney": 2, "left_kidney": 3}),
        ("btcv", 1, {"liver": 6, "spleen": 1}),
        ("chaos", 0, {"right_kidney": 2, "left_kidney": 3}),
        ("chaos", 1, {"liver": 1, "spleen": 4}),
    ],
)
@pytest.mark.parametrize("setting", [1, 2])
def test_a_data_set_has_test_classes_that_setting_2_leaves_out_of_training(dataset, label_set, names, setting):
    parser = parse("train.yaml", f"datasets/{dataset}.yaml", label_set=label_set, setting=setting)
    assert parser.get_parsed_content("label_names") == names
    assert parser.get_parsed_content("exclude_labels") == (list(names.values()) if setting == 2 else [])
    assert parser.get_parsed_content("dataset_json") == f"data/{dataset}/dataset.json"


@pytest.mark.parametrize("overlay", sorted(path.name for path in (CONFIGS / "datasets").glob("*.yaml")))
def test_a_data_set_only_changes_what_training_knows(overlay):
    changed = {name.split("#")[0] for name in ConfigParser.load_config_file(CONFIGS / "datasets" / overlay)}
    assert changed - {"label_set", "setting"} <= set(ConfigParser.load_config_file(CONFIGS / "train.yaml"))


def test_the_published_settings_train_a_vision_transformer(start_training, tmp_path):
    """Adaptive prototypes, LoRA, adjacent slices and gradients of two iterations a step, with a tiny ViT."""
    workflow = start_training(
        tmp_path,
        "encoders/dinov2_vits14.yaml",
        "published.yaml",
        "slice_adapter.yaml",
        **{
            "encoder#encoder": {
                "_target_": "protoseg.networks.encoders.TimmEncoder",
                "name": "vit_tiny_patch16_224",
                "patch_size": 4,
                "embed_dim": 32,
                "depth": 2,
                "num_heads": 2,
            },
            "image_size": 64,
            "epochs": 1,
            "epoch_length": 4,
            "batch_size": 1,
            "accumulation_steps": 2,
        },
    )
    network = workflow.network_def
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    optimizer = workflow.parser.get_parsed_content("optimizer")
    steps = []
    optimizer.register_step_post_hook(lambda *_: steps.append(workflow.trainer.state.iteration))
    workflow.run()
    workflow.finalize()

    assert type(optimizer) is torch.optim.SGD
    assert steps == [2, 4]
    changed = {name for name, tensor in network.state_dict().items() if not torch.equal(tensor, before[name])}
    assert changed == {name for name, parameter in network.named_parameters() if parameter.requires_grad}
    assert {name.split(".")[0] for name in changed} == {"encoder", "slice_adapter"}
    assert all(".lora_" in name for name in changed if name.startswith("encoder."))
