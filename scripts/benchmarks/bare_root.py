"""Time and weigh an installation: a bare Debian with Python alone, the wheel by one command, a scan by another.

Makes the Debian by debootstrap in a folder, builds the wheel of the last commit in it, installs it, and segments a
synthetic scan twice. Needs root, Debian's packages debootstrap and util-linux, and a package index; the folder may be
deleted afterwards. What follows -- goes to pip, such as --extra-index-url ADDRESS for PyTorch's CPU builds.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from protoseg.errors import InputError
from protoseg.files import write_json

CHECKOUT = Path(__file__).resolve().parents[2]
SOURCES = ("pyproject.toml", "README.md", "LICENSE", "bundle", "monailabel_app")  # sources of a wheel
CERTIFICATES = "/etc/ssl/certs/ca-certificates.crt"
PROTOSEG = "/protoseg/bin/protoseg"  # in the Debian
MIB = 2**20
# Run by the Python that was installed into.
WEIGH = """
import json
from importlib.metadata import distributions
from pathlib import Path
def size(files):
    return sum(file.stat().st_size for file in map(Path, files) if file.is_file())
packages = {one.name: size(one.locate_file(file) for file in one.files or ()) for one in distributions()}
[folder] = Path("/protoseg/lib").glob("python*/site-packages")
print(json.dumps({"all": size(folder.rglob("*")), "packages": packages}))
"""


@dataclass(frozen=True)
class Debian:
    """A Debian in a folder."""

    root: Path
    shared: Sequence[Path] = ()  # folders of this machine mounted in it, under the same names, read-only

    def make(self) -> None:
        """Install Python alone."""
        packages = "--include=python3,python3-venv,ca-certificates"
        command = ["debootstrap", "--variant=minbase", packages, "bookworm", str(self.root)]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        for file in ("/etc/resolv.conf", CERTIFICATES):  # to reach the index as this machine does
            shutil.copy(file, self.root / file[1:])

    def run(self, *command: str) -> tuple[float, str]:
        """Run a command in it; give the seconds it took and what it printed."""
        mounts = ['mount -t proc proc "$root/proc"']
        for folder in self.shared:
            mounts.append(f'mkdir -p "$root{folder}" && mount --bind -o ro "{folder}" "$root{folder}"')
        script = f'root=$1; shift; {" && ".join(mounts)} && exec chroot "$root" "$@"'
        # The mounts end with the command: nobody else sees them.
        alone = ["unshare", "--mount", "--propagation", "private", "sh", "-c", script, "sh", str(self.root)]
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "VIRTUAL_ENV"))}
        own = {"HOME": "/root", "LANG": "C.UTF-8", "PATH": "/usr/bin:/bin:/usr/sbin:/sbin", "PIP_CERT": CERTIFICATES}
        begun = time.monotonic()
        done = subprocess.run([*alone, *command], env={**kept, **own}, capture_output=True, text=True, check=False)
        if done.returncode:
            raise InputError(f"{' '.join(command)} ended with the status {done.returncode}: {done.stderr[-2000:]}")
        return time.monotonic() - begun, done.stdout


def main(argv: Sequence[str]) -> None:
    """Read the arguments, install, segment, print the figures."""
    own, pip = list(argv), []
    if "--" in own:
        own, pip = own[: own.index("--")], own[own.index("--") + 1 :]
    parser = argparse.ArgumentParser(
        prog="scripts/benchmark bare_root", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("root", type=Path, help="folder of the Debian; it is made where it is missing")
    parser.add_argument("--extras", default="", help="to install, too, such as label")
    parser.add_argument("--share", type=Path, nargs="+", default=[], help="folders with wheels, to be seen in it")
    parser.add_argument("--json", type=Path, help="where to write the figures")
    arguments = parser.parse_args(own)
    try:
        figures = measure(Debian(arguments.root.resolve(), arguments.share), arguments.extras, pip)
    except InputError as error:
        sys.exit(f"Error: {error}")
    for name, value in figures.items():
        print(f"{name:44}{value:>10}")
    if arguments.json is not None:
        write_json(arguments.json, figures)


def measure(debian: Debian, extras: str, pip: Sequence[str]) -> dict[str, float]:
    """Install into a Debian and segment there; give seconds and MiB by what was done.

    Raises:
        InputError: this is not root, a program is missing, or a command in the Debian fails.
    """
    missing = [name for name in ("debootstrap", "unshare", "git") if shutil.which(name) is None]
    if os.geteuid() or missing:
        needed = f"install {', '.join(missing)}" if missing else "start it as root"
        raise InputError(f"A Debian cannot be made in {debian.root}: {needed}.")
    if not (debian.root / "usr/bin/python3").exists():
        debian.make()
    for folder in ("src", "wheel", "protoseg", "data", "results"):
        shutil.rmtree(debian.root / folder, ignore_errors=True)
    (debian.root / "src").mkdir()
    packed = subprocess.run(["git", "archive", "HEAD", *SOURCES], cwd=CHECKOUT, check=True, capture_output=True)
    subprocess.run(["tar", "--extract", "--directory", debian.root / "src"], input=packed.stdout, check=True)
    debian.run("python3", "-m", "venv", "/protoseg")
    install = ["/protoseg/bin/pip", "install", "--no-cache-dir", *pip]
    built, _ = debian.run("/protoseg/bin/pip", "wheel", "--no-cache-dir", "--no-deps", "--wheel-dir", "/wheel", "/src")
    [wheel] = (debian.root / "wheel").glob("*.whl")
    installed, _ = debian.run(*install, f"/wheel/{wheel.name}" + (f"[{extras}]" if extras else ""))
    weights = json.loads(debian.run("/protoseg/bin/python", "-c", WEIGH)[1])
    heaviest = sorted(weights["packages"].items(), key=lambda package: -package[1])[:10]
    return {
        "build the wheel, s": round(built, 1),
        "install it, s": round(installed, 1),
        "the wheel, MiB": round(wheel.stat().st_size / MIB, 1),
        "site-packages, MiB": round(weights["all"] / MIB),
        "packages": len(weights["packages"]),
        **{f"  {name}, MiB": round(size / MIB) for name, size in heaviest},
        **_segment(debian),
    }


def _segment(debian: Debian) -> dict[str, float]:
    """Seconds of the first run of the command, and of the next."""
    people = (
        "--training",
        "0",
        "--validation",
        "1",
        "--test",
        "1",
        "--shape",
        "96",
        "96",
        "12",
        "--spacing",
        "4",
        "4",
        "20",
    )
    debian.run(PROTOSEG, "synthesize", "/data", *people)
    like = ("--like", "/data/images/validation_000.nii.gz", "/data/labels/validation_000.nii.gz")
    command = (PROTOSEG, "segment", "/data/images/test_000.nii.gz", *like, "--output", "/results")
    first, _ = debian.run(*command)
    second, told = debian.run(*command)
    if not (debian.root / "results/test_000_seg.nii.gz").exists():
        raise InputError(f"There is no result; protoseg segment printed: {told}")
    return {"first protoseg segment, s": round(first, 1), "second, s": round(second, 1)}
