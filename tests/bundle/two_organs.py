"""A scan of two organs, small enough to run whole workflows on in a second, with an untrained network."""

import json
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
from monai.bundle import ConfigWorkflow
from PIL import Image

CONFIGS = Path(__file__).resolve().parents[2] / "bundle" / "configs"
LPS = np.diag([-10.0, -10.0, 10.0, 1.0])  # 1 cm voxels: a scan of 32 cm x 32 cm x 4 cm
Overrides = dict[str, Any]


def organs() -> np.ndarray:
    """Labels (32, 32, 4): two boxes, 1 to the right and 2 to the left, on slices 1 and 2."""
    labels = np.zeros((32, 32, 4), np.uint8)
    labels[6:14, 8:16, 1:3] = 1
    labels[18:26, 8:16, 1:3] = 2
    return labels


def ct() -> np.ndarray:
    """HU (32, 32, 4) of a body with these two organs."""
    image = np.full((32, 32, 4), -1000.0, np.float32)
    image[4:28, 6:26] = 20
    image[organs() == 1] = 100
    image[organs() == 2] = 180
    return image


def nifti(path: Path, voxels: np.ndarray, affine: np.ndarray = LPS) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    nibabel.save(nibabel.Nifti1Image(voxels, affine), path)
    return path


def picture(path: Path, pixels: np.ndarray) -> Path:
    Image.fromarray(pixels).save(path)
    return path


def gray() -> np.ndarray:
    """Slice 1 as a picture (H, W)."""
    return (ct()[:, :, 1].T.clip(-50, 200) + 50).astype(np.uint8)


def run(configs: list[Path], overrides: Overrides) -> None:
    small = {"device": "$torch.device('cpu')", "image_size": 64, "weights": None}
    workflow = ConfigWorkflow(
        [str(config) for config in configs],
        meta_file=str(CONFIGS / "metadata.json"),
        logging_file=str(CONFIGS / "logging.conf"),
        workflow_type="train" if configs[0].stem == "train" else "infer",
        **{key: str(v) if isinstance(v, Path) else v for key, v in {**small, **overrides}.items()},
    )
    workflow.initialize()
    workflow.run()
    workflow.finalize()


def infer(folder: Path, overrides: Overrides, *configs: Path) -> Path:
    """Run inference in a folder that holds a good scan and its labels; return the folder of the results."""
    scan = nifti(folder / "scan.nii.gz", ct())
    labels = nifti(folder / "labels.nii.gz", organs())
    output_dir = folder / "out"
    good = {"support_image": scan, "support_label": labels, "query": scan, "output_dir": output_dir}
    run([CONFIGS / "inference.yaml", *configs], {**good, **overrides})
    return output_dir


def train(folder: Path, overrides: Overrides) -> None:
    """Train for two iterations on copies of the scan."""
    case = {
        "image": str(nifti(folder / "scan.nii.gz", ct())),
        "label": str(nifti(folder / "l.nii", organs())),
    }
    dataset = {"labels": {"1": "liver", "2": "spleen"}, "training": [case] * 2, "validation": [case] * 2}
    (folder / "dataset.json").write_text(json.dumps(dataset))
    good = {"dataset_dir": folder, "output_dir": folder / "out", "workers": 0, "epochs": 1, "epoch_length": 2}
    run([CONFIGS / "train.yaml"], {**good, **overrides})
