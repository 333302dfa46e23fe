"""Every override file fits the main configs that it is made for."""

import re
from pathlib import Path

import pytest
import timm
import torch
from monai.bundle import ConfigParser

from protoseg.networks.encoder_table import ENCODERS
from protoseg.networks.fpn import FPNEncoder, FPNEnsemble

CONFIGS = Path(__file__).parents[2] / "bundle" / "configs"
MAIN = ("train.yaml", "inference.yaml")


def parse(*names, **overrides):
    parser = ConfigParser()
    parser.read_config([str(CONFIGS / name) for name in names])
    parser.update(overrides)
    parser.parse()
    return parser


@pytest.mark.parametrize("main", MAIN)
@pytest.mark.parametrize("encoder", ENCODERS)
def test_an_encoder_is_chosen_by_its_name(encoder, main):
    parser = parse(main, encoder=encoder)
    assert parser.get_parsed_content("image_size") == (252 if "14" in encoder else 256)
    if encoder != "fpn":
        assert parser.get_parsed_content("weights") is None  # or those that ship would be loaded into another encoder


@pytest.mark.parametrize(
    ("names", "weights"),
    [(["train.yaml", "evaluate.yaml"], "runs/training/best.pt"), (["inference.yaml", "slice_adapter.yaml"], None)],
)
@pytest.mark.parametrize("chosen", [{}, {"weights": "mine.pt"}])
def test_weights_of_the_network_make_those_of_the_encoder_needless(names, weights, chosen, tmp_path):
    parser = parse(*names, encoder="dinov2_vits14", bundle_root=str(tmp_path), **chosen)
    found = chosen.get("weights", weights)
    assert parser.get_parsed_content("weights") == found
    arguments = {name: parser.get_parsed_content(f"encoder_def#{name}") for name in ("models", "network_weights")}
    assert arguments == {"models": str(tmp_path / "models"), "network_weights": found}


@pytest.mark.parametrize("main", MAIN)
def test_a_network_has_the_encoder_of_the_name(main, tmp_path):
    """With weights of a tiny model, which the encoder takes as its own, and with adapters."""
    tiny = {"embed_dim": 32, "depth": 1, "num_heads": 2, "img_size": 28}
    model = timm.create_model("vit_small_patch14_dinov2.lvd142m", num_classes=0, dynamic_img_size=True, **tiny)
    torch.save(model.state_dict(), tmp_path / "tiny.pth")
    options = {f"encoder_def#{name}": value for name, value in tiny.items()}
    chosen = {"encoder": "dinov2_vits14", "encoder_def#weights": str(tmp_path / "tiny.pth"), "tuning": "lora"}
    network = parse(main, device="cpu", **chosen, **options).get_parsed_content("network")
    assert network.encoder.name == "vit_small_patch14_dinov2.lvd142m"
    assert torch.equal(network.encoder.model.pos_embed, model.pos_embed)
    trained = {name for name, parameter in network.named_parameters() if parameter.requires_grad}
    assert trained and all(".lora_" in name for name in trained)


def test_an_override_file_of_before_still_makes_the_encoder(tmp_path):
    """Its entry `encoder` is what the name stands for, adapters included."""
    tiny = "_target_: protoseg.networks.fpn.FPNEncoder, channels: 16, widths: [8, 8, 8, 8, 8]"
    adapted = f'encoder: {{_target_: protoseg.networks.lora.adapt, tuning: "@tuning", encoder: {{{tiny}}}}}'
    (tmp_path / "mine.yaml").write_text(f"shipped_weights: null\ntuning: lora\n{adapted}\n", encoding="utf-8")
    parser = ConfigParser()
    parser.read_config([str(CONFIGS / "inference.yaml"), str(tmp_path / "mine.yaml")])
    parser.update({"device": "cpu"})
    network = parser.get_parsed_content("network")
    assert network.encoder.channels == 16
    assert any(parameter.requires_grad for parameter in network.parameters())


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
        "encoder_def",
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
    expected = FPNEnsemble if main == "inference.yaml" else FPNEncoder  # of the weights that ship, or of none
    assert type(parse(main).get_parsed_content("encoder_def")) is expected


def test_the_configs_stay_short():
    assert sum(len(path.read_text(encoding="utf-8").splitlines()) for path in CONFIGS.rglob("*.yaml")) <= 750


def test_no_config_counts_the_items_of_a_list():
    """An item that is put in before would change what `#3` means."""
    counting = re.compile(r"(handlers|transforms)(#|::)\d")
    assert not [path.name for path in CONFIGS.rglob("*.yaml") if counting.search(path.read_text(encoding="utf-8"))]


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
        "published.yaml",
        "slice_adapter.yaml",
        **{
            "encoder_def": {
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
