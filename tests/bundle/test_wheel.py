"""The wheel, taken apart: what a user has who installs it and nothing of the checkout or of an extra."""

import os
import subprocess
import sys
from pathlib import Path
from zipfile import ZipFile

import pytest
from hatchling.build import build_wheel
from two_organs import ct, nifti, organs

from protoseg.errors import OPTIONAL

ROOT = Path(__file__).resolve().parents[2]
COMMAND = f"""
import sys
class Missing:  # what the extras bring
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {(*OPTIONAL, "monailabel", "napari")!r}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)
sys.meta_path.insert(0, Missing())
import protoseg
print(protoseg.bundle_root())
from protoseg.cli import main
main()
"""
SEGMENT = ["segment", "scan.nii.gz", "--like", "scan.nii.gz", "labels.nii.gz", "--output", "out", "--device", "cpu"]
SMALL = ["--set", "image_size=64", "--set", "precision=float32"]


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """Folder that holds the package as the wheel has it."""
    folder = tmp_path_factory.mktemp("wheel")
    before = Path.cwd()
    os.chdir(ROOT)
    try:
        wheel = build_wheel(str(folder))
    finally:
        os.chdir(before)
    with ZipFile(folder / wheel) as archive:
        archive.extractall(folder / "installed")
    return folder / "installed"


def run(installed: Path, folder: Path, *arguments: str) -> subprocess.CompletedProcess:
    nifti(folder / "scan.nii.gz", ct())
    nifti(folder / "labels.nii.gz", organs())
    return subprocess.run(
        [sys.executable, "-c", COMMAND, *arguments],
        env={**os.environ, "PYTHONPATH": str(installed), "OMP_NUM_THREADS": "1"},
        cwd=folder,
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=300,
        check=False,
    )


def test_it_segments_with_the_weights_that_are_inside(installed, tmp_path):
    ended = run(installed, tmp_path, *SEGMENT, *SMALL)
    assert ended.returncode == 0, ended.stderr
    assert Path(ended.stdout.splitlines()[0]) == installed / "protoseg" / "_bundle"
    assert (tmp_path / "out" / "scan_seg.nii.gz").exists()


def test_an_option_that_needs_an_extra_names_it(installed, tmp_path):
    ended = run(installed, tmp_path, *SEGMENT, "--encoder", "dinov2_vits14")
    assert ended.returncode == 2
    assert ended.stderr.splitlines()[-1] == (
        "Error: The config's entry encoder_def needs timm, which is not installed. Install it: "
        "pip install 'protoseg[encoders]'."
    )


def test_it_holds_the_app_the_weights_and_the_plugin_of_napari(installed):
    entry_points = next(installed.glob("*.dist-info")) / "entry_points.txt"
    assert "[napari.manifest]\nprotoseg = protoseg.napari:napari.yaml" in entry_points.read_text(encoding="utf-8")
    for file in ("_bundle/models/model.pt", "_bundle/monailabel_app/main.py", "napari/napari.yaml", "api.py"):
        assert (installed / "protoseg" / file).is_file()
