"""Labels: their names, their values in label maps, and their positions in masks."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from protoseg.errors import InputError

__all__ = ["LARGEST_VALUE", "LabelSet", "is_legend", "whole_number"]

LARGEST_VALUE = 255  # results are stored in 8 bits


class LabelSet(Mapping[str, int]):
    """Labels in a fixed order.

    A label has a name, which users say; a value from 1 to 255, which label maps hold; and a position among the labels,
    from 1, which masks hold. 0 is the background in both. As a mapping it goes from names to values, and equals every
    mapping with the same items.

    Args:
        values: value of each label by its name.

    Raises:
        InputError: a value is not an integer from 1 to 255, or belongs to two labels.
    """

    __slots__ = ("_names", "_positions", "_values")

    def __init__(self, values: Mapping[str, int] | None = None) -> None:
        self._values = dict(values or {})
        self._names = tuple(self._values)
        self._positions = {name: position for position, name in enumerate(self._names, start=1)}
        for name, value in self._values.items():
            if not isinstance(name, str) or type(value) is not int or not 1 <= value <= LARGEST_VALUE:
                raise InputError(
                    f"The label {name!r} has the value {value!r}, expected an integer from 1 to {LARGEST_VALUE}. "
                    "Renumber the labels."
                )
        if len(set(self._values.values())) < len(self._values):
            raise InputError(f"Two of the labels {self} have one value. Give each label a value of its own.")

    @classmethod
    def parse(cls, names: Any, source: str) -> LabelSet:
        """Read `{name: value}` or `{value: name}`, as JSON holds them; background (0) is left out.

        Args:
            names: names and values as they were read.
            source: source of the names, for messages.

        Raises:
            InputError: the names are no such mapping or hold the background alone, a value is not an integer in 0..255
                or is a region of several (nnU-Net), or two labels share a name or a value.
        """
        if not isinstance(names, Mapping) or not names:
            raise InputError(f'{source}: found {names!r}, expected a mapping like {{"liver": 1, "spleen": 2}}.')
        pairs = [(name, value) for value, name in names.items()] if is_legend(names) else names.items()
        values: dict[str, int] = {}
        for name, value in pairs:
            number = _checked_value(name, value, source)
            if number == 0:
                continue
            if name in values or number in values.values():
                raise InputError(
                    f"{source}: another label has the name {name!r} or the value {number} too. "
                    "Give each label a name and a value of its own."
                )
            values[name] = number
        if not values:
            raise InputError(f"{source}: found {names!r}, expected a label besides the background, whose value is 0.")
        return cls(values)

    def __getitem__(self, name: str) -> int:
        return self._values[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def __hash__(self) -> int:
        return hash(frozenset(self._values.items()))

    def __repr__(self) -> str:
        return f"LabelSet({self._values})"

    def __str__(self) -> str:
        return str(self._values)

    def position(self, name: str) -> int:
        """Give the position of a label, from 1."""
        return self._positions[name]

    def name_at(self, position: int) -> str:
        """Give the name of the label at a position, from 1."""
        return self._names[position - 1]

    def legend(self) -> dict[str, str]:
        """Give value -> name, as a `dataset.json` has it."""
        return {str(value): name for name, value in self._values.items()}

    def only(self, names: Collection[str]) -> LabelSet:
        """Keep the labels of some names, in their order; unknown names are ignored."""
        return LabelSet({name: value for name, value in self._values.items() if name in names})

    def without(self, name: str) -> LabelSet:
        """Leave a label out."""
        return self.only(self._values.keys() - {name})

    def with_values(self, values: Mapping[str, int]) -> LabelSet:
        """Give the same labels with other values, by name."""
        return LabelSet({name: values[name] for name in self._values})

    def with_names(self, names: Iterable[str]) -> LabelSet:
        """Add labels, each with the lowest value that is free.

        Raises:
            InputError: no value is left.
        """
        values = dict(self._values)
        for name in names:
            if name not in values:
                values[name] = _free_value(values.values())
        return LabelSet(values)

    def beside(self, others: LabelSet) -> LabelSet:
        """Change values so that both agree: a common name takes its value among the others, and no value is used twice.

        A label keeps its own value where it can, and gets the lowest free one where that is taken.

        Raises:
            InputError: no value is left.
        """
        taken = set(others.values())
        values = {name: others.get(name, value) for name, value in self.items() if name in others or value not in taken}
        for name in self:
            if name not in values:
                values[name] = _free_value(taken | set(values.values()))
        return self.with_values(values)

    def merge(self, other: LabelSet) -> LabelSet:
        """Append the labels of another set.

        Raises:
            InputError: a name stands for two values, or a value for two names.
        """
        merged = {**self._values, **other}
        if any(merged[name] != value for name, value in self.items()) or len(set(merged.values())) < len(merged):
            raise InputError(f"Supports disagree about label values: {self} and {other}; rename one.")
        return LabelSet(merged)

    def positions_in(self, others: LabelSet, *, only: Collection[str] | None = None) -> NDArray[np.uint8]:
        """Map each position, the background's first, to the position of the same label among others.

        Args:
            others: labels to look up; labels missing among them become background.
            only: names of labels to keep; by default all, the others become background.

        Returns:
            Table (1 + labels,), to be indexed by masks of these positions.
        """
        kept = (name in others and (only is None or name in only) for name in self._values)
        found = [others.position(name) if keep else 0 for name, keep in zip(self._values, kept)]
        return np.array([0, *found], np.uint8)

    def to_positions(self, label_map: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Turn a label map of values into one of positions; values without a label become background."""
        table = np.zeros(1 + LARGEST_VALUE, np.uint8)
        table[list(self._values.values())] = range(1, 1 + len(self))
        return table[label_map]

    def to_values(self, positions: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Turn a label map of positions into one of values."""
        label_map = positions.copy()
        for name, value in self._values.items():
            if value != self.position(name):
                np.copyto(label_map, np.uint8(value), where=positions == self.position(name))
        return label_map


def is_legend(names: Mapping[Any, Any]) -> bool:
    """Tell whether a mapping goes from values to names, as `{"1": "liver"}`, rather than from names to values."""
    return all(whole_number(key) is not None for key in names)


def whole_number(value: Any) -> int | None:
    """Read a label's value as JSON, text or NumPy holds it: 1, 1.0, "1" or "1.0"; None for anything else."""
    if isinstance(value, bool) or not isinstance(value, int | float | str | np.number):
        return None
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return None
    return int(number) if number.is_integer() else None


def _checked_value(name: Any, value: Any, source: str) -> int:
    """Check the value of a label as it was read, 0 for the background."""
    if isinstance(value, list | tuple):
        raise InputError(
            f"{source}: {name!r} is a region, the labels {value}, expected one value. Labels cannot overlap: "
            "leave the region out, or merge its labels in the label maps."
        )
    number = whole_number(value)
    if not isinstance(name, str) or number is None or not 0 <= number <= LARGEST_VALUE:
        raise InputError(
            f"{source}: found the name {name!r} with the value {value!r}, expected text and an integer "
            f"from 0 to {LARGEST_VALUE}. Correct it."
        )
    return number


def _free_value(taken: Iterable[int]) -> int:
    values = set(taken)
    for value in range(1, 1 + LARGEST_VALUE):
        if value not in values:
            return value
    raise InputError(f"There are {LARGEST_VALUE} labels already, and no more are possible. Use names that are there.")
