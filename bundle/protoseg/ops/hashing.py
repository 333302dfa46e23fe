"""Digits that stand for values: equal ones give equal digits in every process."""

from __future__ import annotations

import copyreg
import hashlib
import os
import types
from collections.abc import Mapping
from enum import Enum
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

__all__ = ["fingerprint", "source_state"]


def source_state(path: str | os.PathLike[str]) -> list[tuple[str, int, int]]:
    """List absolute path, size in bytes and time of change in ns of a file, or of every file of a folder.

    Not the bytes themselves: to hash a data set of many gigabytes at every start would cost more than it saves, and a
    file that was replaced has another size or time.
    """
    root = Path(path).resolve()
    files = sorted(file for file in root.rglob("*") if file.is_file()) if root.is_dir() else [root]
    return [state for file in files if (state := _file_state(file))]


def _file_state(file: Path) -> tuple[str, int, int] | None:
    """Tell path, size and time of change of a file; None if it is not there, which may be so from one moment on."""
    try:
        stat = file.stat()
    except (FileNotFoundError, NotADirectoryError):
        return None
    return str(file), stat.st_size, stat.st_mtime_ns


def fingerprint(*parts: Any) -> str:
    """Compute 16 hexadecimal digits that stand for values, arrays, functions, or objects such as transforms.

    Equal parameters give equal digits in every process; the state of random generators does not count. An object that
    changed in use may give other digits: something is then made again, never read stale.
    """
    return hashlib.blake2b(repr(_describe(parts, ())).encode(), digest_size=8).hexdigest()


def _describe(value: Any, parents: tuple[int, ...]) -> Any:
    """Spell out a value in literals, without addresses in memory and in an order that does not vary."""
    if id(value) in parents:
        return "cycle"
    inside = (*parents, id(value))
    match value:
        case None | bool() | int() | float() | str() | bytes():
            return value
        case np.generic():
            return value.item()
        case range() | slice():
            return repr(value)
        case Enum() | Path() | np.dtype() | torch.dtype() | torch.device():
            return str(value)
        case Mapping():
            return sorted(((str(key), _describe(item, inside)) for key, item in value.items()), key=lambda p: p[0])
        case list() | tuple():
            return [_describe(item, inside) for item in value]
        case set() | frozenset():
            return sorted(repr(_describe(item, inside)) for item in value)
        case torch.Tensor() if value.dtype == torch.bfloat16:  # which NumPy does not have
            return ["bfloat16", _describe(value.detach().float(), inside)]
        case np.ndarray() | torch.Tensor():
            array = np.ascontiguousarray(value)
            return [str(array.dtype), array.shape, hashlib.blake2b(array.tobytes()).hexdigest()]
        case partial():
            return _describe([value.func, value.args, value.keywords], inside)
        case types.MethodType():
            return _describe([value.__func__, value.__self__], inside)
        case types.FunctionType():
            code = value.__code__
            closure = [cell.cell_contents for cell in value.__closure__ or ()]
            constants = [item for item in code.co_consts if not isinstance(item, types.CodeType)]
            nested = [item for item in code.co_consts if isinstance(item, types.CodeType)]
            # Only where there is more to tell: the digits of plain functions are stored.
            more = [item for item in (nested, value.__defaults__, value.__kwdefaults__) if item]
            described = _describe([[constants, closure], *more], inside)
            return [value.__qualname__, code.co_code, code.co_names, *described]
        case types.CodeType():
            return [value.co_code, value.co_names, _describe(value.co_consts, inside)]
        case type() | types.BuiltinFunctionType() | types.ModuleType():
            return [getattr(value, "__module__", ""), getattr(value, "__qualname__", value.__name__)]
        case np.random.RandomState() | np.random.Generator():
            return "generator"
    kind = type(value)
    return [kind.__module__, kind.__qualname__, _describe(_state(value), inside)]


def _state(value: Any) -> Any:
    """Give the attributes of an object; of one that has no dictionary of them, what pickling would keep."""
    if type(value) in copyreg.dispatch_table:  # as a regular expression, or a function of NumPy
        return copyreg.dispatch_table[type(value)](value)
    if isinstance(value, torch.Generator):  # whose state does not count
        return {}
    if hasattr(value, "__dict__"):
        return value.__dict__
    try:
        return value.__reduce_ex__(2)
    except TypeError:  # as a lock, which has no parameters
        return {}
