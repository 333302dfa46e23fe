"""The weights that ship load strictly, are what the model card says, and beat the untrained encoder."""

import hashlib
from pathlib import Path
from typing import cast

import pytest
import torch
from monai.data import MetaTensor
from monai.transforms import Orientation

from protoseg.data.preprocessing.intensity import CropBody, NormalizeByModality
from protoseg.engine.one_shot import segment
from protoseg.engine.slice_encoder import SliceEncoder
from protoseg.engine.support import support_from_scan
from protoseg.matching.kernel_matching import KernelMatching
from protoseg.networks.alpnet import ALPNet
from protoseg.networks.fpn import fpn_encoder
from protoseg.networks.header import read_header
from protoseg.networks.weights import load_weights
from protoseg.ops.slices import axial_slices
from protoseg.synthesis.anatomy import ABDOMEN_LABELS, synthesise

BUNDLE = Path(__file__).parents[2] / "bundle"
MODEL = BUNDLE / "models" / "model.pt"
pytestmark = pytest.mark.skipif(not MODEL.exists(), reason="bundle/models/model.pt is not in this checkout")


def network(weights: Path | None) -> ALPNet:
    torch.manual_seed(0)
    made = ALPNet(encoder=fpn_encoder(read_header(MODEL)["members"]), matching=KernelMatching())
    if weights is not None:
        load_weights(made, weights)
    return made


def scan(seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    """A coarse synthetic CT and its labels, cropped and normalised, axes L, P, S."""
    made = synthesise(seed, shape=(80, 64, 12), spacing=(4.8, 4.8, 20.0))
    turn, crop = Orientation(axcodes="LPS", labels=None), CropBody(modality="ct")
    affine = torch.from_numpy(made.affine)
    image, labels = (
        cast(MetaTensor, turn(MetaTensor(array[None], affine=affine))) for array in (made.image, made.labels)
    )
    start, end = crop.compute_bounding_box(image)
    box = (slice(None), *(slice(int(first), int(last)) for first, last in zip(start, end)))
    return NormalizeByModality("ct")(image).as_tensor()[box], labels.as_tensor()[box]


def test_the_file_is_small_half_precision_and_loads_strictly() -> None:
    assert MODEL.stat().st_size < 25e6
    state = torch.load(MODEL, weights_only=True)["network"]
    assert {tensor.dtype for tensor in state.values()} == {torch.float16}
    assert {parameter.dtype for parameter in network(MODEL).parameters()} == {torch.float32}


def test_the_model_card_names_this_very_file() -> None:
    card = (BUNDLE / "docs" / "model_card.md").read_text(encoding="utf-8")
    assert hashlib.sha256(MODEL.read_bytes()).hexdigest() in card


def test_one_slice_of_one_person_finds_the_liver_of_another() -> None:
    image, labels = scan(31)
    support = support_from_scan(image, labels, {"liver": ABDOMEN_LABELS["liver"]}, image_size=256, scan="support")
    query, ground_truth = scan(32)
    ground_truth = axial_slices(ground_truth)[:, 0] == ABDOMEN_LABELS["liver"]
    dice = []
    for weights in (MODEL, None):
        found = (
            torch.from_numpy(segment(query, support, SliceEncoder(network(weights), 256)).label_map)
            == ABDOMEN_LABELS["liver"]
        )
        dice.append(float(2 * (found & ground_truth).sum() / (found.sum() + ground_truth.sum())))
    trained, untrained = dice
    assert trained > 0.75
    assert trained > untrained + 0.1
