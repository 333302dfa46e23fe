"""Run the commands of pages as they stand there, one after the other, in a fresh clone of the last commit.

Programs of protoseg and blocks of Python are run, and a block with a title is written to the file of that name. Left
out, and told, are what installs, what serves until it is stopped, what needs other machines or hours (as the first
line of its block says), and what holds words in capitals, which stand for files of the reader.
"""

from __future__ import annotations

import argparse
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from page_commands import COMMENT, Block, command_lines, page_blocks

ROOT = Path(__file__).resolve().parents[1]
OURS = re.compile(
    r"(cd \S+ && )?([A-Z_]+=\S+ )*(\./)?(protoseg (?!serve)|python -m|torchrun|scripts/(demo|benchmark|campaign))"
)
YOURS = re.compile(r"(?<![\w-])[A-Z]{3,}(_[A-Z]+)*(?![\w=-])|10\.0\.0\.1")  # a word in capitals, or another machine
LONG = re.compile(r"# hours")  # the first line of a block
Command = tuple[str, tuple[str, ...]]  # what is told of it, and its words; none if it is left out


def main(argv: Sequence[str]) -> int:
    """Read the arguments, run, print how each command ended; gives the exit status, 1 if one failed."""
    parser = argparse.ArgumentParser(
        prog="scripts/docs --run", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("pages", type=Path, nargs="+", metavar="PAGE", help="Markdown")
    parser.add_argument("--limit", type=float, default=600, metavar="SECONDS", help="then a command is ended, and told")
    parser.add_argument("--clone", type=Path, metavar="FOLDER", help="where to clone to; a temporary one if left out")
    arguments = parser.parse_args(argv)
    with tempfile.TemporaryDirectory() as folder:
        clone = (arguments.clone or Path(folder) / "clone").absolute()
        if not clone.exists():
            subprocess.run(["git", "clone", "--quiet", ROOT, clone], check=True)
        failed = [page for page in arguments.pages if not run_page(page, clone, arguments.limit)]
    print("failed: " + ", ".join(map(str, failed)) if failed else "all ran")
    return int(bool(failed))


def run_page(page: Path, folder: Path, limit: float) -> bool:
    """Run the commands of a page in a folder, until one fails; give whether none did."""
    print(f"== {page}", flush=True)
    for title, text in ((block.title, block.text) for block in page_blocks(page) if block.title):
        (folder / title).write_text(text, encoding="utf-8")
    for command, words in page_commands(page_blocks(page)):
        begun = time.monotonic()
        status, told = run(words, folder, limit) if words else ("left out", "")
        print(f"{status:9} {time.monotonic() - begun:5.0f} s  {command}", flush=True)
        if status == "failed":
            print(told[-4000:], flush=True)
            return False
    return True


def page_commands(blocks: Sequence[Block]) -> Iterator[Command]:
    """Give the lines for the shell in their order, and then the Python of all blocks as one program."""
    for block in blocks:
        to_run = LONG.match(block.text) is None
        for line in command_lines(block):
            command = COMMENT.sub("", line).strip()
            to_run = to_run and YOURS.search(command) is None  # what follows goes on with what this would have made
            if command:
                yield command, ("bash", "-euo", "pipefail", "-c", command) if to_run and OURS.match(command) else ()
    if python := "".join(block.text for block in blocks if block.language == "python"):
        yield "python blocks", (sys.executable, "-c", python) if python.startswith("from protoseg") else ()


def run(words: Sequence[str], folder: Path, limit: float) -> tuple[str, str]:
    """Run a command; give how it ended, and what it said."""
    environment = os.environ | {"PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])}
    with subprocess.Popen(
        words,
        cwd=folder,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        start_new_session=True,
    ) as process:
        try:
            told, _ = process.communicate(timeout=limit)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)  # with what it started
            told, _ = process.communicate()
            return "ended", told
    return "failed" if process.returncode else "ran", told


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
