"""Label maps back on the grid of the file that the image came from."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any

from monai.config import KeysCollection
from monai.transforms import Invertd, InvertibleTransform

from protoseg.engine.inferer import FINDINGS

__all__ = ["InvertLabelMapd"]


class InvertLabelMapd(Invertd):
    """MONAI's `Invertd` for label maps, except that a prediction keeps its findings.

    Inverting gives a map the metadata of the image it belongs to; the engine's findings would be lost.

    Args:
        keys: keys of label maps.
        transform: preprocessing to undo.
        orig_keys: key whose transforms are undone, for each label map.
    """

    def __init__(self, keys: KeysCollection, transform: InvertibleTransform, orig_keys: KeysCollection) -> None:
        super().__init__(keys, transform, orig_keys=orig_keys, nearest_interp=True, to_tensor=True)

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Invert the label map of each key."""
        # While it inverts, MONAI sets `allow_missing_keys` on the very transforms that may be reading the next scan in
        # `Prefetch`'s thread (on no copies: traces fit these objects alone). It matters only to a scan without an
        # image, and every scan of a data list has one.
        found = {key: data[key].meta.get(FINDINGS) for key in self.key_iterator(dict(data))}
        inverted = super().__call__(data)
        for key, findings in found.items():
            if findings is not None:
                inverted[key].meta[FINDINGS] = findings
        return inverted
