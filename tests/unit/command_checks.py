"""Checks of a command against the parsers that will read it; nothing is run."""

from __future__ import annotations

import argparse
import ast
import re
import tomllib
from collections.abc import Callable, Iterator, Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

import click
from command_sources import (
    CONFIGS,
    MONAILABEL,
    ROOT,
    WrongError,
    entries,
    import_script,
    options_of_all,
    own_parser,
    parser_of,
    routes,
)
from page_commands import Shown

from protoseg.cli import protoseg
from protoseg.errors import InputError
from protoseg.moved import CONFIG_IDS

JOBS = {  # of the commands that take --set and --config
    "segment": ("inference.yaml",),
    "click": ("inference.yaml",),
    "evaluate": ("train.yaml", "evaluate.yaml"),
    "train": ("train.yaml",),
    "adapt": ("train.yaml", "adapt.yaml"),
}
FOREIGN = {"cd", "docker", "hf", "htpasswd", "/usr/bin/time", "python3", "source", "ssh"}  # nothing of ours to check
MONAI = {"config_file", "logging_file", "meta_file", "args_file", "tracking"}  # options of `monai.bundle run` itself
FREE = {"--id", "--ID", "--nthreads"}  # any entry of a config, and an option of Dask
Words = Sequence[str]


def check(shown: Shown) -> None:
    """Check a command of a page as far as it is of this project.

    Raises:
        WrongError: a program, file, option, entry of a config or address does not exist, or what is needed is missing.
    """
    first, *words = shown.words
    program = re.sub(r"^(\./|\.venv/bin/)", "", first)
    name = next((name for name in CHECKS if program == name or (name[-1] == "/" and program.startswith(name))), None)
    if name is not None:
        CHECKS[name](program, words, shown.whole)
    elif first.startswith("--") and not shown.whole:
        check_loose_options(shown.words)
    elif extras := re.fullmatch(r"protoseg\[([\w,]+)\]", program):
        check_extras(extras[1])
    elif shown.whole and program not in FOREIGN:
        raise WrongError(f"{first}: no such program is known")


def check_protoseg(_: str, words: Words, whole: bool) -> None:
    """Check `protoseg ...`."""
    while words and words[0].startswith("-"):
        known(words[0], {"-h", "--help", "-v", "--verbose", "--version"})
        words = words[1:]
    if not words:
        return
    name, *rest = words
    known(name, protoseg.commands)
    command = protoseg.commands[name]
    if command.context_settings.get("ignore_unknown_options"):
        others = check_argparse(own_parser(name), rest, whole)
        for option in others if name == "suite" else ():
            check_entry(option.removeprefix("--"), entries(("inference.yaml",)))
        if others and name != "suite":
            raise WrongError(f"{name} does not take {others}")
        return
    options = {option for parameter in command.params for option in parameter.opts} | {"--help"}
    for word in _options(rest):
        known(word, options)
    if whole:
        try:
            command.make_context(name, list(rest))
        except click.UsageError as error:
            raise WrongError(error.format_message()) from error
    check_values(rest, JOBS.get(name, ()))


def check_argparse(parser: argparse.ArgumentParser, words: Words, whole: bool) -> list[str]:
    """Parse as the program does; of a mention look at the names of options alone. Give options left over."""
    if whole:
        try:
            return [word for word in parser.parse_known_args(list(words))[1] if word.startswith("--")]
        except SystemExit as ended:
            raise WrongError(f"{parser.prog} does not take {words}") from ended
    named = set(_argparse_options(parser, words))
    return [word for word in _options(words) if word not in named]


def check_python(_: str, words: Words, whole: bool) -> None:
    """Check `python -m monai.bundle run ...`; other programs of Python are not ours."""
    if list(words[:3]) != ["-m", "monai.bundle", "run"] or len(words) < 4:
        return
    job, options = words[3], dict(_pairs(words[4:]))
    if "config_file" not in options:
        raise WrongError("there is no --config_file")
    files = options["config_file"]
    content = entries(tuple(ast.literal_eval(files) if files.startswith("[") else [files]))
    known(job, [name for name, value in content.items() if isinstance(value, list | str)])
    for name in options.keys() - MONAI:
        check_entry(name, content)


def check_torchrun(_: str, words: Words, whole: bool) -> None:
    """Check what `torchrun` starts."""
    if whole:
        check_python("python", words[words.index("-m") :], whole)


def check_script(program: str, words: Words, whole: bool) -> None:
    """Check a script of this project."""
    if not (ROOT / program).is_file():
        raise WrongError(f"there is no {program}")
    name = Path(program).name
    if name in ("benchmark", "campaign"):
        kinds = import_script("benchmark").BENCHMARKS if name == "benchmark" else ()
        kind, rest = (words[0], words[1:]) if words and words[0] in kinds else ("engine", words)
        module = f"benchmarks.{kind}" if name == "benchmark" else "campaigns.endurance"
        rest = rest[: rest.index("--")] if "--" in rest else rest
        if others := check_argparse(parser_of(module), rest, whole):
            raise WrongError(f"{program} {kind} does not take {others}")
    elif Path(program).suffix == "":
        text = (ROOT / program).read_text(encoding="utf-8")
        given = words[: words.index("--")] if "--" in words else words
        for word in _options(given):
            known(word, {*re.findall(r"--[a-z][a-z0-9_-]*", text), *(("--quick",) if name == "demo" else ())})
        for word in given if name == "test" else ():
            if not word.startswith("-") and not (ROOT / word).exists():
                raise WrongError(f"there is no {word}")


