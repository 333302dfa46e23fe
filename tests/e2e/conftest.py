"""The real chain: scripts/serve with Orthanc and the app, and a browser."""

import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import requests
from playwright.sync_api import Page, expect, sync_playwright

sys.path.insert(0, str(Path(__file__).parent))  # pytest's importlib mode does not

from viewer import CHROMIUM_FLAGS, Viewer

ROOT = Path(__file__).parents[2]
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")


@dataclass(frozen=True)
class Chain:
    """A running demonstration: addresses of the app and of Orthanc, and the folder that holds its scans."""

    app: str
    orthanc: str
    folder: Path


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


@pytest.fixture(scope="session")
def chain(tmp_path_factory) -> Iterator[Chain]:
    if not shutil.which("Orthanc"):
        pytest.skip("Orthanc is missing; ./scripts/test --e2e installs it when run as root")
    folder = tmp_path_factory.mktemp("chain")
    port = free_port()
    command = [str(ROOT / "scripts/serve"), "--orthanc", "--port", str(port), "--state", str(folder)]
    with (folder / "serve.log").open("wb") as log:
        serving = subprocess.Popen(command, stdout=log, stderr=log, env={**os.environ, "OMP_NUM_THREADS": "2"})
    try:
        said = ""
        while "Ctrl-C" not in said:
            assert serving.poll() is None, said
            time.sleep(0.5)
            said = (folder / "serve.log").read_text(encoding="utf-8", errors="replace")
        orthanc = next(line.split()[-1] for line in said.splitlines() if line.startswith("DICOM server"))
        yield Chain(f"http://127.0.0.1:{port}", orthanc, folder)
    finally:
        serving.terminate()  # as Ctrl-C, which a process in the background does not heed
        serving.wait()
    for address in (f"http://127.0.0.1:{port}", orthanc):  # nothing is left running
        with pytest.raises(requests.ConnectionError):
            requests.get(address, timeout=60)


@pytest.fixture(scope="session")
def page() -> Iterator[Page]:
    if CHROMIUM is None:
        pytest.skip("Chromium is missing; ./scripts/test --e2e installs it when run as root")
    expect.set_options(timeout=60000)  # ms; only a test that fails waits so long
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, headless=True, args=CHROMIUM_FLAGS)
        yield browser.new_context(viewport={"width": 1500, "height": 900}).new_page()
        browser.close()


@pytest.fixture(scope="session")
def viewer(chain, page) -> Viewer:
    folder = os.environ.get("PROTOSEG_SCREENSHOTS")
    if folder:
        Path(folder).mkdir(parents=True, exist_ok=True)
    return Viewer(page, chain.app, Path(folder) if folder else None)
