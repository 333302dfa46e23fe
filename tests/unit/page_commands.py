"""Commands that a page shows: lines of its blocks, as a shell would read them, and mentions in its sentences."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

BLOCK = re.compile(r"(?ms)^```(\w*)\n(.*?)^```$")
INDENTED = re.compile(r"(?:\A|(?<=\n\n)) {4}\S.*\n(?: {4,}\S.*\n)*")
CODE = re.compile(r"`([^`\n]+(?:\n[^`\n]+)*)`")  # of one paragraph
SHELLS = ("", "sh", "bash")  # languages of blocks that hold commands
COMMENT = re.compile(r"(?:^|\s)#.*")  # shlex would take the sign within a word for one, too
VARIABLE = re.compile(r"[A-Z_]+=\S*")
NEXT = {"&&", "||", "|", ";"}


class Shown(NamedTuple):
    """A command in a page."""

    words: tuple[str, ...]  # without variables of the environment before it
    whole: bool  # a line of a block, to be run as it stands; a mention may leave out what it is not about


def shown_commands(page: Path) -> Iterator[Shown]:
    """List the commands of a page, or of the comment at the head of another file.

    Raises:
        ValueError: a quotation is not closed.
    """
    text = page.read_text(encoding="utf-8")
    if page.suffix != ".md":
        text = re.sub(r"(?m)^# ?", "", re.match(r"(?:#.*\n)*", text)[0])  # type: ignore[index]
        text = re.sub(r"(?m)^ {2,}(?=\S)", "    ", text)
    blocks = [found[2] for found in BLOCK.finditer(text) if found[1] in SHELLS]
    text = BLOCK.sub("", text)
    blocks += INDENTED.findall(text)
    for line in "".join(blocks).replace("\\\n", "").splitlines():
        for words in _split(shlex.split(COMMENT.sub("", line))):
            yield Shown(words, whole=True)
    for code in CODE.finditer(INDENTED.sub("", text)):
        try:
            words = shlex.split(code[1].replace("\n", " "))
        except ValueError:  # an apostrophe: no command
            continue
        for part in _split(words):
            yield Shown(part, whole=False)


def python_blocks(page: Path) -> list[str]:
    """List the blocks of Python in a page."""
    return [found[2] for found in BLOCK.finditer(page.read_text(encoding="utf-8")) if found[1] == "python"]


def _split(words: list[str]) -> Iterator[tuple[str, ...]]:
    """Give the commands of a line one by one."""
    command: list[str] = []
    for word in [*words, ";"]:
        if word in NEXT:
            if command:
                yield tuple(command)
            command = []
        elif command or not VARIABLE.fullmatch(word):
            command.append(word)
