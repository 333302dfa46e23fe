"""The one way in which MONAI Label is changed at run time: each original must be as it was when its patch was tested.

A release that renames a function, or gives it other parameters, stops the server at its start, with a sentence that
names the defect that would be back. `PATCHES` keeps what was replaced, so that a test can show that the defect is still
there: when it is not, the patch is to go.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

__all__ = ["PATCHES", "Patch", "PatchError", "patch", "patch_class"]


class PatchError(RuntimeError):
    """The original of a patch is no longer as it was when the patch was tested."""


@dataclass(frozen=True)
class Patch:
    """A change of MONAI Label.

    Args:
        target: name of the module or class, and of its attribute.
        original: original attribute.
        defect: defect of the original.
    """

    target: str
    original: Any
    defect: str


PATCHES: dict[str, Patch] = {}  # by target


def patch(owner: Any, name: str, make: Callable[[Any], Callable[..., Any]], *, takes: str, defect: str) -> None:
    """Replace a function by the result of `make` for the original; repeated, it takes the same original again.

    Args:
        owner: module or class.
        name: name of the function in it.
        make: function of the original that gives the replacement.
        takes: names of the original's parameters, in order.
        defect: defect of the original.

    Raises:
        PatchError: there is no such function, or it takes other parameters.
    """
    original = _original(owner, name, defect)
    found = " ".join(inspect.signature(original).parameters) if callable(original) else "no call"
    if found != takes:
        raise _error(owner, name, f"takes ({found}), expected ({takes})", defect)
    replacement = make(original)
    replacement.__wrapped__ = original  # type: ignore[attr-defined]
    _replace(owner, name, replacement, original, defect)


def patch_class(owner: Any, name: str, replacement: type, *, defect: str) -> None:
    """Replace a class by a subclass of it, which overrides existing methods.

    Args:
        owner: module that uses the class.
        name: name of the class in it.
        replacement: subclass that replaces it.
        defect: defect of the original.

    Raises:
        PatchError: there is no such class, or the replacement is no subclass of it.
    """
    original = _original(owner, name, defect)
    if not isinstance(original, type) or not issubclass(replacement, original):
        raise _error(owner, name, f"is {original!r}, which {replacement.__name__} is no subclass of", defect)
    _replace(owner, name, replacement, original, defect)


def _original(owner: Any, name: str, defect: str) -> Any:
    """Give MONAI Label's own, even if an earlier app in this process has replaced it."""
    current = getattr(owner, name, None)
    if current is None:
        raise _error(owner, name, "does not exist", defect)
    if not _is_ours(current):
        return current
    if isinstance(current, type):
        return next(one for one in current.__mro__ if not _is_ours(one))
    return current.__wrapped__


def _is_ours(thing: Any) -> bool:
    return str(getattr(thing, "__module__", "")).partition(".")[0] == __name__.partition(".")[0]


def _replace(owner: Any, name: str, replacement: Any, original: Any, defect: str) -> None:
    setattr(owner, name, replacement)
    PATCHES[_target(owner, name)] = Patch(_target(owner, name), original, defect)


def _target(owner: Any, name: str) -> str:
    module = getattr(owner, "__module__", None)  # of a class
    return f"{module}.{owner.__qualname__}.{name}" if module else f"{owner.__name__}.{name}"


def _error(owner: Any, name: str, found: str, defect: str) -> PatchError:
    return PatchError(
        f"{_target(owner, name)} {found}, in MONAI Label {version('monailabel')} with FastAPI {version('fastapi')}. "
        f"It is patched because of a defect: {defect}. See whether it is still there. If so, mend the patch, "
        "or install a release with which it was tested: pip install 'monailabel>=0.8.5,<0.9'."
    )
