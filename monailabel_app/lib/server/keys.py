"""Keys by which programs say who they are: from a file or the environment, and never shown again."""

from __future__ import annotations

import hashlib
import hmac
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from protoseg.errors import InputError

__all__ = ["ANNOTATE", "ENVIRONMENT", "MANAGE", "ApiKey", "find_key", "read_keys"]

ENVIRONMENT = "PROTOSEG_API_KEYS"
ANNOTATE, MANAGE = "annotate", "manage"
LINE = re.compile(rf"(?P<name>[\w.@-]{{1,48}})\s+(?P<role>{ANNOTATE}|{MANAGE})\s+(?P<key>[!-~]{{32,256}})")


@dataclass(frozen=True)
class ApiKey:
    """A program that may come in.

    Args:
        name: name of the program.
        role: "annotate" or "manage".
        digest: digest of its key, which itself is not kept.
    """

    name: str
    role: str
    digest: bytes = field(repr=False)


def read_keys(file: str, environment: Mapping[str, str] = os.environ) -> tuple[ApiKey, ...]:
    """Read keys: lines of NAME ROLE KEY, and comments after #; in the environment, `;` may separate them.

    Args:
        file: path of the file of keys; empty for none.
        environment: environment variables, of which `PROTOSEG_API_KEYS` may hold more.

    Raises:
        InputError: the file cannot be read, a line is none, or a name or key is there twice. No key is repeated in it.
    """
    keys = list(_parsed(environment.get(ENVIRONMENT, "").replace(";", "\n"), ENVIRONMENT))
    if file:
        try:
            keys += _parsed(Path(file).read_text(encoding="utf-8"), file)
        except (OSError, UnicodeError) as error:
            raise InputError(f"--conf api_keys is {file!r}, which cannot be read: {type(error).__name__}.") from error
    for what in ("name", "digest"):
        if len({getattr(key, what) for key in keys}) < len(keys):
            raise InputError(f"Two API keys have the same {'name' if what == 'name' else 'key'}. Give each its own.")
    return tuple(keys)


def _parsed(text: str, source: str) -> list[ApiKey]:
    keys = []
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        found = LINE.fullmatch(line.strip())
        if not found:
            raise InputError(
                f"Line {number} of {source} is no API key; expected NAME ROLE KEY, {ANNOTATE} or {MANAGE} for a role, "
                "and the key at least 32 characters, such as `openssl rand -hex 32` writes."
            )
        keys.append(ApiKey(found["name"], found["role"], _digest(found["key"])))
    return keys


def find_key(keys: tuple[ApiKey, ...], sent: str) -> ApiKey | None:
    """Find the key that was sent, or None. All are compared, each in a time that does not depend on the characters."""
    digest = _digest(sent)
    same = [hmac.compare_digest(key.digest, digest) for key in keys]
    return keys[same.index(True)] if any(same) else None


def _digest(key: str) -> bytes:
    return hashlib.sha256(key.encode("utf-8", "surrogatepass")).digest()
