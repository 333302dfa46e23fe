"""What users give that cannot be used is refused with one sentence.

Every case runs a whole workflow from its configuration, with an untrained network on tiny scans.
"""

import errno
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import timm
import torch
from two_organs import LPS, Overrides, ct, gray, infer, nifti, organs, picture, train

from protoseg.data.io.volumes import EXPECTED
from protoseg.errors import InputError
from protoseg.matching.kernel_matching import KernelMatching
from protoseg.networks.alpnet import ALPNet
from protoseg.networks.fpn import FPNEncoder

pytestmark = pytest.mark.usefixtures("surroundings")


def with_first_voxel(value: float) -> np.ndarray:
    image = ct()
    image[0, 0, 0] = value
    return image


def moved(millimetres: float) -> np.ndarray:
    affine = LPS.copy()
    affine[0, 3] = millimetres
    return affine


def refusal(function: Callable[[], object]) -> str:
    """Sentence of the `InputError` that a call ends with, which MONAI may have wrapped."""
    with pytest.raises(Exception) as caught:
        function()
    error: BaseException | None = caught.value
    while error is not None and not isinstance(error, InputError):
        error = error.__cause__
    assert error is not None, repr(caught.value)
    return str(error)


def scaled_down(folder: Path) -> Path:
    """A network of another width, saved as training saves it."""
    network = ALPNet(encoder=FPNEncoder(channels=16), matching=KernelMatching(scale=30.0))
    path = folder / "other.pt"
    torch.save({"network": network.state_dict()}, path)
    return path