def check_monailabel(_: str, words: Words, whole: bool) -> None:
    """Check `monailabel start_server ...`."""
    for word in _options(words):
        known(word, MONAILABEL)
    check_values(words, ())


def check_pip(_: str, words: Words, whole: bool) -> None:
    """Check the extras that `pip install` is to bring."""
    for word in words:
        if extras := re.fullmatch(r"(?:protoseg|\.)\[([\w,]+)\]", word):
            check_extras(extras[1])


def check_dask(_: str, words: Words, whole: bool) -> None:
    """Check `dask scheduler` and `dask worker`."""
    command = import_module(f"distributed.cli.dask_{words[0]}").main
    try:
        command.make_context(words[0], list(words[1:]))
    except click.UsageError as error:
        raise WrongError(error.format_message()) from error


def check_curl(_: str, words: Words, whole: bool) -> None:
    """Check that the server has what a request asks for."""
    [address] = (word for word in words if word.startswith("http://127.0.0.1:8000/"))
    path = address.partition(":8000")[2].partition("?")[0]
    method = words[words.index("-X") + 1] if "-X" in words else "POST" if "-F" in words else "GET"
    if not any(re.fullmatch(pattern, path) for verb, pattern in routes() if verb == method):
        raise WrongError(f"the server has no {method} {path}")


CHECKS: Mapping[str, Callable[[str, Words, bool], None]] = {
    "protoseg": check_protoseg,
    "python": check_python,
    "torchrun": check_torchrun,
    "scripts/": check_script,
    "monailabel": check_monailabel,
    "pip": check_pip,
    "dask": check_dask,
    "curl": check_curl,
}


def check_loose_options(words: Words) -> None:
    """Check options that a sentence names without their command: something has to have them."""
    check_values(words, tuple({file for files in JOBS.values() for file in files}))
    for word in _options(words):
        name = word.removeprefix("--")
        if word not in FREE | options_of_all() and name not in MONAI:
            check_entry(name, entries(tuple(f"{path}" for path in CONFIGS.rglob("*.yaml"))))


def check_values(words: Words, files: Sequence[str]) -> None:
    """Check what stands behind --set, --config and --conf."""
    for option, value, more in zip(words, words[1:], [*words[2:], ""]):
        if option == "--set" and not value.lower().startswith("id="):
            check_entry(value.partition("=")[0], entries(tuple(files)))
        elif option == "--config":
            entries((value,))
        elif option == "--conf" and value != "KEY":
            check_conf(value, more)


def check_conf(key: str, value: str) -> None:
    """Check an option of the server; without its value, that there is one of this name."""
    from lib.options import OVERRIDE_FILES, SERVER_KEYS, Options, read_options

    if value == "" or value.startswith("--"):
        known(key, {*SERVER_KEYS, *OVERRIDE_FILES, *Options.__dataclass_fields__, *entries(("inference.yaml",))})
        return
    try:
        read_options({key: value})
    except InputError as error:
        raise WrongError(str(error)) from error


def check_entry(name: str, content: Mapping[str, Any]) -> None:
    """Check that a config has an entry, and that no older name of it is used."""
    first, *others = re.split("#|::", name)
    if first in CONFIG_IDS:
        raise WrongError(f"{first} is called {CONFIG_IDS[first]} now")
    known(first, content)
    parts = [first, *others]
    laid = max(end for end in range(1, 1 + len(parts)) if "#".join(parts[:end]) in content)  # by a file over another
    node, others = content["#".join(parts[:laid])], parts[laid:]
    for number, part in enumerate(others, start=1):
        if isinstance(node, dict) and number == len(others) and "_target_" in node:
            return  # an argument that the config leaves as it is
        try:
            node = node[int(part) if isinstance(node, list) else part]
        except (KeyError, IndexError, TypeError, ValueError) as error:
            raise WrongError(f"there is no {name}") from error


def check_extras(names: str) -> None:
    """Check extras of the package."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    for name in names.split(","):
        known(name, project["optional-dependencies"])


def known(name: str, names: Any) -> None:
    """Refuse a name that is not among names."""
    if name not in names:
        raise WrongError(f"there is no {name}; there are {', '.join(sorted(map(str, names)))}"[:600])


def _options(words: Words) -> Iterator[str]:
    """Give the options among words, without values after a sign of equality."""
    return (word.partition("=")[0] for word in words if re.match(r"--[A-Za-z]", word))


def _argparse_options(parser: argparse.ArgumentParser, words: Words) -> Iterator[str]:
    """Give the options of a parser and of the sub-commands that words name; STUDY stands for all."""
    for action in parser._actions:
        yield from action.option_strings
        if isinstance(action, argparse._SubParsersAction):
            for name, child in action.choices.items():
                if name in words or words[:1] == ["STUDY"]:
                    yield from _argparse_options(child, words)


def _pairs(words: Words) -> Iterator[tuple[str, str]]:
    """Give names and values of `--name value` and `--name=value`."""
    waiting = list(words)
    while waiting:
        name, sign, value = waiting.pop(0).partition("=")
        if not name.startswith("--") or not (sign or waiting):
            raise WrongError(f"{name} is no option with a value")
        yield name.removeprefix("--"), value if sign else waiting.pop(0)
