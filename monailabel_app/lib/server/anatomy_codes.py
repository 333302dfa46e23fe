"""What DICOM calls an anatomical structure, and how it is coloured, from the name that a user gave it.

Codes are SNOMED CT's (designator SCT), as in DICOM CID 7166 and TotalSegmentator's mapping of its structures.
"""

import re
from typing import Any

import matplotlib
from monailabel.datastore.utils.colors import GENERIC_ANATOMY_COLORS

__all__ = ["segment_colour", "segment_type"]

ANATOMICAL_STRUCTURE = ("123037004", "Anatomical Structure")
TISSUE = ("85756007", "Tissue")  # category and type of a structure that the table does not name
SIDES = {"left": ("7771000", "Left"), "right": ("24028007", "Right")}
TYPES = {
    "adrenal gland": ("23451007", "Adrenal gland"),
    "aorta": ("15825003", "Aorta"),
    "bladder": ("89837001", "Urinary bladder"),
    "bowel": ("113276009", "Intestine"),
    "brain": ("12738006", "Brain"),
    "clavicle": ("51299004", "Clavicle"),
    "colon": ("71854001", "Colon"),
    "duodenum": ("38848004", "Duodenum"),
    "esophagus": ("32849002", "Esophagus"),
    "oesophagus": ("32849002", "Esophagus"),
    "femur": ("71341001", "Femur"),
    "gallbladder": ("28231008", "Gallbladder"),
    "heart": ("80891009", "Heart"),
    "hip": ("29836001", "Hip"),
    "humerus": ("85050009", "Humerus"),
    "iliopsoas": ("68455001", "Iliopsoas muscle"),
    "inferior vena cava": ("64131007", "Inferior vena cava"),
    "intestine": ("113276009", "Intestine"),
    "kidney": ("64033007", "Kidney"),
    "kidneys": ("64033007", "Kidney"),
    "liver": ("10200004", "Liver"),
    "lung": ("39607008", "Lung"),
    "lungs": ("39607008", "Lung"),
    "myocardium": ("74281007", "Myocardium"),
    "pancreas": ("15776009", "Pancreas"),
    "prostate": ("41216001", "Prostate"),
    "pulmonary artery": ("81040000", "Pulmonary artery"),
    "sacrum": ("54735007", "Sacrum"),
    "scapula": ("79601000", "Scapula"),
    "skeletal muscle": ("127954009", "Skeletal muscle"),
    "skull": ("89546000", "Skull"),
    "small bowel": ("30315005", "Small Intestine"),
    "spinal cord": ("2748008", "Spinal cord"),
    "spleen": ("78961009", "Spleen"),
    "sternum": ("56873002", "Sternum"),
    "stomach": ("69695003", "Stomach"),
    "superior vena cava": ("48345005", "Superior vena cava"),
    "thyroid gland": ("69748006", "Thyroid gland"),
    "trachea": ("44567001", "Trachea"),
    "urinary bladder": ("89837001", "Urinary bladder"),
}
TYPES_OF_WORDS = {frozenset(name.split()): code for name, code in TYPES.items()}


def segment_type(name: str) -> dict[str, Any]:
    """Give dcmqi's code sequences for a label's name: "Left kidney", "kidney_left" -> Kidney, modified by Left."""
    words = _words(name)
    code = TYPES_OF_WORDS.get(words.difference(SIDES))
    if code is None:
        return {
            "SegmentedPropertyCategoryCodeSequence": _code(*TISSUE),
            "SegmentedPropertyTypeCodeSequence": _code(*TISSUE),
        }
    codes = {
        "SegmentedPropertyCategoryCodeSequence": _code(*ANATOMICAL_STRUCTURE),
        "SegmentedPropertyTypeCodeSequence": _code(*code),
    }
    side = words.intersection(SIDES)
    if len(side) == 1:
        codes["SegmentedPropertyTypeModifierCodeSequence"] = _code(*SIDES[next(iter(side))])
    return codes


def segment_colour(name: str, value: int) -> list[int]:
    """Give a label's colour (0 to 255 RGB): the usual one of an anatomical name, or else one for its value."""
    usual = {frozenset(known.split()): colour for known, colour in GENERIC_ANATOMY_COLORS.items()}
    other = matplotlib.colormaps["tab20"](value % 20, bytes=True)[:3]
    return [int(c) for c in usual.get(_words(name), other)]


def _words(name: str) -> frozenset[str]:
    return frozenset(re.findall(r"[a-z]+", name.lower()))


def _code(value: str, meaning: str) -> dict[str, str]:
    return {"CodeValue": value, "CodingSchemeDesignator": "SCT", "CodeMeaning": meaning}
