"""Follows what others put into a folder of studies, or take from it.

Defects of MONAI Label 0.8.5: its watcher asks for every kind of event, also of files that are only read, and compares
each with a dozen patterns, which takes 1.4 ms. A busy server opens and closes some 300 files a second in its own
folder, so that events pile up in memory for as long as it runs. And a file that is renamed in the folder, as rsync
does with each that it has copied, is never seen.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Collection
from pathlib import Path

from watchdog.events import (
    FileCreatedEvent,
    FileDeletedEvent,
    FileMovedEvent,
    FileSystemEvent,
    FileSystemEventHandler,
)
from watchdog.observers.api import BaseObserver

__all__ = ["FolderWatcher"]


class FolderWatcher(FileSystemEventHandler):
    """Watches a folder of studies for images and labels that come or go.

    Args:
        images: folder of the images.
        labels: folder with a folder of labels for each tag.
        suffixes: suffixes of files that are images or labels.
        changed: function to call when there may be others than before.
    """

    def __init__(
        self, images: str | Path, labels: str | Path, suffixes: Collection[str], changed: Callable[[], object]
    ) -> None:
        self._images, self._labels = Path(images).resolve(), Path(labels).resolve()
        self._suffixes, self._changed = tuple(suffixes), changed

    def watch(self, observer: BaseObserver, folder: str) -> None:
        """Take the place of all other handlers of an observer.

        Args:
            observer: observer that runs already, or not yet.
            folder: folder that holds images and labels.
        """
        observer.unschedule_all()
        kinds: list[type[FileSystemEvent]] = [FileCreatedEvent, FileDeletedEvent, FileMovedEvent]
        observer.schedule(self, str(Path(folder).resolve()), recursive=True, event_filter=kinds)

    def dispatch(self, event: FileSystemEvent) -> None:
        """Follow an event, unless it is about a file of another kind, or one that is still being written."""
        if any(self._counts(Path(os.fsdecode(path))) for path in (event.src_path, event.dest_path) if path):
            self._changed()

    def _counts(self, file: Path) -> bool:
        if file.name.startswith(".") or not file.name.endswith(self._suffixes):
            return False
        return file.parent == self._images or file.parent.parent == self._labels
