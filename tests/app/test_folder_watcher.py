"""What is put into a folder of studies, or taken from it, is noticed; what is only read costs nothing."""

import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Event

import pytest
from watchdog.events import FileOpenedEvent, FileSystemEventHandler
from watchdog.observers import Observer

APP = Path(__file__).parents[2] / "monailabel_app"
PATIENCE = 600.0  # seconds; only a watcher that sees nothing is waited for so long


class Changes:
    """Counts the changes that a watcher tells of."""

    def __init__(self) -> None:
        self.observer, self.count, self._event = Observer(), 0, Event()

    def add(self) -> None:
        self.count += 1
        self._event.set()

    def wait(self) -> None:
        assert self._event.wait(PATIENCE), "Nothing is noticed."
        self._event.clear()


@pytest.fixture
def noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Changes]:
    """The changes in `tmp_path`, which another handler watched before."""
    monkeypatch.syspath_prepend(str(APP))
    from lib.server.folder_watcher import FolderWatcher

    changes = Changes()
    (tmp_path / "labels" / "final").mkdir(parents=True)
    (tmp_path / ".protoseg" / "sessions").mkdir(parents=True)
    changes.observer.schedule(FileSystemEventHandler(), str(tmp_path), recursive=True)
    changes.observer.start()
    watcher = FolderWatcher(tmp_path, tmp_path / "labels", [".nii.gz", ".png"], changes.add)
    watcher.watch(changes.observer, str(tmp_path))
    yield changes
    changes.observer.stop()
    changes.observer.join()


def write(file: Path) -> None:
    file.write_bytes(b"x")


@pytest.mark.parametrize(
    "change",
    [
        lambda folder: write(folder / "one.nii.gz"),
        lambda folder: write(folder / "labels" / "final" / "one.nii.gz"),
        lambda folder: (folder / "there.nii.gz").unlink(),
        lambda folder: (folder / ".one.nii.gz.Xy12").rename(folder / "one.nii.gz"),  # as rsync does
        lambda folder: (folder / "there.nii.gz").rename(folder / "gone"),
        lambda folder: shutil.move(folder.parent / "elsewhere.png", folder),
    ],
    ids=["an image", "a label", "one that is removed", "one that is renamed", "renamed away", "from elsewhere"],
)
def test_a_change_is_noticed(noticed: Changes, tmp_path: Path, change: Callable[[Path], object]) -> None:
    for file in (tmp_path / "there.nii.gz", tmp_path / ".one.nii.gz.Xy12", tmp_path.parent / "elsewhere.png"):
        write(file)
    noticed.wait()  # of there.nii.gz
    change(tmp_path)
    noticed.wait()


def test_other_files_are_no_change(noticed: Changes, tmp_path: Path) -> None:
    write(tmp_path / ".half.nii.gz")
    write(tmp_path / "notes.txt")
    write(tmp_path / ".protoseg" / "sessions" / "one.nii.gz")
    (tmp_path / "notes.txt").replace(tmp_path / "datastore_v2.json")
    write(tmp_path / "last.nii.gz")  # events come in order: those of the others were before it
    noticed.wait()
    assert noticed.count == 1


def test_what_is_only_read_is_no_event(noticed: Changes, tmp_path: Path) -> None:
    [emitter] = noticed.observer.emitters
    emitter.queue_event(FileOpenedEvent(str(tmp_path / "one.nii.gz")))
    assert noticed.observer.event_queue.empty()


def test_a_folder_of_studies_is_watched(studies: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(APP))
    from lib.server.folder_datastore import FolderDatastore

    store = FolderDatastore(str(studies), extensions=("*.nii.gz",), auto_reload=True)
    half = studies / ".person9.nii.gz.Xy12"
    shutil.copy(studies / "person0.nii.gz", half)
    half.rename(studies / "person9.nii.gz")
    end = time.monotonic() + PATIENCE
    while "person9" not in store.list_images() and time.monotonic() < end:
        time.sleep(0.05)
    store._observer.stop()
    store._observer.join()
    assert "person9" in store.list_images()
