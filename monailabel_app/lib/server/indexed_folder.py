"""A folder of images and labels whose index is changed in transactions, and whose files are whole or not there.

Defects of MONAI Label 0.8.5: images, labels and the index are written in place, so that a killed server leaves halves;
two writers (threads, or the processes that train and score) overwrite each other's index from memory; and while the
index is reconciled it is empty for a moment, and requests in that moment find no image.
"""

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import RLock
from typing import Any

from filelock import FileLock
from monailabel.datastore.local import ImageLabelModel, LocalDatastore, LocalDatastoreModel

from lib.server.folder_watcher import FolderWatcher
from protoseg.files import remove_unfinished, replacing, unfinished_path, write_errors

__all__ = ["IndexedFolder"]


class IndexedFolder(LocalDatastore):
    """`LocalDatastore` with whole files and an index that is changed in transactions."""

    _datastore: LocalDatastoreModel
    # Of the index in memory, as it is on disk. No time tells: two servers may write within one tick of the clock of
    # files, and the second file may be given the inode of the one before the first.
    _text = ""

    def __init__(self, datastore_path: str, **options: Any):
        Path(datastore_path).mkdir(parents=True, exist_ok=True)
        self._threads = RLock()
        self._processes = FileLock(Path(datastore_path) / ".lock", thread_local=False)
        self._begun = Path(datastore_path) / ".begun.json"
        with write_errors(Path(datastore_path)):
            super().__init__(datastore_path, **options)
        self._remove_unfinished()
        observer = getattr(self, "_observer", None)  # there is none where MONAI Label is not to watch, or cannot
        if observer is not None:
            suffixes = [pattern.removeprefix("*") for pattern in self._extensions]
            index = self._datastore
            watcher = FolderWatcher(index.image_path(), index.label_path(None), suffixes, self.refresh)
            watcher.watch(observer, datastore_path)

    @contextmanager
    def _transaction(self) -> Iterator[LocalDatastoreModel]:
        """Hold the folder against all other threads and processes, and give the index as it is on disk."""
        with write_errors(self._begun.parent), self._threads, self._processes:
            self._finish_begun()
            self._init_from_datastore_file()
            try:
                yield self._datastore
            except BaseException:
                self._text = ""  # what is in memory may be half changed: the next one reads the file again
                raise

    def _init_from_datastore_file(self, throw_exception: bool = False) -> None:
        path = Path(self._datastore_config_path)
        with self._threads, self._processes:
            if not path.exists() or (text := path.read_text(encoding="utf-8")) == self._text:
                return
            index = LocalDatastoreModel.model_validate_json(text)
            index.base_path = self._datastore_path
            self._datastore, self._text = index, text

    def _update_datastore_file(self, lock: bool = True) -> None:
        with self._threads, self._processes:
            self._write_index(self._index())
            self._text = Path(self._datastore_config_path).read_text(encoding="utf-8")

    def _index(self) -> dict[str, Any]:
        return self._datastore.model_dump(exclude={"base_path"})

    def _write_index(self, content: dict[str, Any]) -> None:
        with replacing(self._datastore_config_path) as unfinished:
            unfinished.write_text(json.dumps(content, indent=2, default=str), encoding="utf-8")

    def _remove_unfinished(self) -> None:
        """Remove files that a killed process left unfinished; whoever is writing now holds the lock."""
        with self._transaction() as index:
            for folder in (index.base_path, index.image_path(), *Path(index.label_path(None)).iterdir()):
                remove_unfinished(Path(folder))

    def _reconcile_datastore(self) -> None:
        with self._transaction():
            super()._reconcile_datastore()

    def _remove_non_existing(self) -> int:
        images, labels = Path(self._datastore.image_path()), self._datastore.label_path
        kept: dict[str, ImageLabelModel] = {}
        removed = 0
        for name, entry in self._datastore.objects.items():
            if not (images / self._filename(name, entry.image.ext)).exists():
                removed += 1
                continue
            there = {
                tag: label
                for tag, label in entry.labels.items()
                if (Path(labels(tag)) / self._filename(name, label.ext)).exists()
            }
            removed += len(entry.labels) - len(there)
            kept[name] = ImageLabelModel(image=entry.image, labels=there)
        self._datastore.objects = kept  # at once: readers are not locked out
        return removed

    def _list_files(self, path: str, patterns: list[str]) -> dict[str, str]:
        files = super()._list_files(path, patterns)
        return {name: file for name, file in files.items() if not name.startswith(".")}  # those are being written

    def sync(self) -> None:
        """Follow additions to the folder and removals by others, before the file watcher does."""
        self.refresh()

    def _store(self, source: str, target: Path) -> None:
        """Put a file and the changed index in their places: both or neither, whenever the server is killed.

        Once there is a whole copy, the remaining steps are written down; whoever opens the folder next finishes them.
        """
        copy = unfinished_path(target)
        copy.parent.mkdir(parents=True, exist_ok=True)
        try:
            shutil.copy(source, copy)
            places = {"copy": copy, "target": target}
            begun = {name: str(path.relative_to(self._begun.parent)) for name, path in places.items()}
            with replacing(self._begun) as unfinished:
                unfinished.write_text(json.dumps({**begun, "index": self._index()}, default=str), encoding="utf-8")
        except BaseException:
            copy.unlink(missing_ok=True)
            raise
        self._finish_begun()

    def _finish_begun(self) -> None:
        """Do the steps that `_store` wrote down, perhaps in a killed server; the index is read again afterwards."""
        if not self._begun.exists():
            return
        begun = json.loads(self._begun.read_text(encoding="utf-8"))
        copy, target = (self._begun.parent / begun[name] for name in ("copy", "target"))
        if copy.exists():
            copy.replace(target)
        self._write_index(begun["index"])
        self._begun.unlink()
