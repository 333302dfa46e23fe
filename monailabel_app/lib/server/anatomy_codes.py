"""A label's codes and color in the form in which MONAI Label hands them to dcmqi."""

from typing import Any

from protoseg.data.io.anatomy_codes import Code, anatomy_codes, label_color

__all__ = ["segment_color", "segment_type"]


def segment_type(name: str) -> dict[str, Any]:
    """Give dcmqi's code sequences for a label's name: "Left kidney", "kidney_left" -> Kidney, modified by Left."""
    category, structure, side = anatomy_codes(name)
    codes = {
        "SegmentedPropertyCategoryCodeSequence": _code(category),
        "SegmentedPropertyTypeCodeSequence": _code(structure),
    }
    if side is not None:
        codes["SegmentedPropertyTypeModifierCodeSequence"] = _code(side)
    return codes


def segment_color(name: str, value: int) -> list[int]:
    """Give a label's color (0 to 255 RGB), see `label_color`."""
    return list(label_color(name, value))


def _code(code: Code) -> dict[str, str]:
    return {"CodeValue": code.value, "CodingSchemeDesignator": "SCT", "CodeMeaning": code.meaning}
