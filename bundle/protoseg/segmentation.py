"""The result for the user: a label map on the image's own voxels, and the findings about each label."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from protoseg.data.io.in_memory import Source, image_source
from protoseg.data.io.label_files import write_labels
from protoseg.data.io.volumes import query_id, read_image
from protoseg.data.prepared_scan import PreparedScan
from protoseg.engine.prediction import LabelFinding, Prediction, describe_label
from protoseg.errors import InputError
from protoseg.files import PathLike, is_there
from protoseg.labels import LabelSet
from protoseg.ops.volume import Volume, volume_ml
from protoseg.workflows.evaluation.label_statistics import LabelStatistics, label_statistics

__all__ = ["Segmentation"]


@dataclass(frozen=True)
class Segmentation:
    """A segmented scan."""

    label_map: NDArray[np.uint8]  # X x Y x Z, in the order of the file's own voxels; 0 is background
    labels: LabelSet  # with their values in the label map
    findings: Mapping[str, LabelFinding]  # by name
    source: Volume  # without voxels: affine and metadata of the image as read
    weights: str = ""  # fingerprint of the network's weights, see `weights_fingerprint`

    @classmethod
    def of(cls, prediction: Prediction, scan: PreparedScan, labels: LabelSet, weights: str = "") -> Segmentation:
        """Resample the engine's prediction for a scan on the scan's own voxels."""
        label_map = scan.grid.label_map(prediction.label_map)
        return cls(label_map, labels, dict(prediction.findings), scan.source, weights)

    @property
    def affine(self) -> NDArray[np.float64]:
        """Voxel index -> RAS+ mm, 4 x 4."""
        return np.asarray(self.source.affine, float)

    def mask(self, name: str) -> NDArray[np.bool_]:
        """Mask the voxels (X, Y, Z) of a label.

        Raises:
            InputError: there is no such label.
        """
        if name not in self.labels:
            raise InputError(f"There is no label '{name}'; there are {', '.join(self.labels)}.")
        mask: NDArray[np.bool_] = self.label_map == self.labels[name]
        return mask

    def volume_ml(self, name: str) -> float:
        """Compute the volume of a label in ml; errors as of `mask`."""
        return volume_ml(torch.from_numpy(self.mask(name)), torch.as_tensor(self.affine))

    def report(self) -> dict[str, dict[str, Any]]:
        """Tell what is known about each label, as `<query>_seg.json` of an inference run has it.

        A label that was not clicked on in a session, and that no support has, is left out.
        """
        return {
            name: describe_label(self.findings[name], value, self.volume_ml(name))
            for name, value in self.labels.items()
            if name in self.findings
        }

    def statistics(self, image: Source) -> dict[str, LabelStatistics]:
        """Measure each label: size, place, shape, and the intensities of the image within it.

        Args:
            image: image that was segmented, as `Segmenter.segment` takes it.

        Raises:
            InputError: the image cannot be read, has another size, or lies elsewhere.
        """
        scan = read_image(image_source(image, "the image"))
        if scan.shape[1:] == self.label_map.shape and not np.allclose(scan.affine, self.affine, atol=1e-3):
            raise InputError("The image lies elsewhere than the one that was segmented. Give that one.")
        return label_statistics(scan, self.label_map, self.labels)

    def save(self, path: PathLike) -> Path:
        """Write the labels in the format of the file's name.

        A NIfTI (.nii.gz, .nii) carries both forms, codes and units of the image's file. NRRD (.nrrd), MetaImage (.mha)
        and, of a picture, PNG (.png) hold the label map. Of a DICOM series there are DICOM SEG (.seg.dcm) and contours
        as DICOM RTSTRUCT (.rtstruct.dcm), with the names, SNOMED codes and colors of the labels that have a voxel.

        Returns:
            Path of the file.

        Raises:
            InputError: the name has another ending, it is the image's own file, the file cannot be written, or DICOM is
                asked for and the image is no DICOM series or nothing was found in it.
        """
        image = Path(self.source.meta["filename_or_obj"])
        if is_there(image) and is_there(Path(path)) and image.samefile(path):
            raise InputError(f"{path} is the image itself. Choose another name for its labels.")
        write_labels(Path(path), self.label_map, self.source, labels=self.labels, weights=self.weights)
        return Path(path)

    def __str__(self) -> str:
        lines = [f"{query_id(str(self.source.meta['filename_or_obj']))}:"]
        for name, entry in self.report().items():
            estimate = entry["estimated_dice"]
            told = "" if estimate is None else f", estimated Dice {estimate:.2f}"
            warning = f" ({entry['warning']})" if entry["warning"] else ""
            lines.append(f"  {name}: {entry['volume_ml']:.1f} ml{told}{warning}")
        return "\n".join(lines)
