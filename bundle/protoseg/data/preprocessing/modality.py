"""Tells CT, MR and pictures apart."""

from __future__ import annotations

from typing import Literal, get_args

from protoseg.data.preprocessing.padding import lowest_value
from protoseg.errors import InputError
from protoseg.ops.volume import Volume

__all__ = ["Modality", "ModalityChoice", "modality_of"]

Modality = Literal["ct", "mr", "picture"]
ModalityChoice = Literal["auto", "ct", "mr", "picture"]

TAGS: dict[str, Modality] = {"CT": "ct", "MR": "mr"}  # DICOM (0008,0060)
AIR_BELOW = -500.0  # HU; only CT, which has air near -1000, goes so low


def modality_of(image: Volume, choice: ModalityChoice = "auto") -> Modality:
    """Tell the modality of an image as it was read; any choice but "auto" is returned.

    A picture is known by `meta["kind"]`, and CT and MR by the modality of a DICOM series, `meta["modality"]`. Otherwise
    CT is known by air: a voxel below -500 HU that is no padding. All else is MR.

    Raises:
        InputError: the choice is not a modality.
    """
    if choice not in get_args(ModalityChoice):
        raise InputError(f"modality: found {choice!r}, expected {', '.join(get_args(ModalityChoice))}.")
    if choice != "auto":
        return choice
    if image.meta.get("kind") == "picture":
        return "picture"
    said = TAGS.get(str(image.meta.get("modality", "")).upper())
    if said is not None:
        return said
    return "ct" if image.min() < AIR_BELOW and lowest_value(image.as_tensor()) < AIR_BELOW else "mr"