def written(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


UNREADABLE = "cannot be read: it is damaged, incomplete, or not in the format of its name. Get a fresh copy."
NOT_FINITE = (
    "1 of 4096 voxels are NaN or infinite, expected finite intensities. "
    "Replace them, for example with numpy.nan_to_num, and save the image again."
)

REFUSED: dict[str, tuple[Callable[[Path], Overrides], str]] = {
    "missing support": (
        lambda f: {"support_image": f / "none.nii.gz"},
        "{f}/none.nii.gz does not exist. Check the path. " + EXPECTED,
    ),
    "missing label": (
        lambda f: {"support_label": f / "none.nii.gz"},
        "{f}/none.nii.gz does not exist. Check the path. " + EXPECTED,
    ),
    "missing query": (
        lambda f: {"query": f / "none.nii.gz"},
        "{f}/none.nii.gz does not exist. Check the path. " + EXPECTED,
    ),
    "unreadable NIfTI": (
        lambda f: {"query": written(f / "text.nii.gz", b"no NIfTI")},
        "{f}/text.nii.gz " + UNREADABLE,
    ),
    "label elsewhere": (
        lambda f: {"support_label": nifti(f / "far.nii.gz", organs(), moved(1000))},
        "{f}/far.nii.gz has the size of the image and another affine: it would land in the wrong place of "
        "{f}/scan.nii.gz. Affines: {f}/far.nii.gz: [[-10.0, 0.0, 0.0, 1000.0], [0.0, -10.0, 0.0, 0.0], "
        "[0.0, 0.0, 10.0, 0.0]], size 32 x 32 x 4; {f}/scan.nii.gz: [[-10.0, 0.0, 0.0, 0.0], [0.0, -10.0, 0.0, 0.0], "
        "[0.0, 0.0, 10.0, 0.0]], size 32 x 32 x 4. If the two have the same voxels in the same order, take them one to "
        "one with --label_grid voxels; if not, give the label map that was drawn on this image.",
    ),
    "empty mask": (
        lambda f: {"support_label": nifti(f / "empty.nii.gz", organs() * 0)},
        "{f}/empty.nii.gz: the label map is empty, every voxel is 0. Label at least one structure.",
    ),
    "label value absent": (
        lambda f: {"label_names": {"liver": 1, "spleen": 7}},
        "{f}/labels.nii.gz: no voxel has the value 7 that label_names gives to 'spleen'; "
        "the values found are 1, 2. Correct label_names.",
    ),
    "label outside the body": (
        lambda f: {
            "support_label": nifti(f / "air.nii.gz", organs() + 3 * (np.indices(ct().shape)[1] > 29).astype(np.uint8)),
            "label_names": {"liver": 1, "table": 3},
            "preprocessing#margin": 0,
        },
        "{f}/air.nii.gz on {f}/scan.nii.gz: table lies outside the body that was found. Check that the two belong "
        "together; if they do, set modality, which decides how the body is found.",
    ),
    "NaN in the support": (
        lambda f: {"support_image": nifti(f / "nan.nii.gz", with_first_voxel(np.nan))},
        "{f}/nan.nii.gz: " + NOT_FINITE,
    ),
    "infinity in the query": (
        lambda f: {"query": nifti(f / "inf.nii.gz", with_first_voxel(np.inf))},
        "{f}/inf.nii.gz: " + NOT_FINITE,
    ),
    "4D": (
        lambda f: {"query": nifti(f / "4d.nii.gz", np.stack([ct(), ct()], axis=-1))},
        "{f}/4d.nii.gz: the image has 32 x 32 x 4 x 2 voxels in 4 dimensions, expected one 3D volume. "
        "Extract one, such as the first, [..., 0], into a file of its own.",
    ),
    "constant image": (
        lambda f: {"query": nifti(f / "flat.nii.gz", np.zeros_like(ct()))},
        "{f}/flat.nii.gz: every voxel is 0, expected an image with contrast. Export the image again from its source.",
    ),
    "label picture of another size": (
        lambda f: {
            "support_image": picture(f / "photo.png", gray()),
            "support_label": picture(f / "mask.png", organs()[:16, :, 1].T),
        },
        "{f}/mask.png has 16 x 32 pixels and {f}/photo.png has 32 x 32, expected one size. "
        "Export the labels at the size of the image.",
    ),
    "folder without images": (
        lambda f: {"query": (f / "nothing").mkdir() or f / "nothing"},
        "{f}/nothing holds no image and no DICOM series. " + EXPECTED,
    ),
    "support slice without a label": (
        lambda f: {"support_slices": [0]},
        "support_slices names slice 0, which holds no label; labels are on 1..2.",
    ),
    "support slice outside the scan": (
        lambda f: {"support_slices": [4]},
        "support_slices names slice 4, but the support scan has 0..3.",
    ),
    "output folder that is a file": (
        lambda f: {"output_dir": written(f / "file", b"mine") / "out"},
        "{f}/file/out cannot be written: {f}/file is a file, expected a folder. Choose another folder.",
    ),
    "query that is read as a number": (
        lambda f: {"query": 12.5},
        "query is read as 12.5, expected a path. Put ./ before a name that looks like a number.",
    ),
    "unknown modality": (
        lambda f: {"modality": "us"},
        "modality: found 'us', expected auto, ct, mr, picture.",
    ),
    "input size that the encoder cannot take": (
        lambda f: {"image_size": 60},
        "The image is 60 x 60 pixels (H x W), but the encoder takes multiples of 8: "
        "the nearest size is 64 x 64. Set image_size accordingly.",
    ),
    "no weights": (
        lambda f: {"weights": "$@bundle_root + '/models/model.pt'", "bundle_root": f},
        "Weights file {f}/models/model.pt does not exist. "
        "Get best.pt of a training run and save it there, or set weights to where you keep it.",
    ),
    "damaged weights": (
        lambda f: {"weights": written(f / "cut.pt", b"PK\x03\x04")},
        "Weights file {f}/cut.pt (4 bytes) cannot be read as a checkpoint: it is cut short, is no PyTorch or "
        "safetensors file, or holds objects other than tensors. Fetch it again.",
    ),
    "checkpoint of another architecture": (
        lambda f: {"weights": scaled_down(f)},
        "{f}/other.pt does not fit ALPNet: 20 of another shape (encoder.top.weight (16, 256, 1, 1) instead "
        "of (128, 256, 1, 1), encoder.top.bias (16,) instead of (128,), encoder.up16.lateral.weight "
        "(16, 160, 1, 1) instead of (128, 160, 1, 1), ...). The file holds 60 tensors beginning with "
        "encoder.stem.weight, encoder.stem.bias, encoder.down4.conv1.weight; the model has 60 tensors "
        "beginning with encoder.stem.weight, encoder.stem.bias, encoder.down4.conv1.weight. "
        "Give the weights of this model, or choose the model that the file was made for.",
    ),
}


@pytest.mark.parametrize(("bad", "message"), REFUSED.values(), ids=list(REFUSED))
def test_refused_by_inference(tmp_path: Path, bad: Callable[[Path], Overrides], message: str) -> None:
    assert refusal(lambda: infer(tmp_path, bad(tmp_path))) == message.format(f=tmp_path)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("last", ["a_seg.png", "a_seg.nii.gz", "a_seg.json"])
def test_a_full_disk_is_one_sentence_and_leaves_nothing_half_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, last: str
) -> None:
    """The disk is full when the file `last` is moved to its place."""
    replace = os.replace

    def full(source: Path, target: Path) -> None:
        if Path(target).name == last:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(source), None, str(target))
        replace(source, target)

    monkeypatch.setattr(os, "replace", full)
    query = nifti(tmp_path / "a.nii.gz", ct())
    assert refusal(lambda: infer(tmp_path, {"query": query})) == (
        f"{tmp_path}/out/{last} cannot be written: No space left on device. Free some space, or choose another folder."
    )
    order = ["a_seg.png", "a_seg.nii.gz", "a_seg.json"]
    assert sorted(file.name for file in (tmp_path / "out").iterdir()) == sorted(order[: order.index(last)])


