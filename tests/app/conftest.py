"""A folder of small synthetic studies, and the app over it: in this process, or as a server of its own."""

import ctypes
import json
import os
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path

import nibabel
import numpy as np
import pytest
import requests

pytest.importorskip("monailabel", reason="MONAI Label is not installed: pip install -e .[label]")
os.environ["MONAI_LABEL_TRACKING_ENABLED"] = "false"

import schedule
from fastapi.testclient import TestClient
from monailabel.app import app as server_app
from monailabel.config import settings
from monailabel.interfaces.utils.app import app_instance, clear_cache

from protoseg.data.preparation.synthetic import write_dataset

APP = Path(__file__).parents[2] / "monailabel_app"
sys.path[:0] = [
    str(Path(__file__).parent),
    str(APP),
]  # pytest's importlib mode does not

ORGANS = {"spleen": 1, "liver": 4, "lungs": 12}
CONF = {"image_size": "128"}  # four times as fast as 256


@pytest.fixture(scope="session")
def dataset(tmp_path_factory):
    """Four people of 96 x 96 x 12 voxels: images/training_00*.nii.gz and labels of the same names."""
    folder = tmp_path_factory.mktemp("dataset")
    write_dataset(folder, training=4, validation=0, test=0, shape=(96, 96, 12), spacing=(4.0, 4.0, 18.0))
    return folder


@pytest.fixture
def studies(dataset, tmp_path):
    """A folder of the images person0 to person3, none labelled."""
    folder = tmp_path / "studies"
    folder.mkdir()
    for number in range(4):
        shutil.copy(dataset / "images" / f"training_00{number}.nii.gz", folder / f"person{number}.nii.gz")
    return folder


@pytest.fixture
def label(dataset, tmp_path):
    """Write a person's label map, with values of its own; give its path and Slicer's `label_info`."""

    def write(number, names, first_value=1):
        source = nibabel.load(dataset / "labels" / f"training_00{number}.nii.gz")
        organs = np.asarray(source.dataobj)
        drawn = np.zeros_like(organs)
        for value, name in enumerate(names, start=first_value):
            drawn[organs == ORGANS[name]] = value
        path = tmp_path / f"label{number}.nii.gz"
        nibabel.save(nibabel.Nifti1Image(drawn, source.affine), path)
        return path, [{"name": name, "idx": value} for value, name in enumerate(names, start=first_value)]

    return write


@pytest.fixture
def ground_truth(dataset):
    """Mask of an organ of a person, on the image's own voxels."""

    def read(number, name):
        return np.asarray(nibabel.load(dataset / "labels" / f"training_00{number}.nii.gz").dataobj) == ORGANS[name]

    return read


@pytest.fixture
def start(studies, tmp_path, monkeypatch):
    """Start the app in this process, as a rule without scoring in the background; give a client that speaks to it."""
    clients = []

    def enter(*, scoring=False, **conf):
        clear_cache()
        for key, value in {
            "MONAI_LABEL_APP_DIR": str(APP),
            "MONAI_LABEL_STUDIES": str(studies),
            "MONAI_LABEL_APP_CONF": {**CONF, **conf},
            "MONAI_LABEL_SESSION_PATH": str(tmp_path / "sessions"),
            "MONAI_LABEL_DATASTORE_AUTO_RELOAD": False,
            "MONAI_LABEL_AUTO_UPDATE_SCORING": scoring,
        }.items():
            monkeypatch.setattr(settings, key, value)
        client = TestClient(server_app, raise_server_exceptions=False)
        http = client.__enter__()
        clients.append(client)
        return Client(http)

    yield enter
    for client in clients:
        app_instance().close()
        client.__exit__(None, None, None)
    clear_cache()
    # The server's timetable would keep every app, with its network, until the tests end, and glibc what it had freed.
    schedule.clear()
    if sys.platform == "linux":
        ctypes.CDLL(None).malloc_trim(0)


class Client:
    """What Slicer and OHIF do, over the HTTP client `http`."""

    def __init__(self, http):
        self.http = http

    def submit(self, image, label_file, label_info):
        """Submit a final label, as Slicer does."""
        with label_file.open("rb") as file:
            return self.http.put(
                "/datastore/label",
                params={"image": image},
                data={"params": json.dumps({"label_info": label_info})},
                files={"label": (label_file.name, file)},
            )

    def infer(self, model, image, *, output="json", label_file=None, **params):
        """Segment an image; the answer is what is known about it, or with `output="image"` the label map."""
        files = {"label": (label_file.name, label_file.read_bytes())} if label_file else None
        address = {"image": image, "output": output}
        return self.http.post(f"/infer/{model}", params=address, data={"params": json.dumps(params)}, files=files)


class Server:
    """`monailabel start_server` in a process of its own."""

    def __init__(self, studies, folder):
        self.studies, self.folder = studies, folder
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"

    def start(self):
        """Start it and wait until it answers."""
        conf = [word for pair in {**CONF, "adapt": "true"}.items() for word in ("--conf", *pair)]
        address = ["--host", "127.0.0.1", "--port", str(self.port)]
        command = ["start_server", "--app", str(APP), "--studies", str(self.studies), *address, *conf]
        environment = {
            **os.environ,
            "MONAI_LABEL_SESSION_PATH": str(self.folder / "sessions"),
            "OMP_NUM_THREADS": "1",
            "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]),
        }
        with (self.folder / "server.log").open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "monailabel.main", *command], env=environment, stdout=log, stderr=log
            )
        while True:
            try:
                return requests.get(f"{self.url}/info/", timeout=60).json()
            except (requests.ConnectionError, requests.Timeout):
                self.check()
                time.sleep(0.2)

    def check(self):
        """Fail with the end of its log if it is gone."""
        if self.process.poll() is not None:
            raise AssertionError((self.folder / "server.log").read_text(encoding="utf-8", errors="replace")[-3000:])

    def kill(self):
        """Kill it as `kill -9` does."""
        self.process.kill()
        self.process.wait()


@pytest.fixture
def server(studies, tmp_path):
    server = Server(studies, tmp_path)
    server.start()
    yield server
    server.kill()
