"""Taking an exported library in: all of it, or nothing."""

from __future__ import annotations

import hashlib
import shutil
import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from lib.library.archive import LIST, pack, printable
from lib.library.checks import MOST_EXAMPLES, Listed, check_directory, check_support, read_list
from lib.library.examples import Examples
from lib.library.record import Imported, Record
from lib.server.unpacked_sizes import ZIP_ERRORS
from lib.times import utc_now
from protoseg.data.support.library import SavedSupport
from protoseg.data.support.loading import read_support, save_support
from protoseg.engine.support import SupportSet
from protoseg.errors import InputError
from protoseg.ops.hashing import fingerprint

__all__ = ["Outcome", "import_archive", "remove_incoming"]

LARGEST_LIST = 8 * 2**20  # bytes
LARGEST_SUPPORT = 2**28
LARGEST_IN_ALL = 2**32
BLOCK = 2**20
INCOMING = ".incoming"


class Outcome(NamedTuple):
    """Ids of the examples of an archive."""

    imported: list[str]
    already_there: list[str]


def import_archive(archive: Path, examples: Examples, by: str) -> Outcome:
    """Take the examples of an archive into the library; those that are there already, with equal slices, are not.

    Args:
        archive: path of an archive of `write_archive`.
        examples: library.
        by: name of the user.

    Raises:
        InputError: the archive cannot be used; then nothing is taken.
    """
    context = examples.context
    state = context.record.file.parent
    state.mkdir(parents=True, exist_ok=True)
    check_directory(archive)
    new: dict[str, Listed] = {}
    there: list[str] = []
    names: list[str] = []
    with tempfile.TemporaryDirectory(dir=state, prefix=INCOMING) as scratch:
        with _zip_errors(), zipfile.ZipFile(archive) as zipped:
            listed = read_list(_content(zipped, LIST, LARGEST_LIST))
            _check_members(zipped, listed)
            present = _present(examples, {entry.study for entry in listed})
            for entry in listed:
                support = _support(zipped, entry, Path(scratch) / "support", examples)
                key = _key(support, entry.study)
                if key in present or key in new:
                    there.append(key)
                    continue
                new[key] = entry
                names += support.labels
                save_support(Path(scratch) / f"{key}.safetensors", support)
        context.registry.values(names)  # raises where there would be too many
        folder = state / "imported"
        folder.mkdir(exist_ok=True)
        for key in new:
            (Path(scratch) / f"{key}.safetensors").replace(folder / f"{key}.safetensors")
        provenance = {"imported_at": utc_now(), "imported_by": by}
        context.record.change(lambda record: _with(record, new, provenance))
    return Outcome(list(new), there)


def remove_incoming(state: Path) -> None:
    """Remove what a server that was killed was taking in; nobody may be importing."""
    for folder in state.glob(f"{INCOMING}*"):
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _zip_errors() -> Iterator[None]:
    try:
        yield
    except (*ZIP_ERRORS, OSError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"The archive is damaged: {error}. Export the library again.") from error


def _check_members(zipped: zipfile.ZipFile, listed: list[Listed]) -> None:
    members = sorted(member.filename for member in zipped.infolist())
    if members != sorted([LIST, *(entry.file for entry in listed)]):
        strange = next((name for name in members if members.count(name) > 1), None)
        strange = strange or next(iter({*members} ^ {LIST, *(entry.file for entry in listed)}))
        raise InputError(f"The archive's members are not those that {LIST} lists, such as {strange[:80]!r}.")
    if sum(member.file_size for member in zipped.infolist()) > LARGEST_IN_ALL:
        raise InputError(f"The archive would be larger than {LARGEST_IN_ALL // 2**30} GB when unpacked.")


def _content(zipped: zipfile.ZipFile, name: str, limit: int) -> bytes:
    """Read a member, and no more than the limit, whatever the archive says of its size."""
    try:
        member = zipped.getinfo(name)
    except KeyError as error:
        raise InputError(f"The archive has no {name}. Send one that was exported by a protoseg server.") from error
    if member.flag_bits & 1:
        raise InputError("The archive is encrypted. Send it as it was exported.")
    blocks, size = [], 0
    with zipped.open(member) as file:
        while block := file.read(BLOCK):
            size += len(block)
            if size > limit:
                raise InputError(f"{name} in the archive is larger than {limit // 2**20} MB when unpacked.")
            blocks.append(block)
    return b"".join(blocks)


def _support(zipped: zipfile.ZipFile, entry: Listed, scratch: Path, examples: Examples) -> SupportSet:
    content = _content(zipped, entry.file, LARGEST_SUPPORT)
    if hashlib.sha256(content).hexdigest() != entry.sha256:
        raise InputError(f"{entry.file} in the archive is not what {LIST} says. Export the library again.")
    scratch.write_bytes(content)
    try:
        support = read_support(scratch)
        check_support(support)
        examples.context.library.check_made_alike(support)
    except InputError as error:
        message = str(error).replace(str(scratch), entry.file)
        raise InputError(f"The example of {entry.study} is refused: {message}") from error
    except (TypeError, ValueError, AttributeError, IndexError, RuntimeError, RecursionError) as error:
        raise InputError(f"{entry.file} in the archive holds no support.") from error
    return support


def _key(support: SupportSet, study: str) -> str:
    """Compute the digits of a support's content, wherever it was drawn."""
    packed = pack(support, study)
    places = [origin.slice_index for origin in packed.origins]
    drawn = [packed.labels, packed.components, places, packed.preprocessing, packed.slice_axes]
    return fingerprint("imported", drawn, packed.images, packed.masks, packed.known)


def _present(examples: Examples, studies: set[str]) -> set[str]:
    """Keys of the examples that are there; of studies, of those that have one of these names."""
    here = examples.listed()
    imported = {example.id for example in here if isinstance(example.source, SavedSupport)}
    alike = (one for one in here if one.sketch and one.id not in imported and printable(one.study) in studies)
    return imported | {_key(examples.support(example), example.study) for example in alike}


def _with(record: Record, new: dict[str, Listed], provenance: dict[str, str]) -> Record:
    there = {one.id for one in record.imported}
    added = [
        Imported(key, entry.study, entry.by, entry.at, {**entry.provenance, **provenance})
        for key, entry in new.items()
        if key not in there
    ]
    if len(there) + len(added) > MOST_EXAMPLES:
        raise InputError(f"There would be more than {MOST_EXAMPLES} imported examples. Delete some first.")
    record = replace(record, imported=(*record.imported, *added))
    for one in added:
        record = record.switched(one.id, one.id, enabled=new[one.id].enabled)
        record = record.weighted(one.id, one.id, new[one.id].weight)
    return record
