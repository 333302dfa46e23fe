"""The pages: links lead somewhere, commands exist, and the first page is one."""

import re
import sys
from importlib import import_module
from pathlib import Path

import pytest
from click.testing import CliRunner

from protoseg import __version__
from protoseg.cli import protoseg
from protoseg.commands.sections import SECTIONS

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "bundle" / "docs").glob("*.md"))]
ABOUT = [ROOT / name for name in ("CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md")]


@pytest.mark.parametrize("page", [*PAGES, *ABOUT], ids=lambda page: page.name)
def test_links_lead_to_files(page):
    links = re.findall(r"\]\((?!https?:)([^)#]+)", page.read_text(encoding="utf-8"))
    assert not [link for link in links if not (page.parent / link).exists()]


@pytest.mark.parametrize("page", [*PAGES, *ABOUT], ids=lambda page: page.name)
def test_commands_exist(page):
    text = page.read_text(encoding="utf-8")
    blocks = "\n".join(re.findall(r"(?ms)^```\n(.*?)^```", text))
    named = {*re.findall(r"(?m)^protoseg ([a-z][a-z-]*)", blocks), *re.findall(r"`protoseg ([a-z][a-z-]*)", text)}
    assert named <= protoseg.commands.keys()


def test_the_help_lists_every_command_once():
    listed = [name for names in SECTIONS.values() for name in names]
    assert sorted(listed) == sorted(protoseg.commands)
    help_text = CliRunner().invoke(protoseg, ["--help"]).output
    assert [re.findall(rf"(?m)^  {name} ", help_text) for name in listed] == [[f"  {name} "] for name in listed]
    assert len(help_text.splitlines()) <= 40


def test_the_readme_is_one_page():
    assert len(PAGES[0].read_text(encoding="utf-8").splitlines()) <= 120


def test_the_readme_links_every_page():
    linked = PAGES[0].read_text(encoding="utf-8")
    others = {page.name for page in PAGES[1:]} - {"README.md"}
    assert not [name for name in others if f"bundle/docs/{name}" not in linked]


def test_the_site_lists_every_page():
    named = re.findall(r": (\w+\.md)$", (ROOT / "scripts/mkdocs.yml").read_text(encoding="utf-8"), re.MULTILINE)
    assert sorted(named) == sorted(page.name for page in PAGES[1:] if page.parent.name == "docs")


def test_the_table_of_options_is_of_now(monkeypatch):
    """`scripts/docs --options` writes it anew."""
    monkeypatch.setattr(sys, "path", [str(ROOT / "scripts"), *sys.path])
    options_page = import_module("options_page")
    assert options_page.PAGE.read_text(encoding="utf-8") == options_page.page()


@pytest.mark.parametrize("name", ["CITATION.cff", "pyproject.toml", "bundle/configs/metadata.json"])
def test_the_version_is_one(name):
    found = re.search(r'(?m)^\s*"?version"?(?: =|:) "?(\d+\.\d+\.\d+)', (ROOT / name).read_text(encoding="utf-8"))
    assert found is not None
    assert found[1] == __version__
