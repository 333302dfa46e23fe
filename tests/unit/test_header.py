"""What belongs to weights comes with their file."""

import json
import shutil
from pathlib import Path

import pytest
import torch
from ignite.engine import Engine
from monai.bundle import ConfigParser
from safetensors.torch import save_file

from protoseg import bundle_root
from protoseg.errors import InputError
from protoseg.matching.adaptive_prototypes import AdaptivePrototypes
from protoseg.matching.kernel_matching import KernelMatching
from protoseg.networks.alpnet import ALPNet
from protoseg.networks.encoders import TimmEncoder
from protoseg.networks.fpn import FPNEncoder, fpn_encoder
from protoseg.networks.header import make_header, read_header
from protoseg.networks.weights import load_weights, save_weights
from protoseg.workflows.engine_parts import open_config
from protoseg.workflows.handlers.final_weights import FinalWeights

SIZES = {"channels": 24, "widths": [8, 8, 16, 16, 32]}
OWN = {"encoder": "FPNEncoder", "members": [SIZES], "image_size": 128, "scale": 20.0, "rejection_threshold": 0.5}


def network(**matching: float) -> ALPNet:
    return ALPNet(encoder=FPNEncoder(**SIZES), matching=KernelMatching(**matching))


def test_a_header_tells_what_belongs_to_the_weights() -> None:
    origin = {"licence": "CC0-1.0", "image_size": 512, "rejection_threshold": 0.1, "recipe": "mine"}
    made = make_header(network(scale=20.0, rejection_threshold=0.5), image_size=128, origin=origin)
    assert made == {**OWN, "licence": "CC0-1.0", "recipe": "mine"}
    published = ALPNet(encoder=TimmEncoder("resnet18.a1_in1k"), matching=AdaptivePrototypes())
    assert make_header(published, image_size=64) == {"encoder": "resnet18.a1_in1k", "image_size": 64}


def test_an_ensemble_is_made_again_from_its_header() -> None:
    sizes = [SIZES, {"channels": 16, "widths": [8, 8, 8, 8, 8]}]
    header = make_header(ALPNet(encoder=fpn_encoder(sizes)), image_size=64)
    assert (header["encoder"], header["members"]) == ("FPNEnsemble", sizes)


def test_it_is_read_from_either_format(tmp_path: Path) -> None:
    made = network(scale=20.0, rejection_threshold=0.5)
    save_weights(made, tmp_path / "a.pt", header=make_header(made, image_size=128))
    save_file(made.state_dict(), tmp_path / "b.safetensors", {"header": json.dumps(OWN)})
    for name in ("a.pt", "b.safetensors"):
        assert read_header(tmp_path / name) == OWN
        again = network()
        load_weights(again, tmp_path / name)
        assert torch.equal(again.encoder.stem.weight, made.encoder.stem.weight)


def test_there_may_be_none(tmp_path: Path) -> None:
    state = network().state_dict()
    torch.save(state, tmp_path / "bare.pt")
    torch.save({"network": state}, tmp_path / "older.pt")
    torch.save({"network": state}, tmp_path / "oldest.pt", _use_new_zipfile_serialization=False)
    save_file(state, tmp_path / "bare.safetensors")
    (tmp_path / "damaged.pt").write_bytes(b"PK none")
    (tmp_path / "damaged.safetensors").write_bytes(b"none")
    for path in (*sorted(tmp_path.iterdir()), tmp_path / "absent.pt", None):
        assert read_header(path) == {}


def test_a_complaint_names_the_encoder_of_the_file(tmp_path: Path) -> None:
    save_weights(network(), tmp_path / "a.pt", header={"encoder": "vit_small_patch14_dinov2.lvd142m"})
    with pytest.raises(InputError, match=r"a\.pt \(weights of vit_small_patch14_dinov2\.lvd142m\) does not fit ALPNet"):
        load_weights(ALPNet(encoder=FPNEncoder(channels=16)), tmp_path / "a.pt")


def parsed(config: ConfigParser) -> dict[str, object]:
    matching = config.get_parsed_content("matching")
    return {
        "image_size": config.get_parsed_content("image_size"),
        "scale": matching.scale,
        "rejection_threshold": matching.rejection_threshold,
    }


def test_weights_that_were_moved_or_trained_further_simply_work(tmp_path: Path) -> None:
    shipped = Path(bundle_root()) / "models" / "model.pt"
    shutil.copy(shipped, tmp_path / "moved.pt")
    save_weights(network(scale=20.0, rejection_threshold=0.5), tmp_path / "own.pt", header=OWN)
    torch.save({"network": ALPNet(encoder=FPNEncoder()).state_dict()}, tmp_path / "older.pt")
    as_shipped = {"image_size": 256, "scale": 30.0, "rejection_threshold": 0.76}
    expected = {
        shipped: as_shipped,
        tmp_path / "moved.pt": as_shipped,
        tmp_path / "own.pt": {key: OWN[key] for key in as_shipped},
        tmp_path / "older.pt": {"image_size": 256, "scale": 30.0, "rejection_threshold": None},
    }
    for file in ("inference.yaml", "train.yaml"):
        for path, found in expected.items():
            config = open_config([file], weights=str(path), device="cpu")
            assert parsed(config) == found
            config.get_parsed_content("network")  # of the size of the weights, or it would complain
    chosen = open_config(weights=str(shipped), image_size=64, rejection_threshold=0.9)
    assert parsed(chosen) == {"image_size": 64, "scale": 30.0, "rejection_threshold": 0.9}


def test_the_end_of_a_training_is_written_with_its_header(tmp_path: Path) -> None:
    engine = Engine(lambda *_: None)
    FinalWeights(file=tmp_path / "adapted.pt", network=network(), header=OWN).attach(engine)
    engine.run([0], max_epochs=1)
    assert read_header(tmp_path / "adapted.pt") == OWN
    load_weights(network(), tmp_path / "adapted.pt")


def test_what_a_training_writes_hands_on_what_it_began_with(tmp_path: Path) -> None:
    config = open_config(["train.yaml", "adapt.yaml"], device="cpu", output_dir=str(tmp_path))
    header = config.get_parsed_content("trained_header")
    assert header == read_header(Path(bundle_root()) / "models" / "model.pt")
    assert header["licence"] == "Apache-2.0"
