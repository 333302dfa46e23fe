"""Weights published by others: where they are, and how they are downloaded whole."""

from __future__ import annotations

import hashlib
import shutil
from http.client import HTTPException
from pathlib import Path
from typing import NamedTuple
from urllib.error import HTTPError, URLError
from urllib.request import Request, urlopen

from tqdm import tqdm

from protoseg.errors import InputError
from protoseg.files import replacing

__all__ = ["PUBLISHED", "PublishedFile", "fetch", "take"]

CHUNK = 2**20
TIMEOUT = 60.0  # seconds without a byte
_META = "https://dl.fbaipublicfiles.com"


class PublishedFile(NamedTuple):
    """One file of weights."""

    url: str
    checksum: str = ""  # algorithm:digits; empty where none is known

    @property
    def name(self) -> str:
        """Name given by the publisher, and used in the configs."""
        return self.url.rpartition("/")[2]


def _dinov2(size: str) -> dict[str, PublishedFile]:
    model = f"dinov2_vit{size}14"
    folder = f"{_META}/dinov2/{model}/{model}"
    return {
        model: PublishedFile(f"{folder}_pretrain.pth"),
        f"{model}_reg": PublishedFile(f"{folder}_reg4_pretrain.pth"),
    }


# SAM's file names carry the first digits of the MD5; the SHA-256 are the ones that micro-sam and 3D Slicer check.
# MedSAM's MD5 is that of its Zenodo record. DINOv2 comes without checksums.
PUBLISHED = {
    **{name: file for size in "sblg" for name, file in _dinov2(size).items()},
    "sam_vit_b": PublishedFile(
        f"{_META}/segment_anything/sam_vit_b_01ec64.pth",
        "sha256:ec2df62732614e57411cdcf32a23ffdf28910380d03139ee0f4fcbe91eb8c912",
    ),
    "sam_vit_l": PublishedFile(
        f"{_META}/segment_anything/sam_vit_l_0b3195.pth",
        "sha256:3adcc4315b642a4d2101128f611684e8734c41232a17c648ed1693702a49a622",
    ),
    "sam_vit_h": PublishedFile(
        f"{_META}/segment_anything/sam_vit_h_4b8939.pth",
        "sha256:a7bf3b02f3ebf1267aba913ff637d9a2d5c33d3173bb679e46d9f338c26f262e",
    ),
    "medsam_vit_b": PublishedFile(
        "https://zenodo.org/records/10689643/files/medsam_vit_b.pth", "md5:3bb6db55bd0c9ca30b61248bca72f8d6"
    ),
}


def fetch(file: PublishedFile, folder: Path) -> Path:
    """Fetch a file into a folder unless it is there; a stopped download is resumed.

    Raises:
        InputError: the file cannot be downloaded, or differs from the published one.
    """
    target = folder / file.name
    if target.is_file() and _is_whole(target, file):
        return target
    part = folder / f".{file.name}.part"
    folder.mkdir(parents=True, exist_ok=True)
    try:
        _download(file.url, part)
    except (HTTPException, OSError) as error:  # URLError and time-outs are OSErrors
        raise InputError(_advice(file, target, part, error)) from error
    if not _is_whole(part, file):
        part.unlink()
        raise InputError(f"What {file.url} sent is not the published file: its checksum differs. Fetch it again.")
    return part.replace(target)


def take(file: PublishedFile, source: Path, folder: Path) -> Path:
    """Copy a file from the folder `source`, where it was fetched before.

    Raises:
        InputError: it is missing, or differs from the published one.
    """
    found = source / file.name
    if not found.is_file():
        raise InputError(f"{found} does not exist. Fetch {file.url} and save it there.")
    if not _is_whole(found, file):
        raise InputError(f"{found} is not the published file: its checksum differs. Fetch {file.url} again.")
    with replacing(folder / file.name) as unfinished:
        shutil.copyfile(found, unfinished)
    return folder / file.name


def _download(url: str, part: Path) -> None:
    """Append to `part` the missing bytes; raises HTTPException or OSError, and keeps the bytes received so far."""
    done = part.stat().st_size if part.is_file() else 0
    try:
        response = urlopen(Request(url, headers={"Range": f"bytes={done}-"} if done else {}), timeout=TIMEOUT)
    except HTTPError as error:
        if error.code != 416:
            raise
        if error.headers.get("Content-Range") != f"bytes */{done}":  # longer than the file, so part of another one
            part.unlink()
            _download(url, part)
        return  # nothing is missing
    with response:
        resumed = response.status == 206  # a server that cannot resume sends everything
        done = done if resumed else 0
        total = done + int(response.headers.get("Content-Length", 0))
        with (
            part.open("ab" if resumed else "wb") as output,
            tqdm(desc=part.name[1:-5], total=total or None, initial=done, unit="B", unit_scale=True) as bar,
        ):
            while chunk := response.read(CHUNK):
                output.write(chunk)
                bar.update(len(chunk))
    if total and part.stat().st_size < total:
        raise URLError(f"the connection broke after {part.stat().st_size} of {total} bytes")


def _is_whole(path: Path, file: PublishedFile) -> bool:
    """Tell whether a file has the published checksum; a file without one is accepted."""
    if not file.checksum:
        return True
    algorithm, _, digits = file.checksum.partition(":")
    with path.open("rb") as content:
        return hashlib.file_digest(content, algorithm).hexdigest() == digits


def _advice(file: PublishedFile, target: Path, part: Path, error: Exception) -> str:
    reason = error.reason if type(error) is URLError else error
    resume = " Give the same command again to go on where it stopped." if part.is_file() else ""
    return (
        f"{file.url} could not be fetched ({reason}).{resume} Without internet, fetch "
        f"it on another machine and save it as {target}, or give --from the folder that holds {file.name}."
    )
