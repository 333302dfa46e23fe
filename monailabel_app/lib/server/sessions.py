"""Sessions, which are images that clients upload for themselves, kept inside their folder.

Defects of MONAI Label 0.8.5: a session's name is joined to a path as it comes, so that `../..` is a session too; an
uploaded archive is unpacked wherever its members' names point; a file that is no image becomes a session; what is
refused stays in the folder of temporary files; and nothing bounds their number, so that uploads fill the disk.
"""

import logging
import re
import shutil
import tarfile
import tempfile
from pathlib import Path

import monailabel.interfaces.app
from monailabel.utils.sessions import SessionInfo, Sessions

from lib.server.patching import patch_class
from lib.server.unpacked_sizes import ZIP_ERRORS, check_unpacked_archive
from lib.server.uploads import check_image
from protoseg.errors import InputError

__all__ = ["ContainedSessions", "patch_sessions"]

MOST_SESSIONS = 200  # images that clients uploaded and that have not expired, by MONAI_LABEL_SESSION_EXPIRY
SESSION_ID = re.compile(r"[0-9a-zA-Z-]{1,64}")

logger = logging.getLogger(__name__)


class ContainedSessions(Sessions):
    """Sessions whose names are plain and whose images can be read."""

    def get_session(self, session_id: str, update_ts: bool = True, fetch_cache: bool = True) -> SessionInfo | None:
        """Return the session, or None if there is none of that name."""
        return super().get_session(session_id, update_ts, fetch_cache) if SESSION_ID.fullmatch(session_id) else None

    def add_session(
        self, data_file: str, expiry: int = 0, uncompress: bool = False, session_id: str | None = None
    ) -> tuple[str, SessionInfo]:
        """Keep an uploaded image: a file, or a folder or archive with one DICOM series.

        Raises:
            InputError: the archive cannot be unpacked or is too large then, the image cannot be read, or there are too
                many sessions.
        """
        received = Path(data_file)
        try:
            with tempfile.TemporaryDirectory() as scratch:
                self._check_number()
                image = _unpacked(received, Path(scratch)) if uncompress and received.is_file() else received
                session_id, session = super().add_session(str(image), expiry, False, session_id)
                try:
                    check_image(session.image)
                except InputError:
                    self.remove_session(session_id)
                    raise
        except BaseException:
            _discard(received)
            raise
        return session_id, session

    def _check_number(self) -> None:
        folder = Path(self.store_path)
        if folder.is_dir() and sum(place.is_dir() for place in folder.iterdir()) >= MOST_SESSIONS:
            logger.warning("A session was refused: there are %d.", MOST_SESSIONS)
            raise InputError(f"There are {MOST_SESSIONS} sessions. Delete those that you need not, or wait an hour.")


def _unpacked(archive: Path, scratch: Path) -> Path:
    """Unpack an archive into a new folder of a folder."""
    unpacked = scratch / "unpacked"
    unpacked.mkdir()  # nothing may come of it
    try:
        check_unpacked_archive(archive)
        shutil.unpack_archive(archive, unpacked)
    except InputError:
        raise
    except (shutil.ReadError, tarfile.TarError, *ZIP_ERRORS) as error:
        raise InputError(f"{archive.name} cannot be unpacked. Send a .zip or .tar.gz archive.") from error
    return unpacked


def _discard(received: Path) -> None:
    """Remove the folder of temporary files of an upload, and nothing elsewhere."""
    folder = received.resolve() if received.is_dir() else received.resolve().parent
    if received.is_absolute() and folder.parent == Path(tempfile.gettempdir()).resolve():
        shutil.rmtree(folder, ignore_errors=True)


def patch_sessions() -> None:
    """Let apps use `ContainedSessions`, and let no archive reach outside the folder it is unpacked in."""
    patch_class(
        monailabel.interfaces.app,
        "Sessions",
        ContainedSessions,
        defect="a session's name may be a path out of the folder of sessions, and a file that is no image one",
    )
    # Python 3.11.2, which Debian 12 has, knows no filters; what they refuse, `check_unpacked_archive` did before.
    if hasattr(tarfile, "data_filter"):
        tarfile.TarFile.extraction_filter = staticmethod(tarfile.data_filter)
