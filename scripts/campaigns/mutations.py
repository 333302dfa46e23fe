"""Damage to files, all of it decided by a random generator: the same seed damages in the same way."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from copy import deepcopy
from typing import Any

import numpy as np

__all__ = ["mutate_bytes", "mutate_gzip", "mutate_json", "mutate_safetensors", "mutate_values"]

HEADER = 400  # bytes at the beginning, which are damaged more often: there formats say what follows
EXTREMES = (0, 1, 127, 128, 255)  # bytes of which headers' numbers become huge, negative, infinite or none
NUMBERS: tuple[Any, ...] = (0, -1, 1.5, 10**400, 2**63, float("nan"), float("inf"), 1e-320, True)
VALUES: tuple[Any, ...] = (*NUMBERS, None, "", "x", "../../x", "\0", "a" * 5000, [], {}, [[]], {"": ""}, [1, "a"])

Random = np.random.Generator


def mutate_bytes(content: bytes, random: Random) -> bytes:
    """Cut a file's content, flip bits of it, or write over, leave out or repeat a part of it; one to three times."""
    for _ in range(int(random.choice((1, 1, 1, 2, 3)))):
        content = _MUTATIONS[int(random.integers(len(_MUTATIONS)))](content, random)
    return content


def mutate_gzip(content: bytes, random: Random) -> bytes:
    """Damage what a gzip file holds, most times; the file itself otherwise."""
    if random.random() < 0.3:
        return mutate_bytes(content, random)
    return gzip.compress(mutate_bytes(gzip.decompress(content), random), 1, mtime=0)


def mutate_json(content: bytes, random: Random) -> bytes:
    """Replace, drop or rename an entry anywhere in JSON, most times; damage the text otherwise."""
    return mutate_bytes(content, random) if random.random() < 0.2 else mutate_values(content, random)


def mutate_values(content: bytes, random: Random) -> bytes:
    """Replace, drop or rename an entry, which may be in others, of a JSON object or list; it remains one."""
    document = json.loads(content)
    for _ in range(int(random.integers(1, 3))):
        _mutate_tree(document, random)
    return json.dumps(document).encode()


def mutate_safetensors(content: bytes, random: Random) -> bytes:
    """Change what a safetensors file says of its tensors, or an entry of its JSON metadata; or damage the file."""
    if random.random() < 0.3:
        return mutate_bytes(content, random)
    end = 8 + int.from_bytes(content[:8], "little")
    header = json.loads(content[8:end])
    details = header.get("__metadata__", {})
    if random.random() < 0.7 and details:
        name = list(details)[int(random.integers(len(details)))]
        try:
            details[name] = mutate_values(b"[" + details[name].encode() + b"]", random).decode()[1:-1]
        except ValueError:  # no JSON, such as a fingerprint
            details[name] = "x"
    else:
        _mutate_tree(header, random)
    text = json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + content[end:]


def _place(content: bytes, random: Random) -> int:
    end = min(HEADER, len(content)) if random.random() < 0.6 else len(content)
    return int(random.integers(max(end, 1)))


def _cut(content: bytes, random: Random) -> bytes:
    return content[: _place(content, random)]


def _flip(content: bytes, random: Random) -> bytes:
    changed = bytearray(content)
    for _ in range(int(random.integers(1, 9)) if changed else 0):
        changed[_place(content, random)] ^= 1 << int(random.integers(8))
    return bytes(changed)


def _overwrite(content: bytes, random: Random) -> bytes:
    start, length = _place(content, random), int(random.choice((1, 2, 4, 8, 64)))
    if random.random() < 0.5:
        new = random.integers(0, 256, length, np.uint8).tobytes()
    else:
        new = bytes(random.choice(EXTREMES, length).astype(np.uint8))
    return content[:start] + new[: max(len(content) - start, 0)] + content[start + length :]


def _leave_out(content: bytes, random: Random) -> bytes:
    start = _place(content, random)
    return content[:start] + content[start + int(random.integers(1, 64)) :]


def _repeat(content: bytes, random: Random) -> bytes:
    start, length = _place(content, random), int(random.integers(1, 64))
    return content[: start + length] + content[start:]


_MUTATIONS: tuple[Callable[[bytes, Random], bytes], ...] = (
    _cut,
    _flip,
    _flip,
    _overwrite,
    _overwrite,
    _leave_out,
    _repeat,
)


def _mutate_tree(tree: Any, random: Random) -> None:
    """Change one entry of nested lists and mappings in place."""
    while True:
        keys = list(tree) if isinstance(tree, dict) else list(range(len(tree)))
        if not keys:
            return
        key = keys[int(random.integers(len(keys)))]
        if not isinstance(tree[key], list | dict) or not tree[key] or random.random() < 0.15:
            break
        tree = tree[key]
    kind = random.random()
    if kind < 0.15:
        del tree[key]
    elif kind < 0.25 and isinstance(tree, dict):
        tree[str(VALUES[int(random.integers(len(VALUES)))])] = tree.pop(key)
    elif kind < 0.35 and isinstance(tree, list):
        tree.append(deepcopy(tree[key]))
    else:
        tree[key] = deepcopy(VALUES[int(random.integers(len(VALUES)))])
