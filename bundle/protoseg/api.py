"""The entry point from Python: label one scan, get the rest.

Example::

    from protoseg import Segmenter

    segmenter = Segmenter.from_pretrained()
    segmenter.add_support("anna.nii.gz", "anna_labels.nii.gz")
    found = segmenter.segment("bert.nii.gz")
    print(found)
    found.save("bert_labels.nii.gz")
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from protoseg.data.io.in_memory import Source, image_source, label_source, source_name
from protoseg.data.io.volumes import query_id
from protoseg.data.prepared_scan import PreparedScan, prepare_scan
from protoseg.data.support.loading import load_support, preprocessing_key, read_support, save_support
from protoseg.engine.agreement import Agreement, doubts_by_label, leave_one_out
from protoseg.engine.feature_cache import FeatureCache
from protoseg.engine.one_shot import segment
from protoseg.engine.support import SliceSelection, SupportSet
from protoseg.errors import InputError
from protoseg.files import PathLike, literal_path
from protoseg.labels import LabelSet
from protoseg.segmentation import Segmentation
from protoseg.session import Session
from protoseg.workflows.engine_parts import EngineParts, open_engine

__all__ = ["Segmentation", "Segmenter", "Session"]

MEBIBYTE = 2**20


class Segmenter:
    """Segments scans by what is labelled in others. Not safe between threads.

    Images and labels are paths (a NIfTI, NRRD or MetaImage volume, a folder with a DICOM series, a picture; labels also
    as DICOM SEG, RTSTRUCT or a folder of masks) or objects of nibabel, SimpleITK, Pillow or MONAI.

    Args:
        parts: network, preprocessing, and settings of the segmentation.
        feature_cache_mb: bound in MB of the features kept in memory; a scan that was seen before is not encoded again.
    """

    def __init__(self, parts: EngineParts, *, feature_cache_mb: int = 1024) -> None:
        if feature_cache_mb < 0:
            raise InputError(f"feature_cache_mb is {feature_cache_mb}; expected 0 or more.")
        self.parts = parts
        self.encoder = parts.encoder(FeatureCache(feature_cache_mb * MEBIBYTE))
        self.support: SupportSet | None = None
        self._checked: tuple[SupportSet, dict[str, dict[str, Agreement]]] | None = None

    @classmethod
    def from_pretrained(
        cls,
        weights: PathLike | None = None,
        *,
        configs: Sequence[str] = (),
        feature_cache_mb: int = 1024,
        progress: bool = False,
        **options: Any,
    ) -> Segmenter:
        """Make a segmenter with the weights that ship, or with others.

        Args:
            weights: checkpoint of the whole network; by default the one that ships.
            configs: file or files to lay over the inference config, by path or by name in the bundle, such as
                "refiners/guided.yaml".
            feature_cache_mb: bound in MB of the features kept in memory.
            progress: True to show a progress bar over the slices.
            **options: options of the inference config, such as device="cuda", encoder="dinov2_vits14", modality="mr",
                plane="sagittal" or support_selection="all".

        Raises:
            InputError: an option does not exist, or the weights cannot be read or do not fit.
        """
        misplaced = {"support_image", "support_label", "support_slices", "label_names", "query", "output_dir", "resume"}
        if misplaced & options.keys():
            raise InputError(
                f"{', '.join(sorted(misplaced & options.keys()))} is for the command line; here labelled scans, the "
                "names of labels and slices are given to add_support, and images to segment."
            )
        configs = [configs] if isinstance(configs, str) else configs
        chosen = options if weights is None else {**options, "weights": literal_path(weights)}
        parts = open_engine(("inference.yaml", *configs), chosen, progress=progress)
        return cls(parts, feature_cache_mb=feature_cache_mb)

    @property
    def labels(self) -> LabelSet:
        """Labels that are searched for: name -> value in the label maps."""
        return self.support.labels if self.support else LabelSet()

    def add_support(
        self,
        image: Source,
        labels: Source,
        *,
        names: Mapping[str, int] | Sequence[str] | None = None,
        slices: SliceSelection | int | Sequence[int] = "largest",
        name: str | None = None,
    ) -> Segmenter:
        """Add a labelled scan to the support; what was drawn of its labels on it before is replaced.

        Where `slices` are indices, it is replaced on these slices alone.

        A label of a new name whose value is taken gets the lowest free one: see `labels`.

        Args:
            image: scan, as a path or an object.
            labels: label map, on the image's grid or on one that can be resampled to it.
            names: labels to use: {"liver": 6}, or ["liver"] where the labels came with names; by default all.
            slices: slices that serve: "largest", for every label the one where it is largest; "thirds"; "all"; or
                indices, counted from the feet.
            name: name of the scan in reports and messages; by default its path.

        Returns:
            This segmenter.

        Raises:
            InputError: image or labels cannot be read, or do not fit together.
        """
        name = name or source_name(image, f"support {1 + self._scans()}")
        taken = self.support
        new = load_support(
            image_source(image, name),
            label_source(labels, f"labels of {name}"),
            transform=self.parts.preprocessing,
            image_size=self.encoder.image_size,
            label_names=names,
            slices=slices,
            adjacent_slices=self.encoder.adjacent_slices,
            magnification=self.parts.magnification,
            slice_axes=taken.slice_axes if taken else None,
        )
        if taken:
            new = replace(new, labels=new.labels.beside(taken.labels))
            kept = taken.without_drawings(name, new.labels) if isinstance(slices, str) else taken
            new = kept.merge(new) if kept else new
        self.support = new
        return self

    def save_support(self, path: PathLike) -> None:
        """Write the whole support into one file, which `load_support` reads.

        Raises:
            InputError: there is nothing to write.
        """
        save_support(Path(path), self._served())

    def load_support(self, path: PathLike) -> Segmenter:
        """Replace the support by one that `save_support` wrote; returns this segmenter.

        Raises:
            InputError: the file is missing, damaged, or is meant for another encoder, or was made by another
                preprocessing.
        """
        support, encoder = read_support(Path(path)), self.encoder
        try:
            support.check_encoder(encoder.fingerprint())
            support.check_preprocessing(
                preprocessing_key(self.parts.preprocessing, encoder.image_size, encoder.adjacent_slices)
            )
        except InputError as error:
            raise InputError(f"{path}: {error}") from error
        self.support = support
        return self

    def check_support(self) -> dict[str, dict[str, Agreement]]:
        """Segment the slices of each labelled scan by those of the others, which tells of labels that conflict.

        `segment` and a session warn of them in their findings. Which label is right is for people to tell; until then
        all serve.

        Returns:
            By scan and label: the Dice with what the others find, what is usual, and a doubt where it is much lower.
            Nothing of a label that no other scan has.

        Raises:
            InputError: nothing is labelled yet.
        """
        support = self._served()
        if self._checked is None or self._checked[0] is not support:
            self._checked = support, leave_one_out(support, self.encoder)
        return self._checked[1]

    def segment(self, image: Source, *, name: str | None = None) -> Segmentation:
        """Segment a scan or picture.

        Args:
            image: scan or picture, as a path or an object.
            name: name of the image in messages; by default its path.

        Raises:
            InputError: the image cannot be read, or there is no support yet.
        """
        support = self._served()
        scan = self._prepare(image, name)
        prediction = segment(
            scan.image,
            support,
            self.encoder,
            self.parts.settings,
            refiner=self.parts.refiner,
            adaptation=self.parts.adaptation,
        )
        prediction = prediction.with_doubts(self._doubts())
        return Segmentation.of(prediction, scan, support.labels, self.encoder.fingerprint())

    def session(self, image: Source, *, labels: Sequence[str] = (), name: str | None = None) -> Session:
        """Begin to click on a scan; the labels of the support are found in it, too.

        Args:
            image: scan to click on, as a path or an object.
            labels: names that may be clicked on, or one, beside those of the support.
            name: name of the image in messages; by default its path.

        Raises:
            InputError: the image cannot be read, or there are no labels.
        """
        scan = self._prepare(image, name)
        return Session(self.parts, scan, self.encoder, support=self.support, labels=labels, doubts=self._doubts())

    def _prepare(self, image: Source, name: str | None) -> PreparedScan:
        axes = self.support.slice_axes if self.support else None
        source = image_source(image, name or source_name(image, "the image"))
        return prepare_scan(source, self.parts.preprocessing, axes)

    def _doubts(self) -> dict[str, list[str]]:
        return doubts_by_label(self.check_support()) if self.support else {}

    def _served(self) -> SupportSet:
        if self.support is None:
            raise InputError("Nothing is labelled yet: add a labelled scan by add_support(image, labels).")
        return self.support

    def _scans(self) -> int:
        return len({origin.scan for origin in self.support.origins}) if self.support else 0

    def __repr__(self) -> str:
        scans = sorted({query_id(origin.scan) for origin in self.support.origins}) if self.support else []
        return f"Segmenter of {', '.join(self.labels) or 'nothing yet'}, labelled in {', '.join(scans) or 'no scan'}"
