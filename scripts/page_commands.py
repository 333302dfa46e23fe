"""Commands that a page shows: lines of its blocks, as a shell would read them, and mentions in its sentences."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

FENCED = r'^```(\w*)(?: title="([^"\n]+)")?\n(.*?)^```$'
INDENTED = r"(?:\A|(?<=\n\n))( {4}\S[^\n]*\n(?: {4,}\S[^\n]*\n)*)"
BLOCK = re.compile(f"(?ms){FENCED}|{INDENTED}")
CODE = re.compile(r"`([^`\n]+(?:\n[^`\n]+)*)`")  # of one paragraph
SHELLS = ("", "sh", "bash")  # languages of blocks that hold commands
COMMENT = re.compile(r"(?:^|\s)#.*")  # shlex would take the sign within a word for one, too
VARIABLE = re.compile(r"[A-Z_]+=\S*")
NEXT = {"&&", "||", "|", ";"}


class Shown(NamedTuple):
    """A command in a page."""

    words: tuple[str, ...]  # without variables of the environment before it
    whole: bool  # a line of a block, to be run as it stands; a mention may leave out what it is not about


class Block(NamedTuple):
    """A block of a page."""

    language: str  # none for commands
    title: str  # file that a reader is to make of it, if any
    text: str


def shown_commands(page: Path) -> Iterator[Shown]:
    """List the commands of a page, or of the comment at the head of another file: first those of its blocks.

    Raises:
        ValueError: a quotation is not closed.
    """
    for block in page_blocks(page):
        for line in command_lines(block):
            for words in _split(shlex.split(COMMENT.sub("", line))):
                yield Shown(words, whole=True)
    for code in CODE.finditer(BLOCK.sub("", _text(page))):
        try:
            words = shlex.split(code[1].replace("\n", " "))
        except ValueError:  # an apostrophe: no command
            continue
        for part in _split(words):
            yield Shown(part, whole=False)


def page_blocks(page: Path) -> list[Block]:
    """List the blocks of a page in their order."""
    return [Block(found[1] or "", found[2] or "", found[3] or found[4]) for found in BLOCK.finditer(_text(page))]


def command_lines(block: Block) -> list[str]:
    """List the lines of a block as a shell takes them; none if it holds something else than commands."""
    return block.text.replace("\\\n", "").splitlines() if block.language in SHELLS else []


def _text(page: Path) -> str:
    """Read a page; of another file the comment at its head, whose indented lines are blocks."""
    text = page.read_text(encoding="utf-8")
    if page.suffix == ".md":
        return text
    head = re.match(r"(?:#.*\n)*", text)
    assert head is not None
    return re.sub(r"(?m)^ {2,}(?=\S)", "    ", re.sub(r"(?m)^# ?", "", head[0]))


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
