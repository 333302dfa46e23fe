"""What commands are checked against: configs, parsers, options and addresses of this project, each read once."""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Mapping
from functools import cache
from importlib import import_module
from importlib.machinery import SourceFileLoader
from importlib.util import module_from_spec, spec_from_loader
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[2]
CONFIGS = ROOT / "bundle" / "configs"
MONAILABEL = {"--app", "--studies", "--host", "--port", "--conf"}  # options of `monailabel start_server`
sys.path[:0] = [str(ROOT / folder) for folder in ("scripts", "monailabel_app")]


class WrongError(Exception):
    """A command that would be refused; says why."""


@cache
def entries(files: tuple[str, ...]) -> Mapping[str, Any]:
    """Read configs, one laid over the other; a path starts here, in the bundle or in its configs."""
    content: dict[str, Any] = {}
    for file in files:
        path = next((folder / file for folder in (ROOT, ROOT / "bundle", CONFIGS) if (folder / file).is_file()), None)
        if path is None:
            raise WrongError(f"there is no {file}")
        content |= {key.removeprefix("+"): value for key, value in yaml.safe_load(path.read_text("utf-8")).items()}
    return content


@cache
def own_parser(name: str) -> argparse.ArgumentParser:
    """Return the parser that a sub-command of `protoseg` makes for itself."""
    return import_script("options_page").parser_of(name)


@cache
def parser_of(module: str) -> argparse.ArgumentParser:
    """Return the parser that a module's `main(argv)` makes."""
    return import_script("options_page").parser_made_by(lambda: import_module(module).main([]))


@cache
def options_of_all() -> frozenset[str]:
    """Collect the options that the programs of this project name, from their sources."""
    programs = [ROOT / "bundle" / "protoseg" / "cli.py", *(ROOT / "bundle" / "protoseg" / "commands").glob("*.py")]
    programs += [file for folder in ("benchmarks", "campaigns") for file in (ROOT / "scripts" / folder).glob("*.py")]
    found = re.findall(r'"(--[a-z][\w-]*)"', "".join(file.read_text(encoding="utf-8") for file in programs))
    return frozenset({"--help", *MONAILABEL, *found})


@cache
def routes() -> frozenset[tuple[str, str]]:
    """Collect the methods of the server's own addresses, and patterns of their paths."""
    from lib.rest import carrying, sessions, submits
    from lib.rest import routes as library

    routers = (library.library_router, sessions.clicks_router, submits.submits_router, carrying.carrying_router)
    return frozenset(
        (method, route.path_regex.pattern) for router in routers for route in router.routes for method in route.methods
    )


def import_script(name: str) -> Any:
    """Import a file of scripts, which need not end in .py."""
    if (ROOT / "scripts" / f"{name}.py").is_file():
        return import_module(name)
    spec = spec_from_loader(name, SourceFileLoader(name, str(ROOT / "scripts" / name)))
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
