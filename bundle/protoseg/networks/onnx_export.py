"""Exports the encoder as ONNX, for programs without torch, and compares it with torch before it is kept."""

from __future__ import annotations

import json
import warnings
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from protoseg.errors import InputError
from protoseg.files import replacing
from protoseg.networks.alpnet import ALPNet
from protoseg.networks.encoder import Encoder
from protoseg.networks.fpn import FPNEncoder, FPNEnsemble, fpn_encoder
from protoseg.networks.header import HEADER, read_header
from protoseg.networks.weights import load_weights

__all__ = ["INPUT", "OUTPUT", "TOLERANCE", "export_onnx"]

INPUT, OUTPUT = "image", "features"
AXES = {
    INPUT: {0: "batch", 2: "height", 3: "width"},
    OUTPUT: {0: "batch", 2: "height_over_8", 3: "width_over_8"},
}
OPSET = 17  # old enough for browsers and DirectML; the encoder needs nothing of newer ones
TOLERANCE = 1e-4  # largest difference of a feature from torch's that is accepted
EXAMPLE = (2, 64, 96)  # batch, height and width with which the graph is recorded
COMPARED = ((1, 256, 256), (3, 128, 72), (4, 64, 64))  # other sizes, with which it is checked
FPNS = {FPNEncoder.__name__, FPNEnsemble.__name__, "PyramidEncoder"}  # the last in files of version 0.1


def export_onnx(weights: str | Path, output: str | Path) -> float:
    """Write the encoder of a checkpoint as an ONNX file, which appears only if it computes the same as torch.

    The graph takes `image` (batch, 3, height, width), float32, height and width multiples of 8, and gives `features`
    (batch, channels, height / 8, width / 8); all but the channels may vary. The header of the weights is in its
    metadata, as JSON under "header".

    Args:
        weights: checkpoint of a network whose encoder is one FPN, or several side by side.
        output: file to write.

    Returns:
        Largest difference of a feature from torch's, over several sizes.

    Raises:
        InputError: the packages of the extra "onnx" are not installed, the weights cannot be read or are of another
            encoder, the features differ, or the file cannot be written.
    """
    if find_spec("onnx") is None or find_spec("onnxruntime") is None:
        raise InputError("onnx and onnxruntime are not both installed. Install them: pip install 'protoseg[onnx]'.")
    header = read_header(weights)
    encoder = _open(weights, header)
    with replacing(output) as unfinished:
        _write(encoder, header, unfinished)
        difference = _difference(encoder, unfinished)
        if not difference <= TOLERANCE:
            raise InputError(
                f"The features of {output} differ from torch's by {difference:.2g}; expected {TOLERANCE:g} at most, so "
                f"it was not written. Update torch (here {torch.__version__}), onnx and onnxruntime."
            )
    return difference


class _Traced(nn.Module):
    """Encodes without the check of the size, which a recorded graph cannot make."""

    def __init__(self, encoder: Encoder) -> None:
        super().__init__()
        self.encoder = encoder

    def forward(self, image: Tensor) -> Tensor:
        return self.encoder.encode(image)


def _open(weights: str | Path, header: dict[str, Any]) -> Encoder:
    name = header.get("encoder")
    if name is not None and name not in FPNS:
        raise InputError(f"{weights} holds weights of {name}; expected an encoder of FPNs, such as the one that ships.")
    network = ALPNet(encoder=fpn_encoder(header.get("members")))
    load_weights(network, weights)
    encoder = network.eval().encoder
    assert isinstance(encoder, Encoder)
    return encoder


def _write(encoder: Encoder, header: dict[str, Any], file: Path) -> None:
    import onnx

    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        # The exporter by tracing is the older one. The newer, torch.export, turns the size in `linspace` into a
        # constant, needs another package, and takes over 30 times as long.
        torch.onnx.export(
            _Traced(encoder),
            (torch.zeros(EXAMPLE[0], 3, *EXAMPLE[1:]),),
            file,
            dynamo=False,
            input_names=[INPUT],
            output_names=[OUTPUT],
            dynamic_axes=AXES,
            opset_version=OPSET,
        )
    model = onnx.load(file)
    onnx.helper.set_model_props(model, {HEADER: json.dumps(header)})
    onnx.checker.check_model(model)
    onnx.save(model, file)


@torch.no_grad()
def _difference(encoder: Encoder, file: Path) -> float:
    """Measure the largest difference of a feature between onnxruntime and torch, on noise of several sizes."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    session = onnxruntime.InferenceSession(file, options, providers=["CPUExecutionProvider"])
    generator = torch.Generator().manual_seed(0)
    differences = []
    for batch, height, width in COMPARED:
        image = torch.randn(batch, 3, height, width, generator=generator)
        [features] = session.run([OUTPUT], {INPUT: image.numpy()})
        differences.append(float((torch.from_numpy(features) - encoder(image)).abs().max()))
    return max(differences)
