"""The bundle's configs without MONAI, whose import alone takes longer than segmenting a small scan.

The configs are written in MONAI's language: `_target_`, `@reference`, `$expression`, overlays. This reads the part of
it that inference needs, and makes the same objects as MONAI's `ConfigParser`, except that MONAI's dictionary transforms
of the preprocessing become the steps that they hold. Anything else is `NotPlain`, and left to MONAI.
"""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from importlib import import_module
from pathlib import Path
from pydoc import ErrorDuringImport, locate
from types import CodeType
from typing import Any

import yaml

from protoseg.errors import InputError, config_errors

__all__ = ["NotPlain", "PlainConfig"]

REFERENCE = re.compile(r"@(\w+(?:::\w+)*)")
NO_ARGUMENTS = {"_target_", "_mode_", "_disabled_", "_requires_", "_desc_"}
MODULES = {"monai": "monai", "torch": "torch", "np": "numpy", "numpy": "numpy"}  # known to MONAI without an import
TRANSFORMS = "protoseg.data.preprocessing"
# What the configs name -> what does the same without MONAI.
STEPS = {
    f"{TRANSFORMS}.{monai}": f"{TRANSFORMS}.steps.{step}"
    for monai, step in {
        "scan_preprocessing.scan_preprocessing": "scan_preprocessing",
        "transforms.Preprocessing": "Steps",
        "transforms.LoadVolumed": "LoadVolume",
        "transforms.LoadLabelsd": "LoadLabels",
        "planes.OrientSlicesd": "OrientSlices",
        "intensity.CropBodyd": "CropBody",
        "square_pixels.SquarePixelsd": "SquarePixels",
        "intensity.NormalizeByModalityd": "NormalizeIntensity",
    }.items()
}
PREPROCESSING = f"{TRANSFORMS}.transforms.Preprocessing"


class NotPlain(Exception):  # noqa: N818, it is no error
    """A config has something that is left to MONAI."""


class PlainConfig:
    """Entries of a config and their objects, each made once, when it is first asked for.

    Args:
        content: entries by name.
        made: objects of some entries that are made already.
    """

    def __init__(self, content: dict[str, Any], made: Mapping[str, Any] | None = None) -> None:
        self.content = content
        self._made = dict(made or {})

    @classmethod
    def read(cls, files: Iterable[Path], overrides: Mapping[str, Any] | None = None) -> PlainConfig:
        """Read YAML or JSON files, each laid over those before, and set entries by their ids, such as "a#b".

        Raises:
            InputError: a file cannot be read, is no mapping, or sets an entry of one that does not exist.
        """
        config = cls({})
        for file in files:
            for name, value in _read(file).items():
                try:
                    config._lay(str(name), value)
                except (LookupError, TypeError, ValueError) as error:
                    raise InputError(f"{file}: there is no entry {name!r} to set. Correct its name.") from error
        for name, value in (overrides or {}).items():
            config[name] = value
        return config

    def __getitem__(self, name: str) -> Any:
        """Give the content of an entry; raises KeyError if there is none."""
        value: Any = self.content
        for key in _parts(name):
            try:
                value = value[int(key) if isinstance(value, list) else key]
            except (KeyError, IndexError, TypeError, ValueError):
                raise KeyError(name) from None
        return value

    def __setitem__(self, name: str, value: Any) -> None:
        *parents, last = _parts(name)
        parent: Any = self["#".join(parents)] if parents else self.content
        parent[int(last) if isinstance(parent, list) else last] = value

    def __contains__(self, name: object) -> bool:
        try:
            self[str(name)]
        except KeyError:
            return False
        return True

    def get_parsed_content(self, name: str) -> Any:
        """Make the object of an entry.

        Raises:
            InputError: the object cannot be made.
            KeyError: there is no such entry.
            NotPlain: MONAI is needed to read it.
        """
        name = "::".join(_parts(name))
        if name not in self._made:
            value = self[name]
            with config_errors(name):
                self._made[name] = self._make(value, name)
        return self._made[name]

    def arguments(self, name: str) -> dict[str, Any]:
        """Make the arguments of an entry that has a `_target_`, not its object; errors as of `get_parsed_content`."""
        return self._children({key: value for key, value in self[name].items() if key not in NO_ARGUMENTS}, name)

    def _lay(self, name: str, value: Any) -> None:
        """Lay an entry of a file over the present one; "+name" adds to a list or mapping."""
        there = self[name[1:]] if name.startswith("+") and name[1:] in self else None
        if isinstance(there, dict) and isinstance(value, dict):
            there.update(value)
        elif isinstance(there, list) and isinstance(value, list):
            there.extend(value)
        else:
            self[name.removeprefix("+")] = value

    def _make(self, value: Any, name: str) -> Any:
        if isinstance(value, dict):
            return self._component(value, name) if "_target_" in value else self._children(value, name)
        if isinstance(value, list):
            return list(self._children(dict(enumerate(value)), name).values())
        if not isinstance(value, str):
            return value
        text = value.replace("#", "::")
        if value.startswith("%") or "@::" in text:
            raise NotPlain(f"{name}: {value}")  # macros and relative references
        if value.startswith("$"):
            return self._evaluate(text[1:])
        reference = REFERENCE.fullmatch(text)
        return self.get_parsed_content(reference[1]) if reference else value

    def _children(self, values: Mapping[Any, Any], name: str) -> dict[Any, Any]:
        made = {}
        for key, value in values.items():
            child = self.get_parsed_content(f"{name}::{key}")
            if child is None and isinstance(value, dict) and "_target_" in value:
                continue  # disabled
            made[key] = child
        return made

    def _component(self, value: dict[str, Any], name: str) -> Any:
        disabled = self._make(value.get("_disabled_", False), f"{name}::_disabled_")
        if str(disabled).strip().lower() == "true":
            return None
        mode = value.get("_mode_", "default")
        if mode not in ("default", "callable") or "_requires_" in value:
            raise NotPlain(f"{name}: {mode}")
        target = value["_target_"]
        if target == PREPROCESSING:
            _check_steps(self[f"{name}::transforms"], name)
        made = self._make(target, f"{name}::_target_")
        component = _located(made) if isinstance(made, str) else made
        arguments = self.arguments(name)
        if mode == "callable":
            return partial(component, **arguments) if arguments else component
        return component(**arguments)

    def _evaluate(self, expression: str) -> Any:
        source = REFERENCE.sub(lambda found: f"_made({found[1]!r})", expression)
        code = compile(source.strip(), "<config>", "eval")
        names = _names(code)
        modules = {**MODULES, **_imports(self.content.get("imports", []))}
        found = {name: import_module(module) for name, module in modules.items() if name in names}
        return eval(code, {**found, "_made": self.get_parsed_content})


