"""The encoder as ONNX computes what torch does, at sizes and in batches that it was not recorded with."""

import json
import math
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import torch

from protoseg import bundle_root
from protoseg.cli import main
from protoseg.errors import InputError
from protoseg.networks import onnx_export
from protoseg.networks.alpnet import ALPNet
from protoseg.networks.fpn import FPNEncoder, fpn_encoder
from protoseg.networks.header import make_header, read_header
from protoseg.networks.onnx_export import TOLERANCE, export_onnx
from protoseg.networks.weights import load_weights, save_weights

installed = find_spec("onnx") is not None and find_spec("onnxruntime") is not None
pytestmark = pytest.mark.skipif(not installed, reason="the extra onnx is not installed")
SHIPPED = Path(bundle_root()) / "models" / "model.pt"
# Batch, height and width: alone and many, square and oblong, the size of the shipped encoder's input and others.
SHAPES = [(1, 256, 256), (2, 256, 256), (9, 32, 64), (1, 320, 192), (1, 40, 136)]


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    """Checkpoint of a network that encodes by one small FPN."""
    torch.manual_seed(0)
    network = ALPNet(encoder=FPNEncoder(channels=8, widths=(8, 8, 8, 16, 16))).eval()
    save_weights(network, tmp_path / "small.pt", header=make_header(network, image_size=64))
    return tmp_path / "small.pt"


def session_of(file: Path) -> Any:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1  # whose threads would wait in loops on cores that other tests use
    return onnxruntime.InferenceSession(file, options, providers=["CPUExecutionProvider"])


@torch.no_grad()
def difference(file: Path, network: ALPNet, shape: tuple[int, int, int]) -> float:
    image = torch.randn(shape[0], 3, *shape[1:], generator=torch.Generator().manual_seed(1))
    [features] = session_of(file).run(["features"], {"image": image.numpy()})
    return float((torch.from_numpy(features) - network.encode(image)).abs().max())


@pytest.mark.skipif(not SHIPPED.exists(), reason="bundle/models/model.pt is not in this checkout")
def test_the_encoder_that_ships(tmp_path: Path, capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", list(sys.argv))
    file = tmp_path / "encoder.onnx"
    with pytest.raises(SystemExit) as ended:
        main(["export", "onnx", str(file)])
    assert ended.value.code == 0
    assert capsys.readouterr().out.startswith(f"{file}  at most ")
    header = read_header(SHIPPED)
    network = ALPNet(encoder=fpn_encoder(header["members"])).eval()
    load_weights(network, SHIPPED)
    assert max(difference(file, network, shape) for shape in SHAPES) <= 1e-4
    model = session_of(file)
    assert json.loads(model.get_modelmeta().custom_metadata_map["header"]) == header
    assert model.get_inputs()[0].shape == ["batch", 3, "height", "width"]


def test_an_encoder_of_ones_own(weights: Path, tmp_path: Path) -> None:
    assert 0 < export_onnx(weights, tmp_path / "own.onnx") <= TOLERANCE
    network = ALPNet(encoder=fpn_encoder(read_header(weights)["members"])).eval()
    assert difference(tmp_path / "own.onnx", network, (3, 72, 64)) > TOLERANCE  # without the weights it is another
    load_weights(network, weights)
    assert difference(tmp_path / "own.onnx", network, (3, 72, 64)) <= TOLERANCE


@pytest.mark.parametrize("found", [0.5, math.nan])
def test_what_differs_from_torch_is_not_written(
    weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, found: float
) -> None:
    monkeypatch.setattr(onnx_export, "_difference", lambda *_: found)
    with pytest.raises(InputError, match=rf"own\.onnx differ from torch's by {found}; expected 0\.0001 at most, so it"):
        export_onnx(weights, tmp_path / "own.onnx")
    assert list(tmp_path.iterdir()) == [weights]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["onnx"], "the following arguments are required: output"),
        (["tensorrt", "encoder.plan"], "invalid choice: 'tensorrt'"),
        (["onnx", "--weights", "absent.pt", "own.onnx"], "Error: Weights file absent.pt does not exist."),
        (["onnx", "--weights", "cut.pt", "own.onnx"], "Error: Weights file cut.pt (500 bytes) cannot be read as a"),
        (["onnx", "--weights", "vit.pt", "own.onnx"], "Error: vit.pt holds weights of vit_small; expected an encoder"),
        (["onnx", "--weights", "small.pt", "folder"], "Error: folder cannot be written: it is a folder, expected a"),
        (["onnx", "--weights", "small.pt", "cut.pt/own.onnx"], "cut.pt is a file, expected a folder"),
    ],
)
def test_bad_input_is_one_sentence(
    weights: Path,
    capsys: pytest.CaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
    arguments: list[str],
    message: str,
) -> None:
    monkeypatch.chdir(weights.parent)
    monkeypatch.setattr(sys, "argv", list(sys.argv))
    Path("cut.pt").write_bytes(weights.read_bytes()[:500])
    torch.save({"network": {"weight": torch.zeros(1)}, "header": {"encoder": "vit_small"}}, "vit.pt")
    Path("folder").mkdir()
    with pytest.raises(SystemExit) as ended:
        main(["export", *arguments])
    printed = capsys.readouterr()
    assert (ended.value.code, printed.out) == (2, "")
    assert message in printed.err
    assert "Traceback" not in printed.err
    assert not Path("own.onnx").exists()


def test_what_is_not_installed_is_named(weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(onnx_export, "find_spec", lambda name: None if name == "onnxruntime" else name)
    with pytest.raises(InputError, match=r"not both installed\. Install them: pip install 'protoseg\[onnx\]'"):
        export_onnx(weights, tmp_path / "own.onnx")
