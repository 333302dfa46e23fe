"""Codes and colors of structures by the names that people give them."""

import pytest

from protoseg.data.io.anatomy_codes import STRUCTURES, anatomy_codes, label_color


@pytest.mark.parametrize(
    ("name", "codes"),
    [
        ("Left kidney", ("123037004", "64033007", "7771000")),
        ("kidney_right", ("123037004", "64033007", "24028007")),
        ("LIVER", ("123037004", "10200004", None)),
        ("left-right lung", ("123037004", "39607008", None)),
        ("lesion 1", ("85756007", "85756007", None)),
        ("", ("85756007", "85756007", None)),
    ],
)
def test_codes(name: str, codes: tuple[str, str, str | None]) -> None:
    category, structure, side = anatomy_codes(name)
    assert (category.value, structure.value, side.value if side else None) == codes


def test_colors() -> None:
    assert label_color("spleen", 1) == label_color("Spleen", 2) == (157, 108, 162)
    assert label_color("left kidney", 3) == label_color("kidney", 4)
    others = [label_color("lesion", value) for value in range(1, 21)]
    assert len(set(others)) == 20
    assert all(0 <= part <= 255 for color in others for part in color)


def test_a_code_has_one_meaning_and_one_color() -> None:
    rows = {(row.value, row.meaning, row.color) for row in STRUCTURES.values()}
    assert len({value for value, _, _ in rows}) == len({(value, meaning) for value, meaning, _ in rows})
    assert len(rows) == len({value for value, _, _ in rows})
