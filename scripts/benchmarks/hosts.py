"""Show three hosts that share a cohort, of which one is lost in mid-work: network namespaces of this machine, as root.

Each host has a network of its own, joined by a switch; the files are on the disk that all see. One host's cable is
pulled and its worker killed while it works. The results are compared, byte for byte, with those of one process.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path

import nibabel
import numpy as np

from protoseg.errors import InputError

HEAD, WORKERS = "protoseg-head", ("protoseg-1", "protoseg-2", "protoseg-3")
SWITCH = "protoseg-net"
SUBNET = "10.77.0"
PORT = 8786
PATIENCE = 300.0  # seconds that anything may take
SMALL = ["--device", "cpu", "--set", "image_size=64", "--set", "precision=float32"]


def main(argv: Sequence[str]) -> None:
    """Read the arguments, run the cohort on three hosts and on one process, and say how it went."""
    parser = argparse.ArgumentParser(
        prog="scripts/benchmark hosts", description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    parser.add_argument("--scans", type=int, default=24, help="small synthetic scans to segment")
    arguments = parser.parse_args(argv)
    if os.geteuid() != 0:
        raise InputError("Network namespaces need root. Run it as root.")
    with tempfile.TemporaryDirectory() as folder, ExitStack() as opened:
        place = Path(folder)
        _write_scans(place, arguments.scans)
        opened.enter_context(_network())
        scheduler = _dask(opened, HEAD, place, "scheduler", "--host", _address(HEAD), "--port", str(PORT))
        _wait(lambda: "Scheduler at" in _log(place, HEAD), "the scheduler")
        at = f"tcp://{_address(HEAD)}:{PORT}"
        workers = {
            host: _dask(opened, host, place, "worker", at, "--nthreads", "1", "--no-nanny", "--host", _address(host))
            for host in WORKERS
        }
        for host in WORKERS:
            _wait(partial(_has_joined, place, host), f"the worker of {host}")
        seconds, done = _segment_and_lose(opened, place, at, workers)
        assert scheduler.poll() is None
        environment = {**os.environ, "OMP_NUM_THREADS": "1"}
        subprocess.run(_command("one"), cwd=place, check=True, capture_output=True, env=environment)
        together, alone = _files(place / "hosts"), _files(place / "one")
    print(f"{arguments.scans} scans by three hosts in {seconds:.0f} s, of which one was lost when {done} were done")
    print(f"{len(together)} files, {len(alone)} by one process; equal byte for byte: {together == alone}")
    if together != alone:
        sys.exit(1)


def _segment_and_lose(
    opened: ExitStack, place: Path, scheduler: str, workers: dict[str, subprocess.Popen]
) -> tuple[float, int]:
    """Segment the cohort, and lose a host on the way; give the seconds, and how many scans were done by then."""
    begin = time.perf_counter()
    client = _start(opened, HEAD, place, "client", _command("hosts", "--scheduler", scheduler))
    _wait(lambda: _done(place) >= 1 or client.poll() is not None, "the first result")
    done, lost = _done(place), WORKERS[1]
    _ip("-n", SWITCH, "link", "set", lost, "down")
    workers[lost].kill()
    if client.wait(PATIENCE) != 0:
        raise RuntimeError((place / "client.log").read_text(encoding="utf-8"))
    return time.perf_counter() - begin, done


def _done(place: Path) -> int:
    return len(list((place / "hosts").glob("*_seg.json")))


def _command(output: str, *more: str) -> list[str]:
    start = "from protoseg.cli import main; main()"
    like = ["--like", "scans/scan_0.nii.gz", "labels.nii.gz"]
    return [sys.executable, "-c", start, "segment", "scans", *like, "-o", output, *SMALL, *more]


def _dask(opened: ExitStack, host: str, place: Path, *arguments: str) -> subprocess.Popen:
    return _start(opened, host, place, host, [sys.executable, "-m", "dask", *arguments, "--no-dashboard"])


def _start(opened: ExitStack, host: str, place: Path, name: str, command: Sequence[str]) -> subprocess.Popen:
    """Start a command on a host; it ends with the stack."""
    log = opened.enter_context((place / f"{name}.log").open("w", encoding="utf-8"))
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(
        ["ip", "netns", "exec", host, *command], stdout=log, stderr=log, cwd=place, env=environment
    )
    opened.callback(process.wait)
    opened.callback(process.kill)
    return process


@contextmanager
def _network() -> Iterator[None]:
    """Make the hosts, each joined to a switch by a cable; they are gone afterwards."""
    made = (SWITCH, HEAD, *WORKERS)
    try:
        for namespace in made:
            _ip("netns", "add", namespace)
            _ip("-n", namespace, "link", "set", "lo", "up")
        _ip("-n", SWITCH, "link", "add", "switch", "type", "bridge")
        _ip("-n", SWITCH, "link", "set", "switch", "up")
        for host in (HEAD, *WORKERS):
            _ip("-n", host, "link", "add", "eth0", "type", "veth", "peer", "name", host, "netns", SWITCH)
            _ip("-n", host, "addr", "add", f"{_address(host)}/24", "dev", "eth0")
            _ip("-n", host, "link", "set", "eth0", "up")
            _ip("-n", SWITCH, "link", "set", host, "up", "master", "switch")
        yield
    finally:
        for namespace in made:
            subprocess.run(["ip", "netns", "del", namespace], check=False, capture_output=True)


def _ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True)


def _address(host: str) -> str:
    return f"{SUBNET}.{1 + (HEAD, *WORKERS).index(host)}"


def _has_joined(place: Path, host: str) -> bool:
    return "Registered to" in _log(place, host)


def _log(place: Path, name: str) -> str:
    return (place / f"{name}.log").read_text(encoding="utf-8")


def _wait(condition: Callable[[], bool], what: str) -> None:
    end = time.monotonic() + PATIENCE
    while not condition():
        if time.monotonic() > end:
            raise TimeoutError(f"{what} did not come in {PATIENCE:.0f} s")
        time.sleep(0.05)


def _write_scans(place: Path, count: int) -> None:
    """Write scans of two boxes in a body, and the label map of the first."""
    affine = np.diag([-10.0, -10.0, 10.0, 1.0])
    labels = np.zeros((32, 32, 4), np.uint8)
    labels[6:14, 8:16, 1:3], labels[18:26, 8:16, 1:3] = 1, 2
    (place / "scans").mkdir()
    for number in range(count):
        image = np.full(labels.shape, -1000.0)
        image[4:28, 6:26] = 20
        image[labels == 1], image[labels == 2] = 100, 180
        image += np.random.default_rng(number).normal(0, 5, labels.shape)
        nibabel.save(nibabel.Nifti1Image(image.astype(np.int16), affine), place / f"scans/scan_{number}.nii.gz")
    nibabel.save(nibabel.Nifti1Image(labels, affine), place / "labels.nii.gz")


def _files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}
