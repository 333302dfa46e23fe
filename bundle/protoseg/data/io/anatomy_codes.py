"""Codes and colors of anatomical structures, found by the name that a user gave a label.

Codes are SNOMED CT's (designator SCT), as in DICOM CID 7166 and TotalSegmentator's mapping of its structures; colors
are those of 3D Slicer's table of generic anatomy.
"""

from __future__ import annotations

import re
from typing import NamedTuple

import matplotlib

__all__ = ["AnatomyCodes", "Code", "anatomy_codes", "label_color"]

Color = tuple[int, int, int]  # RGB, 0 to 255


class Code(NamedTuple):
    """An entry of SNOMED CT."""

    value: str
    meaning: str


class AnatomyCodes(NamedTuple):
    """Codes of a structure, as a DICOM segment has them."""

    category: Code
    type: Code
    side: Code | None  # left or right, where the name says so


class Structure(NamedTuple):
    """A row of the table."""

    value: str
    meaning: str
    color: Color


ANATOMICAL_STRUCTURE = Code("123037004", "Anatomical Structure")
TISSUE = Code("85756007", "Tissue")  # category and type of a structure that the table does not name
SIDES = {"left": Code("7771000", "Left"), "right": Code("24028007", "Right")}
STRUCTURES = {
    "adrenal gland": Structure("23451007", "Adrenal gland", (249, 186, 150)),
    "aorta": Structure("15825003", "Aorta", (224, 97, 76)),
    "bladder": Structure("89837001", "Urinary bladder", (222, 154, 132)),
    "bowel": Structure("113276009", "Intestine", (205, 167, 142)),
    "brain": Structure("12738006", "Brain", (250, 250, 225)),
    "clavicle": Structure("51299004", "Clavicle", (205, 179, 108)),
    "colon": Structure("71854001", "Colon", (204, 168, 143)),
    "duodenum": Structure("38848004", "Duodenum", (255, 253, 229)),
    "esophagus": Structure("32849002", "Esophagus", (211, 171, 143)),
    "oesophagus": Structure("32849002", "Esophagus", (211, 171, 143)),
    "femur": Structure("71341001", "Femur", (241, 214, 145)),
    "gallbladder": Structure("28231008", "Gallbladder", (139, 150, 98)),
    "heart": Structure("80891009", "Heart", (206, 110, 84)),
    "hip": Structure("29836001", "Hip", (241, 214, 145)),
    "humerus": Structure("85050009", "Humerus", (241, 214, 145)),
    "iliopsoas": Structure("68455001", "Iliopsoas muscle", (192, 104, 88)),
    "inferior vena cava": Structure("64131007", "Inferior vena cava", (0, 151, 206)),
    "intestine": Structure("113276009", "Intestine", (205, 167, 142)),
    "kidney": Structure("64033007", "Kidney", (185, 102, 83)),
    "kidneys": Structure("64033007", "Kidney", (185, 102, 83)),
    "liver": Structure("10200004", "Liver", (221, 130, 101)),
    "lung": Structure("39607008", "Lung", (197, 165, 145)),
    "lungs": Structure("39607008", "Lung", (197, 165, 145)),
    "myocardium": Structure("74281007", "Myocardium", (206, 110, 84)),
    "pancreas": Structure("15776009", "Pancreas", (249, 180, 111)),
    "prostate": Structure("41216001", "Prostate", (230, 158, 140)),
    "pulmonary artery": Structure("81040000", "Pulmonary artery", (216, 101, 79)),
    "sacrum": Structure("54735007", "Sacrum", (241, 214, 145)),
    "scapula": Structure("79601000", "Scapula", (241, 214, 145)),
    "skeletal muscle": Structure("127954009", "Skeletal muscle", (192, 104, 88)),
    "skull": Structure("89546000", "Skull", (241, 213, 144)),
    "small bowel": Structure("30315005", "Small Intestine", (205, 167, 142)),
    "spinal cord": Structure("2748008", "Spinal cord", (244, 214, 49)),
    "spleen": Structure("78961009", "Spleen", (157, 108, 162)),
    "sternum": Structure("56873002", "Sternum", (244, 217, 154)),
    "stomach": Structure("69695003", "Stomach", (216, 132, 105)),
    "superior vena cava": Structure("48345005", "Superior vena cava", (0, 151, 206)),
    "thyroid gland": Structure("69748006", "Thyroid gland", (62, 162, 114)),
    "trachea": Structure("44567001", "Trachea", (182, 228, 255)),
    "urinary bladder": Structure("89837001", "Urinary bladder", (222, 154, 132)),
}
STRUCTURES_OF_WORDS = {frozenset(name.split()): structure for name, structure in STRUCTURES.items()}


def anatomy_codes(name: str) -> AnatomyCodes:
    """Find the codes of a label: "Left kidney" and "kidney_left" are Kidney, modified by Left."""
    structure = _structure(name)
    if structure is None:
        return AnatomyCodes(TISSUE, TISSUE, None)
    sides = _words(name).intersection(SIDES)
    side = SIDES[next(iter(sides))] if len(sides) == 1 else None
    return AnatomyCodes(ANATOMICAL_STRUCTURE, Code(structure.value, structure.meaning), side)


def label_color(name: str, value: int) -> Color:
    """Give a label's color: the usual one of an anatomical structure, or else one for its value."""
    structure = _structure(name)
    if structure is not None:
        return structure.color
    red, green, blue, _ = matplotlib.colormaps["tab20"](value % 20, bytes=True)
    return int(red), int(green), int(blue)


def _structure(name: str) -> Structure | None:
    return STRUCTURES_OF_WORDS.get(_words(name).difference(SIDES))


def _words(name: str) -> frozenset[str]:
    return frozenset(re.findall(r"[a-z]+", name.lower()))
