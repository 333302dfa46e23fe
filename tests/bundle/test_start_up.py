"""What start-up imports: nothing that takes seconds and that segmenting does not need."""

import subprocess
import sys
from pathlib import Path

import pytest
from two_organs import ct, nifti, organs

# pydicom is not among them: nibabel imports it where it is installed.
HEAVY = {
    *("monai", "ignite", "torchvision", "timm", "transformers", "peft", "mlflow", "tensorboard", "pandas"),
    *("SimpleITK", "highdicom", "sklearn", "segment_anything", "torch._dynamo", "torch._inductor", "numba"),
    *("dask", "distributed", "protoseg.synthesis"),
}
PICTURES = {"matplotlib"}  # draws the pictures of `protoseg segment`, after the first scan was segmented

TOLD = "\nprint('modules', *sys.modules)"
SEGMENTER = """
import sys
from protoseg import Segmenter
segmenter = Segmenter.from_pretrained(image_size=64, precision="float32", device="cpu")
segmenter.add_support("scan.nii.gz", "labels.nii.gz")
segmenter.segment("scan.nii.gz").save("found.nii.gz")
segmenter.session("scan.nii.gz").click((10, 12, 1), "label_1")
"""
COMMAND = """
import sys
from protoseg.cli import main
try:
    main({!r})
except SystemExit as end:
    assert not end.code
"""
SMALL = ["--device", "cpu", "--set", "image_size=64", "--set", "precision=float32"]
SEGMENT = ["segment", "scan.nii.gz", "--like", "scan.nii.gz", "labels.nii.gz", "-o", "out", *SMALL]
CLICK = ["click", "scan.nii.gz", "--at", "10,12,1", *SMALL]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    nifti(tmp_path / "scan.nii.gz", ct())
    nifti(tmp_path / "labels.nii.gz", organs())
    return tmp_path


def imported(program: str, folder: Path) -> set[str]:
    run = subprocess.run(
        [sys.executable, "-c", program + TOLD], capture_output=True, text=True, encoding="utf-8", cwd=folder
    )
    assert run.returncode == 0, run.stderr
    return set(run.stdout.splitlines()[-1].split())


@pytest.mark.parametrize(
    ("program", "unneeded"),
    [
        ("import sys, protoseg", HEAVY | PICTURES | {"torch", "numpy"}),
        (COMMAND.format(["--help"]), HEAVY | PICTURES | {"torch", "numpy"}),
        (COMMAND.format(["info", "--json"]), HEAVY | PICTURES),
        (SEGMENTER, HEAVY | PICTURES),
        (COMMAND.format(SEGMENT), HEAVY),
        (COMMAND.format(CLICK), HEAVY | PICTURES),
    ],
    ids=["import", "help", "info", "python", "segment", "click"],
)
def test_nothing_heavy_is_imported(folder: Path, program: str, unneeded: set[str]) -> None:
    assert not imported(program, folder) & unneeded


WITHOUT_UNIX = """
import os, sys
import torch  # before, for what it does on Linux it does not do elsewhere
for name in ("fcntl", "pwd", "grp", "resource"):
    sys.modules[name] = None  # as on Windows, there is no such module
for name in ("fork", "forkpty", "register_at_fork"):
    if hasattr(os, name):
        delattr(os, name)
open_file = os.open
def refuse_devices(path, *rest, **named):
    assert not str(path).startswith(("/dev/", "/proc/")), path
    return open_file(path, *rest, **named)
os.open = refuse_devices
"""


@pytest.mark.parametrize(
    "program", [SEGMENTER, COMMAND.format(SEGMENT), COMMAND.format(["--help"])], ids=["python", "segment", "help"]
)
def test_inference_needs_nothing_that_windows_lacks(folder: Path, program: str) -> None:
    names = imported(WITHOUT_UNIX + program, folder)
    assert names  # it ran to its end
    assert program.startswith(COMMAND[:20]) or (folder / "found.nii.gz").is_file()
