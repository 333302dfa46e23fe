"""A folder of studies that survives concurrent clients, bad uploads and `kill -9`.

Defects of MONAI Label 0.8.5: images, labels and the index are written in place, so that a killed server leaves halves;
two writers (threads, or the processes that train and score) overwrite each other's index from memory; while the index
is reconciled it is empty for a moment, and requests in that moment find no image; an image's, label's or tag's name
may lead out of the folder; whatever is sent is stored, readable or not; and an unknown image is the path "".
"""

import json
import shutil
import tempfile
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import RLock
from typing import Any

import monailabel.interfaces.app
from filelock import FileLock
from monailabel.datastore.local import DataModel, ImageLabelModel, LocalDatastore, LocalDatastoreModel
from monailabel.interfaces.datastore import DefaultLabelTag
from monailabel.interfaces.exception import ImageNotFoundException, LabelNotFoundException

from lib.server.patching import patch_class
from lib.server.uploads import check_image, check_label_map, check_name
from protoseg.errors import InputError
from protoseg.files import remove_unfinished, replacing, unfinished_path, write_errors

__all__ = ["FolderDatastore", "patch_folder_datastore"]


class FolderDatastore(LocalDatastore):
    """`LocalDatastore` with checked input, whole files and an index that is changed in transactions."""

    _datastore: LocalDatastoreModel

    def __init__(self, datastore_path: str, **options: Any):
        Path(datastore_path).mkdir(parents=True, exist_ok=True)
        self._threads = RLock()
        self._processes = FileLock(Path(datastore_path) / ".lock", thread_local=False)
        self._begun = Path(datastore_path) / ".begun.json"
        with write_errors(Path(datastore_path)):
            super().__init__(datastore_path, **options)
        self._remove_unfinished()

    @contextmanager
    def _transaction(self) -> Iterator[LocalDatastoreModel]:
        """Hold the folder against all other threads and processes, and give the index as it is on disk."""
        with self._threads, self._processes, write_errors(self._begun.parent):
            self._finish_begun()
            self._init_from_datastore_file()
            try:
                yield self._datastore
            except BaseException:
                self._config_ts = 0  # what is in memory may be half changed: the next one reads the file again
                raise

    def _init_from_datastore_file(self, throw_exception: bool = False) -> None:
        path = Path(self._datastore_config_path)
        with self._threads, self._processes:
            if not path.exists() or path.stat().st_mtime_ns == self._config_ts:
                return
            index = LocalDatastoreModel.model_validate_json(path.read_text(encoding="utf-8"))
            index.base_path = self._datastore_path
            self._datastore, self._config_ts = index, path.stat().st_mtime_ns

    def _update_datastore_file(self, lock: bool = True) -> None:
        with self._threads, self._processes:
            self._write_index(self._index())
            self._config_ts = Path(self._datastore_config_path).stat().st_mtime_ns

    def _index(self) -> dict[str, Any]:
        return self._datastore.model_dump(exclude={"base_path"})

    def _write_index(self, content: dict[str, Any]) -> None:
        with replacing(self._datastore_config_path) as unfinished:
            unfinished.write_text(json.dumps(content, indent=2, default=str), encoding="utf-8")

    def _remove_unfinished(self) -> None:
        """Remove what a killed process was writing; whoever is writing now holds the lock."""
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
        """Take in what others have put into the folder, or removed, before the file watcher does."""
        self.refresh()

    def get_image_uri(self, image_id: str) -> str:
        """Return the image's path; `ImageNotFoundException` if there is none."""
        path = super().get_image_uri(image_id)
        if not path:
            raise ImageNotFoundException(f"There is no image {image_id!r} in {self.name()}.")
        return path

    def add_image(self, image_id: str, image_filename: str, image_info: dict[str, Any]) -> str:
        """Store a copy of an image under its name; `InputError` if the name is unfit or the image unreadable."""
        own_name, suffix = self._to_id(Path(image_filename).name)
        image_id = image_id or own_name
        check_name(image_id, of="image")
        if not self._stores(suffix):
            raise InputError(f"Images of type {suffix!r} are not stored, expected {', '.join(self._extensions)}.")
        check_image(image_filename)
        name = self._filename(image_id, suffix)
        with self._transaction() as index:
            known = index.objects.get(image_id)
            if known and known.image.ext != suffix:
                raise InputError(
                    f"There is an image {image_id!r} of type {known.image.ext}. Give this one another name."
                )
            image = DataModel(info={**(image_info or {}), **_stamp(name)}, ext=suffix)
            index.objects[image_id] = ImageLabelModel(image=image, labels=known.labels if known else {})
            self._store(image_filename, Path(index.image_path()) / name)
        return image_id

    def save_label(self, image_id: str, label_filename: str, label_tag: str, label_info: dict[str, Any]) -> str:
        """Store a copy of an image's label map under a tag; the last one counts.

        Raises:
            ImageNotFoundException: there is no such image.
            InputError: the tag cannot be a folder's name, or the label map is unreadable, not on the image's grid,
                or empty and yet final.
        """
        check_name(label_tag, of="tag")
        image = self.get_image_uri(image_id)
        _, suffix = self._to_id(Path(label_filename).name)
        if not self._stores(suffix):
            raise InputError(f"Labels of type {suffix!r} are not stored, expected {', '.join(self._extensions)}.")
        check_label_map(label_filename, image, empty=label_tag != DefaultLabelTag.FINAL)
        name = self._filename(image_id, suffix)
        with self._transaction() as index:
            entry = index.objects.get(image_id)
            if entry is None:
                raise ImageNotFoundException(f"The image {image_id!r} was removed in the meantime.")
            folder = Path(index.label_path(label_tag))
            before = entry.labels.get(label_tag)
            entry.labels[label_tag] = DataModel(info={**(label_info or {}), **_stamp(name)}, ext=suffix)
            self._store(label_filename, folder / name)
            if before and before.ext != suffix:
                (folder / self._filename(image_id, before.ext)).unlink(missing_ok=True)
        return image_id

    def _stores(self, suffix: str) -> bool:
        return f"*{suffix}" in self._extensions

    def _store(self, source: str, target: Path) -> None:
        """Put a file and the changed index in their places: both or neither, whenever the server is killed.

        Once there is a whole copy, what is left to do is written down; whoever opens the folder next finishes it.
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
        """Do what `_store` wrote down, or what a killed server left of it; the index is read again afterwards."""
        if not self._begun.exists():
            return
        begun = json.loads(self._begun.read_text(encoding="utf-8"))
        copy, target = (self._begun.parent / begun[name] for name in ("copy", "target"))
        if copy.exists():
            copy.replace(target)
        self._write_index(begun["index"])
        self._begun.unlink()

    def remove_image(self, image_id: str) -> None:
        """Remove an image and its labels; `ImageNotFoundException` if there is none."""
        with self._transaction() as index:
            entry = index.objects.get(image_id)
            if entry is None:
                raise ImageNotFoundException(f"There is no image {image_id!r} in {self.name()}.")
            for tag in tuple(entry.labels):
                self.remove_label(image_id, tag)
            (Path(index.image_path()) / self._filename(image_id, entry.image.ext)).unlink(missing_ok=True)
            del index.objects[image_id]
            self._update_datastore_file()

    def remove_label(self, label_id: str, label_tag: str) -> None:
        """Remove a label; `LabelNotFoundException` if there is none."""
        with self._transaction() as index:
            label = index.label(label_id, label_tag)
            if label is None:
                raise LabelNotFoundException(f"The image {label_id!r} has no label tagged {label_tag!r}.")
            (Path(index.label_path(label_tag)) / self._filename(label_id, label.ext)).unlink(missing_ok=True)
            del index.objects[label_id].labels[label_tag]
            self._update_datastore_file()

    def set_label_aside(self, label_id: str, label_tag: str, folder: Path) -> None:
        """Move a label, with what is known about it, into a new folder, from which `put_label_back` takes it.

        Raises:
            LabelNotFoundException: there is none.
        """
        with self._transaction() as index:
            label = index.label(label_id, label_tag)
            if label is None:
                raise LabelNotFoundException(f"The image {label_id!r} has no label tagged {label_tag!r}.")
            unfinished = unfinished_path(folder)
            unfinished.mkdir(parents=True)
            shutil.copy(Path(index.label_path(label_tag)) / self._filename(label_id, label.ext), unfinished / "label")
            about = {"image": label_id, "tag": label_tag, "ext": label.ext, "info": label.info}
            (unfinished / "label.json").write_text(json.dumps(about, indent=2, default=str), encoding="utf-8")
            unfinished.replace(folder)
            self.remove_label(label_id, label_tag)

    def put_label_back(self, folder: Path) -> None:
        """Store a label that was set aside, as it was, and remove the folder.

        Raises:
            ImageNotFoundException: its image is gone.
            LabelNotFoundException: it was put back before.
            InputError: there is a newer label; or the image is another one, see `check_label_map`.
        """
        with self._transaction() as index, tempfile.TemporaryDirectory() as scratch:
            if not folder.is_dir():
                raise LabelNotFoundException("The label is no longer kept: it was put back before.")
            about = json.loads((folder / "label.json").read_text(encoding="utf-8"))
            image, tag, name = about["image"], about["tag"], self._filename(about["image"], about["ext"])
            copy = str(Path(scratch) / f"label{about['ext']}")
            shutil.copy(folder / "label", copy)
            check_label_map(copy, self.get_image_uri(image), empty=tag != DefaultLabelTag.FINAL)
            if index.label(image, tag) is not None:
                raise InputError(f"{image} was labelled again in the meantime. Delete that label first.")
            index.objects[image].labels[tag] = DataModel(info=about["info"], ext=about["ext"])
            self._store(copy, Path(index.label_path(tag)) / name)
            shutil.rmtree(folder, ignore_errors=True)

    def update_image_info(self, image_id: str, info: dict[str, Any]) -> None:
        """Add to what the index says about an image."""
        with self._transaction():
            super().update_image_info(image_id, info)

    def update_label_info(self, label_id: str, label_tag: str, info: dict[str, Any]) -> None:
        """Add to what the index says about a label."""
        with self._transaction():
            super().update_label_info(label_id, label_tag, info)


def _stamp(name: str) -> dict[str, Any]:
    return {"ts": int(time.time()), "name": name, "version": uuid.uuid4().hex[:16]}


def patch_folder_datastore() -> None:
    """Let apps keep a folder of studies in a `FolderDatastore`."""
    patch_class(
        monailabel.interfaces.app,
        "LocalDatastore",
        FolderDatastore,
        defect="files are written in place, names lead out of the folder, and an unknown image has the path ''",
    )
