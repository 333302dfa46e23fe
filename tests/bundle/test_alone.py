"""Training, and with it the bundle's commands, where no more is installed than its metadata lists.

`scripts/zipped_bundle` shows it of inference and evaluation, too, in an environment of its own, which takes gigabytes.
"""

import json
import subprocess
import sys
from pathlib import Path

from two_organs import CONFIGS, ct, nifti, organs

# Hides the packages that neither the metadata lists nor what it lists requires; then `python -m monai.bundle`.
ALONE = """
import importlib.machinery, json, re, runpy, sys
from importlib.metadata import PackageNotFoundError, packages_distributions, requires
from packaging.requirements import Requirement

def plain(name):
    return re.sub("[-_.]+", "-", name).lower()

metadata = json.load(open(sys.argv[1], encoding="utf-8"))
waiting, kept = [*metadata["required_packages_version"], "monai", "torch", "numpy"], {"pip", "setuptools"}
while waiting:
    name = plain(waiting.pop())
    if name not in kept:
        kept.add(name)
        try:
            needed = map(Requirement, requires(name) or ())
        except PackageNotFoundError:
            continue
        waiting += [one.name for one in needed if one.marker is None or one.marker.evaluate({"extra": ""})]
known = packages_distributions()
hidden = {module for module, names in known.items() if not {plain(name) for name in names} & kept}

class Hide(importlib.machinery.PathFinder):
    @classmethod
    def find_spec(cls, name, path=None, target=None):
        return None if name.partition(".")[0] in hidden - {"protoseg"} else super().find_spec(name, path, target)

sys.meta_path = [Hide if one is importlib.machinery.PathFinder else one for one in sys.meta_path]
assert "segment_anything" in hidden and "mlflow" in hidden and "timm" not in hidden
sys.argv = ["monai.bundle", *sys.argv[2:]]
runpy.run_module("monai.bundle", run_name="__main__", alter_sys=True)
"""


def test_training_needs_no_more_than_the_metadata_lists(tmp_path: Path) -> None:
    for name, voxels in {"scan": ct(), "more": ct(), "labels": organs()}.items():
        nifti(tmp_path / f"{name}.nii.gz", voxels)
    cases = [{"image": f"{name}.nii.gz", "label": "labels.nii.gz"} for name in ("scan", "more")]
    content = {"labels": {"1": "liver", "2": "spleen"}, "training": cases, "validation": cases}
    (tmp_path / "dataset.json").write_text(json.dumps(content), encoding="utf-8")
    command = [sys.executable, "-c", ALONE, str(CONFIGS / "metadata.json"), "run", "training"]
    command += ["--config_file", str(CONFIGS / "train.yaml"), "--dataset_dir", ".", "--output_dir", "out"]
    command += ["--image_size", "64", "--precision", "float32", "--device", "cpu", "--workers", "0"]
    command += ["--epochs", "1", "--epoch_length", "1", "--batch_size", "1"]
    finished = subprocess.run(command, capture_output=True, text=True, encoding="utf-8", cwd=tmp_path, check=False)
    assert finished.returncode == 0, finished.stderr[-3000:]
    assert (tmp_path / "out/last.pt").exists()
