"""Write bundle/docs/options.md, every option in one table, from the code: `scripts/docs --options`."""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Callable, Iterator
from dataclasses import MISSING, fields
from importlib import import_module
from pathlib import Path
from typing import Any, NoReturn

import click
import yaml

from protoseg.moved import CONFIG_IDS

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "bundle" / "docs" / "options.md"
CONFIGS = ("inference", "train", "evaluate", "pretrain")  # in this order; an id is listed where it is first met
HEAD = """# Every option

Written by `scripts/docs --options` from the code. *where*: `protoseg X` is an option of the command; a config's name is
an entry of `bundle/configs`, for `--set ID=VALUE` of the commands, `--ID VALUE` of `python -m monai.bundle run`,
`--conf ID VALUE` of the server (those of `inference`) and keywords of `Segmenter.from_pretrained` (likewise); `server`
is for `--conf KEY VALUE` of `protoseg serve` alone. A default that begins with `$` is computed by that Python.

| where | option | meaning | default |
|---|---|---|---|
"""
SERVER_ONLY = {
    "remote_access": ("answer other machines, too; put a proxy with a log-in before it", "false"),
    "host_names": ("by which a proxy or its users call the server, beside localhost and 127.0.0.1", ""),
    "server_mode": ("set by MONAI Label in processes that it starts", ""),
    "upload_limit_mb": ("bound of what a request may send", "2048"),
}
Row = tuple[str, str, str, str]


class _ParserMadeError(Exception):
    """Carries the parser of a sub-command out of its `main`."""


def main() -> None:
    """Write the page."""
    PAGE.write_text(page(), encoding="utf-8")
    print(PAGE)


def page() -> str:
    """Return the page as it should be."""
    rows = [*command_rows(), *config_rows(), *server_rows()]
    return HEAD + "".join(f"| {' | '.join(map(_cell, row))} |\n" for row in rows)


def command_rows() -> Iterator[Row]:
    """List the options of `protoseg` and its sub-commands."""
    from protoseg.cli import protoseg

    for option in protoseg.params:
        yield _click_row("protoseg", option)
    for name, command in sorted(protoseg.commands.items()):
        if command.context_settings.get("ignore_unknown_options"):
            yield from _argparse_rows(f"protoseg {name}", parser_of(name))
        else:
            for option in command.params:
                yield _click_row(f"protoseg {name}", option)


def config_rows() -> Iterator[Row]:
    """List what a user may set in the configs: entries that are values, and components that a comment describes."""
    seen: set[str] = set()
    for config in CONFIGS:
        text = (ROOT / "bundle" / "configs" / f"{config}.yaml").read_text(encoding="utf-8")
        comments = _comments(text)
        for key, value in yaml.safe_load(text).items():
            is_value = not isinstance(value, dict) and not _is_step(value)
            if key not in {*seen, *CONFIG_IDS} and (is_value or key in comments):
                seen.add(key)
                yield config, key, comments.get(key, ""), _default(value)


def server_rows() -> Iterator[Row]:
    """List the options of the MONAI Label app that are no entries of a config."""
    sys.path.insert(0, str(ROOT / "monailabel_app"))
    from lib.options import OVERRIDE_FILES, SERVER_KEYS, Options

    assert set(SERVER_ONLY) == set(SERVER_KEYS), "describe each key of SERVER_KEYS in SERVER_ONLY"
    described = dict(re.findall(r"(?m)^\s+(\w+): (.*)$", str(Options.__doc__).partition("Args:")[2]))
    for key in sorted(fields(Options), key=lambda field: field.name):
        if key.name not in ("files", "overrides"):
            values = key.default if isinstance(key.default, tuple) else (key.default,)
            default = "" if key.default in (MISSING, None) else ",".join(map(str, values))
            yield "server", key.name, described[key.name], default
    for key, names in OVERRIDE_FILES.items():
        yield "server", key, f"override file: a path, or one of {', '.join(names)}", ""
    for key, (meaning, default) in SERVER_ONLY.items():
        yield "server", key, meaning, default


def parser_of(command: str) -> argparse.ArgumentParser:
    """Return the parser that a sub-command makes for itself."""
    return parser_made_by(import_module(f"protoseg.commands.{command.replace('-', '_')}").main)


def parser_made_by(main: Callable[[], object]) -> argparse.ArgumentParser:
    """Return the parser by which a program reads its arguments first; it does nothing else."""

    def stop(parser: argparse.ArgumentParser, *_: Any, **__: Any) -> NoReturn:
        raise _ParserMadeError(parser)

    original = argparse.ArgumentParser.parse_known_args  # the other ways to parse call it
    argparse.ArgumentParser.parse_known_args = stop  # type: ignore[assignment,method-assign]
    try:
        main()
    except _ParserMadeError as made:
        return made.args[0]
    finally:
        argparse.ArgumentParser.parse_known_args = original  # type: ignore[method-assign]
    raise AssertionError(f"{main} reads no arguments")


def _click_row(where: str, option: click.Parameter) -> Row:
    if isinstance(option, click.Argument):
        return (
            where,
            str(option.human_readable_name),
            "argument; may be several" if option.nargs < 0 else "argument",
            "",
        )
    assert isinstance(option, click.Option)
    value = "" if option.is_flag else f" {option.metavar or (option.human_readable_name.upper())}"
    default = "" if option.is_flag or option.multiple or option.default is None else str(option.default)
    return where, ", ".join(option.opts) + value, option.help or "", default if "UNSET" not in default.upper() else ""


def _argparse_rows(where: str, parser: argparse.ArgumentParser) -> Iterator[Row]:
    for action in parser._actions:
        if isinstance(action, argparse._HelpAction):
            continue
        if isinstance(action, argparse._SubParsersAction):
            for name, child in sorted(action.choices.items()):
                yield from _argparse_rows(f"{where} {name}", child)
            continue
        name = ", ".join(action.option_strings) or str(action.metavar or action.dest)
        choices = f" ({', '.join(map(str, action.choices))})" if action.choices else ""
        empty = action.default is None or action.default is False or action.default in (argparse.SUPPRESS, [])
        default = "" if empty else _default(action.default)
        default = "one a processor" if action.dest == "workers" else default
        yield where, name, (action.help or "").replace("%(default)s", default).replace("%%", "%") + choices, default


def _comments(text: str) -> dict[str, str]:
    """Return the comments on a config's entries: behind an entry, or in the lines before it."""
    above = re.findall(r"(?m)((?:^# .*\n)+)^(\w+):", text.partition("imports:")[2])
    behind = re.findall(r"(?m)^(\w+):.*? # (.*)$", text)
    return {key: lines.replace("# ", "") for lines, key in above} | dict(behind)


def _is_step(value: Any) -> bool:
    """Tell whether an entry is a step of a workflow, or computed from other entries, and thus no setting."""
    steps = value if isinstance(value, list) else [value]
    return any(isinstance(step, dict) or (isinstance(step, str) and re.match(r"[%@]|\$(import|@\w+\.)", step))
               for step in steps)  # fmt: skip


def _default(value: Any) -> str:
    if isinstance(value, dict):
        return str(value.get("_target_", "")).rpartition(".")[2]
    if isinstance(value, tuple):
        return " ".join(map(str, value))
    if isinstance(value, str | Path):
        return str(value).replace(f"{ROOT}/", "")
    return yaml.safe_dump(value, default_flow_style=True, width=1000).split("\n")[0]


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|").replace("<", "&lt;")


if __name__ == "__main__":
    main()
