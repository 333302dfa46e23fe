"""Bounds for uploads that are small until they are unpacked: archives and compressed images.

A kilobyte may unpack to a megabyte, hence an upload of the largest size to terabytes, on disk or in memory.
"""

import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path, PurePath

from monailabel.config import settings

from lib.server.access import UPLOAD_LIMIT_MB
from protoseg.data.io.promised_sizes import promised_bytes
from protoseg.errors import InputError

__all__ = ["ZIP_ERRORS", "check_unpacked_archive", "check_unpacked_image"]

MOST_FILES = 100_000  # in an archive
# What zipfile raises for some damage: of the index, the packed bytes, their end, the method, a password, or a name.
ZIP_ERRORS = (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, ValueError)


def check_unpacked_archive(path: Path) -> None:
    """Refuse an archive that unpacks to more than `--conf upload_limit_mb`, to very many files, or elsewhere.

    Raises:
        InputError: it is too large.
        ValueError, tarfile.TarError: it cannot be read, or a member of a tar file leads elsewhere or is a link.
    """
    total = 0
    for number, size in enumerate(_member_sizes(path)):
        total += size
        if number >= MOST_FILES:
            raise InputError(f"{path.name} holds more than {MOST_FILES} files. Send one series in an archive.")
        _check(total, path)


def check_unpacked_image(path: Path) -> None:
    """Refuse an image file whose header promises more voxels than `--conf upload_limit_mb` allows.

    Raises:
        InputError: the header promises more.
    """
    if path.is_file():
        _check(promised_bytes(path), path)


def _member_sizes(path: Path) -> Iterator[int]:
    try:
        if zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as archive:
                yield from (member.file_size for member in archive.infolist())
        else:
            with tarfile.open(path) as archive:
                yield from (_contained(member).size for member in archive)
    except (zipfile.BadZipFile, EOFError, OSError) as error:
        raise ValueError(str(error)) from error


def _contained(member: tarfile.TarInfo) -> tarfile.TarInfo:
    """Give a member back that stays in the folder where it is unpacked; zipfile sees to that by itself."""
    place = PurePath(member.name)
    if not (member.isreg() or member.isdir()) or place.is_absolute() or ".." in place.parts:
        raise ValueError(f"{member.name} leads elsewhere")
    return member


def _check(size: int, path: Path) -> None:
    limit_mb = float(settings.MONAI_LABEL_APP_CONF.get("upload_limit_mb", UPLOAD_LIMIT_MB))
    if size > limit_mb * 2**20:
        raise InputError(f"{path.name} is larger than {limit_mb:g} MB when it is unpacked. See --conf upload_limit_mb.")
