"""`monailabel start_server` in a process of its own, over a folder of synthetic studies."""

from __future__ import annotations

import os
import shutil
import socket
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import nibabel
import numpy as np
import psutil
import requests

from protoseg.data.preparation.synthetic import write_dataset
from protoseg.synthesis.anatomy import ABDOMEN_LABELS

__all__ = ["PATIENCE", "Studies", "running_server", "write_studies"]

APP = Path(__file__).resolve().parents[2] / "monailabel_app"
PATIENCE = 600.0  # seconds; only a server that hangs is waited for so long
# Small slices, which are fast, and caches so small that they soon are full and give up what is used again later.
CONF = {"image_size": "112", "feature_cache_mb": "2", "scan_cache_mb": "1", "adapt": "true"}
SIZE = {"shape": (64, 64, 6), "spacing": (6.0, 6.0, 36.0)}


@dataclass(frozen=True)
class Studies:
    """A folder of images person0, person1 ..., and the true places of the organs."""

    folder: Path
    labels: Path
    people: int = 4

    def image(self, number: int) -> Path:
        """Give the file of a person's image."""
        return self.folder / f"person{number}.nii.gz"

    def mask(self, number: int, organ: str) -> np.ndarray:
        """Give the mask of an organ, on the image's own voxels."""
        return np.asarray(nibabel.load(self._labels(number)).dataobj) == ABDOMEN_LABELS[organ]

    def draw(self, number: int, organs: dict[str, int], file: Path) -> Path:
        """Write a label map of some organs with values of its own."""
        source = nibabel.load(self._labels(number))
        drawn = np.zeros(source.shape, np.uint8)
        for organ, value in organs.items():
            drawn[self.mask(number, organ)] = value
        nibabel.save(nibabel.Nifti1Image(drawn, source.affine), file)
        return file

    def _labels(self, number: int) -> Path:
        return self.labels / f"training_00{number}.nii.gz"


def write_studies(place: Path) -> Studies:
    """Write people as studies, none of them labelled."""
    studies = Studies(place / "studies", place / "data" / "labels")
    write_dataset(place / "data", training=studies.people, validation=0, test=0, **SIZE)
    studies.folder.mkdir()
    for number in range(studies.people):
        shutil.copy(place / "data" / "images" / f"training_00{number}.nii.gz", studies.image(number))
    return studies


@contextmanager
def running_server(studies: Studies, place: Path) -> Iterator[tuple[str, psutil.Process]]:
    """Start the server, wait until it answers, and give its address and process; stop it in the end.

    Args:
        studies: studies to serve.
        place: folder for the server's log, temporary files and uploads.

    Raises:
        RuntimeError: it ends before it answers, or was gone in the end.
    """
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = str(probe.getsockname()[1])
    (place / "tmp").mkdir()
    options = [word for pair in CONF.items() for word in ("--conf", *pair)]
    address = ["--host", "127.0.0.1", "--port", port]
    command = ["start_server", "--app", str(APP), "--studies", str(studies.folder), *address, *options]
    environment = {
        **os.environ,
        "MONAI_LABEL_SESSION_PATH": str(place / "tmp" / "sessions"),
        "MONAI_LABEL_TRACKING_ENABLED": "false",
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]),
        "TMPDIR": str(place / "tmp"),
    }
    with (place / "server.log").open("wb") as log:
        process = psutil.Popen(
            [sys.executable, "-m", "monailabel.main", *command], env=environment, stdout=log, stderr=log
        )
    try:
        _await(f"http://127.0.0.1:{port}/info/", process, place / "server.log")
        yield f"http://127.0.0.1:{port}", process
        if process.poll() is not None:
            raise RuntimeError(f"The server has ended:\n{_end_of(place / 'server.log')}")
    finally:
        _stop(process)


def _await(address: str, process: psutil.Popen, log: Path) -> None:
    end = time.monotonic() + PATIENCE
    while process.poll() is None and time.monotonic() < end:
        try:
            requests.get(address, timeout=60).raise_for_status()
        except requests.RequestException:
            time.sleep(0.2)
        else:
            return
    raise RuntimeError(f"The server does not answer:\n{_end_of(log)}")


def _end_of(log: Path) -> str:
    return log.read_text(encoding="utf-8", errors="replace")[-3000:]


def _stop(process: psutil.Popen) -> None:
    running = [*process.children(recursive=True), process] if process.poll() is None else []
    for one in running:
        one.terminate()
    for one in psutil.wait_procs(running, timeout=10)[1]:
        one.kill()
    process.wait()
