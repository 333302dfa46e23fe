"""A folder of studies that survives concurrent clients, bad uploads and `kill -9`.

Defects of MONAI Label 0.8.5, beside those of `indexed_folder`: an image's, label's or tag's name may lead out of the
folder; whatever is sent is stored, readable or not; a label that is submitted over another one destroys it; and an
unknown image is the path "".
"""

import json
import shutil
import tempfile
import time
from pathlib import Path
from typing import Any

import monailabel.interfaces.app
from monailabel.datastore.local import DataModel, ImageLabelModel
from monailabel.interfaces.datastore import DefaultLabelTag
from monailabel.interfaces.exception import ImageNotFoundException, LabelNotFoundException

from lib.server.indexed_folder import IndexedFolder
from lib.server.label_versions import LabelVersion, LabelVersions
from lib.server.patching import patch_class
from lib.server.series_tags import SeriesPlace
from lib.server.submissions import StaleLabelError, Submission, new_version
from lib.server.uploads import check_image, check_label_map, check_name
from lib.times import utc
from protoseg.errors import InputError
from protoseg.files import unfinished_path
from protoseg.ops.hashing import fingerprint, source_state

__all__ = ["FolderDatastore", "patch_folder_datastore"]

FINAL = DefaultLabelTag.FINAL.value


class FolderDatastore(IndexedFolder):
    """`IndexedFolder` with checked input, which keeps what was a final label before."""

    def __init__(self, datastore_path: str, **options: Any):
        self.versions = LabelVersions(Path(datastore_path) / ".protoseg" / "versions")
        super().__init__(datastore_path, **options)
        with self._transaction():
            self.versions.remove_unfinished()

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
        """Store a copy of an image's label map under a tag; the last one counts, and a final one before it is kept.

        `label_info` may hold what `Submission` tells.

        Raises:
            ImageNotFoundException: there is no such image.
            InputError: the tag cannot be a folder's name, or the label map is unreadable, not on the image's grid,
                or empty and yet final.
            StaleLabelError: see `check_drawn_on`.
        """
        check_name(label_tag, of="tag")
        image = self.get_image_uri(image_id)
        _, suffix = self._to_id(Path(label_filename).name)
        if not self._stores(suffix):
            raise InputError(f"Labels of type {suffix!r} are not stored, expected {', '.join(self._extensions)}.")
        check_label_map(label_filename, image, empty=label_tag != FINAL)
        name = self._filename(image_id, suffix)
        with self._transaction() as index:
            entry = index.objects.get(image_id)
            if entry is None:
                raise ImageNotFoundException(f"The image {image_id!r} was removed in the meantime.")
            folder = Path(index.label_path(label_tag))
            before = entry.labels.get(label_tag)
            submission, info = Submission.of_info(label_info)
            if label_tag == FINAL:
                info |= self._follow(self.check_drawn_on(image_id, label_filename, label_info), submission)
            stamp = {**_stamp(name), "version": submission.version}
            info = {**stamp, **info, "name": name} if submission.moved else {**info, **stamp}
            entry.labels[label_tag] = DataModel(info=info, ext=suffix)
            self._store(label_filename, folder / name)
            if before and before.ext != suffix:
                (folder / self._filename(image_id, before.ext)).unlink(missing_ok=True)
        return image_id

    def series_kind(self, image_id: str) -> str:
        """Tell the kind of an image's series, see `series_kind`; empty, since the files have no DICOM tags."""
        return ""

    def series_place(self, image_id: str) -> SeriesPlace:
        """Tell where an image's series belongs: nowhere, since the files have no DICOM tags."""
        return SeriesPlace("", "", "")

    def label_version(self, image_id: str, version: str = "") -> LabelVersion | None:
        """Give one version of an image's final label, or the one that counts now; None where there is none."""
        with self._transaction() as index:
            label = index.label(image_id, FINAL)
            file = Path(index.label_path(FINAL)) / self._filename(image_id, label.ext if label else "")
            if label and file.is_file():  # one that was put there by hand has no version yet
                own = str(label.info.get("version") or fingerprint("file", source_state(file)))
                if version in ("", own):
                    return LabelVersion(own, image_id, "current", label.ext, label.info, file)
            return self.versions.find(image_id, version)

    def check_drawn_on(
        self, image_id: str, label_filename: str, label_info: dict[str, Any] | None
    ) -> LabelVersion | None:
        """Tell which final label a new one takes the place of; None where there is none.

        Raises:
            StaleLabelError: it is another than the new one was drawn on, by what `label_info` says. The new one is kept
                as a version.
        """
        with self._transaction():
            current, (submission, info) = self.label_version(image_id), Submission.of_info(label_info)
            there = current.version if current else ""
            if submission.drawn_on in (None, there) or submission.force:
                return current
            refused = "" if submission.moved else submission.version
            if refused:
                _, suffix = self._to_id(Path(label_filename).name)
                info = {**info, "ts": int(time.time()), "version": refused, "replaces": submission.drawn_on}
                new = LabelVersion(refused, image_id, "refused", suffix, info, Path(label_filename))
                self.versions.keep(new, "refused")
            raise StaleLabelError(_refusal(image_id, current, refused), current, refused, str(submission.drawn_on))

    def _follow(self, current: LabelVersion | None, submission: Submission) -> dict[str, Any]:
        """Keep the present label as a version; give the info of the one that replaces it."""
        if current and current.version != submission.version:
            self.versions.keep(current, "undone" if submission.moved == "undone" else "replaced")
        return {} if submission.moved else {"replaces": current.version if current else ""}

    def undo_first_label(self, image_id: str, label_info: dict[str, Any]) -> None:
        """Remove a first final label, and keep it as a version.

        Raises:
            LabelNotFoundException: there is none.
            StaleLabelError: see `check_drawn_on`.
        """
        with self._transaction():
            current = self.check_drawn_on(image_id, "", label_info)
            if current:
                self.versions.keep(current, "undone")
            self.remove_label(image_id, FINAL)

    def _stores(self, suffix: str) -> bool:
        return f"*{suffix}" in self._extensions

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
            self.versions.forget(image_id)

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
        """Move a label, with its info, into a new folder, from which `put_label_back` takes it.

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
            check_label_map(copy, self.get_image_uri(image), empty=tag != FINAL)
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
        """Add to what the index says about a label; which version it is, and after which one, stays."""
        with self._transaction():
            own = {key: value for key, value in info.items() if key not in ("version", "replaces")}
            super().update_label_info(label_id, label_tag, own)


def _stamp(name: str) -> dict[str, Any]:
    return {"ts": int(time.time()), "name": name, "version": new_version()}


def _refusal(image_id: str, current: LabelVersion | None, refused: str) -> str:
    kept = f" Yours is kept as the version {refused}: see what changed, then restore it or leave it." if refused else ""
    if current is None:
        return f"The label of {image_id} was removed since yours was drawn.{kept}"
    by, at = current.info.get("user", "unknown"), current.info.get("ts")
    when = f" at {utc(at)}" if isinstance(at, int) else ""
    return f"{image_id} was labelled by {by}{when}, after the label that yours was drawn on.{kept}"


def patch_folder_datastore() -> None:
    """Let apps keep a folder of studies in a `FolderDatastore`."""
    patch_class(
        monailabel.interfaces.app,
        "LocalDatastore",
        FolderDatastore,
        defect="files are written in place, names lead out of the folder, and an unknown image has the path ''",
    )