_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def _read(file: Path) -> dict[Any, Any]:
    try:
        text = file.read_text(encoding="utf-8")
        content = json.loads(text) if file.suffix == ".json" else yaml.load(text, _LOADER)
    except (OSError, ValueError, RecursionError, yaml.YAMLError) as error:
        reason = " ".join(str(error).split())
        raise InputError(f"{file} cannot be read as YAML or JSON: {reason}. Correct it.") from error
    if content is not None and not isinstance(content, dict):
        raise InputError(f"{file} holds {str(content)[:80]!r}, expected entries like modality: CT. Correct it.")
    return content or {}


def _parts(name: str) -> list[str]:
    return str(name).replace("::", "#").split("#")


def _check_steps(transforms: Sequence[Any], name: str) -> None:
    """Leave a preprocessing to MONAI if one of its transforms has no step."""
    for transform in transforms:
        if not isinstance(transform, dict) or transform.get("_target_") not in STEPS:
            raise NotPlain(f"{name}: {transform}")


def _located(target: str) -> Callable[..., Any]:
    try:
        found = locate(STEPS.get(target, target)) if "." in target else None
    except ErrorDuringImport as error:  # raised by an import of the module
        raise error.value or error from None
    if not callable(found):
        raise NotPlain(target)  # a short name of MONAI's, or a wrong one, which MONAI reports
    return found


def _names(code: CodeType) -> set[str]:
    """List the names that an expression uses, also in its lambdas and comprehensions."""
    inside = [_names(part) for part in code.co_consts if isinstance(part, CodeType)]
    return set(code.co_names).union(*inside)


def _imports(statements: Iterable[str]) -> dict[str, str]:
    """Map names to modules in statements such as "$import torch"."""
    modules = {}
    for statement in statements:
        for node in ast.parse(statement.removeprefix("$")).body:
            if not isinstance(node, ast.Import):
                raise NotPlain(statement)
            modules.update({alias.asname or alias.name: alias.name for alias in node.names})
    return modules