REFUSED_ENCODERS: dict[str, tuple[Callable[[Path], list[Path]], Overrides, str]] = {
    "unknown encoder": (
        lambda f: [],
        {"encoder": "dinov2_vitx14"},
        "There is no encoder 'dinov2_vitx14'; choose clip_vitb16, convnext_tiny, deeplabv3_resnet101, dino_vits16, "
        "dinov2_vitb14, dinov2_vitb14_reg, dinov2_vitg14, dinov2_vitg14_reg, dinov2_vitl14, dinov2_vitl14_reg, "
        "dinov2_vits14, dinov2_vits14_reg, dinov3_vits16, fpn, mae_vitb16. Did you mean 'dinov2_vits14'? For another "
        "model of timm, set encoder_def to protoseg.networks.encoders.TimmEncoder.",
    ),
    "unknown model of timm": (
        lambda f: [],
        {"encoder_def": {"_target_": "protoseg.networks.encoders.TimmEncoder", "name": "my_own_encoder"}},
        "timm {timm} has no model named 'my_own_encoder'. timm.list_models() lists the names.",
    ),
    "weights of the encoder not there": (
        lambda f: [],
        {"encoder": "dinov2_vits14"},
        "Weights file {f}/models/dinov2_vits14_pretrain.pth does not exist. "
        "Get https://dl.fbaipublicfiles.com/dinov2/dinov2_vits14/dinov2_vits14_pretrain.pth "
        "and save it there, or set weights to where you keep it.",
    ),
    "no internet to fetch them from": (
        lambda f: [written(f / "fetch.yaml", FETCHED.format(f=f).encode())],
        {},
        "The weights of vit_small_patch14_dinov2.lvd142m could not be fetched. "
        "Get https://dl.fbaipublicfiles.com/dinov2/dinov2_vits14/dinov2_vits14_pretrain.pth, save it as "
        "bundle/models/dinov2_vits14_pretrain.pth, and pass "
        "weights='bundle/models/dinov2_vits14_pretrain.pth' instead of pretrained.",
    ),
}
FETCHED = """
encoder:
  _target_: protoseg.networks.encoders.TimmEncoder
  name: vit_small_patch14_dinov2.lvd142m
  pretrained: true
  cache_dir: {f}
"""


@pytest.mark.parametrize(("configs", "overrides", "message"), REFUSED_ENCODERS.values(), ids=list(REFUSED_ENCODERS))
def test_refused_encoder(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    configs: Callable[[Path], list[Path]],
    overrides: Overrides,
    message: str,
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    changes = {"bundle_root": tmp_path, **overrides}
    found = refusal(lambda: infer(tmp_path, changes, *configs(tmp_path)))
    assert found == message.format(f=tmp_path, timm=timm.__version__)
    assert not (tmp_path / "out").exists()


REFUSED_TRAINING: dict[str, tuple[Callable[[Path], Overrides], str]] = {
    "no data set": (
        lambda f: {"dataset_dir": f / "none"},
        "{f}/none/dataset.json cannot be opened. Check the path to the data set's JSON file.",
    ),
    "section without cases": (
        lambda f: {"train#dataset#data#section": "test"},
        "{f}/dataset.json: no cases under 'test'; the sections with cases are 'training', 'validation'. "
        "Name one of them, or add the cases.",
    ),
    "output folder that is a file": (
        lambda f: {"output_dir": written(f / "out", b"mine")},
        "{f}/out cannot be written: {f}/out is a file, expected a folder. Choose another folder.",
    ),
    "damaged checkpoint": (
        lambda f: {"output_dir": written(f / "last.pt", b"PK\x03\x04").parent},
        "{f}/last.pt (4 bytes) cannot be read as a checkpoint. "
        "Delete it to start afresh, or put a whole one in its place.",
    ),
    "checkpoints that would lose gradients": (
        lambda f: {"checkpoint_interval": 3, "accumulation_steps": 2},
        "checkpoint_interval is 3 iterations, no multiple of the 2 accumulation_steps: "
        "a checkpoint between them would lose gradients. Choose a multiple.",
    ),
}


@pytest.mark.parametrize(("bad", "message"), REFUSED_TRAINING.values(), ids=list(REFUSED_TRAINING))
def test_refused_by_training(tmp_path: Path, bad: Callable[[Path], Overrides], message: str) -> None:
    assert refusal(lambda: train(tmp_path, bad(tmp_path))) == message.format(f=tmp_path)
    assert not list(tmp_path.rglob("best.pt"))
