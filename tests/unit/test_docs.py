"""The pages: links lead somewhere, commands exist, and the first page is one."""

import re
from pathlib import Path

import pytest

from protoseg.cli import protoseg

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "bundle" / "docs").glob("*.md"))]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_to_files(page):
    links = re.findall(r"\]\((?!https?:)([^)#]+)", page.read_text(encoding="utf-8"))
    assert not [link for link in links if not (page.parent / link).exists()]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_commands_exist(page):
    text = page.read_text(encoding="utf-8")
    blocks = "\n".join(re.findall(r"(?ms)^```\n(.*?)^```", text))
    named = {*re.findall(r"(?m)^protoseg ([a-z][a-z-]*)", blocks), *re.findall(r"`protoseg ([a-z][a-z-]*)", text)}
    assert named <= protoseg.commands.keys()


def test_the_readme_is_one_page():
    assert len(PAGES[0].read_text(encoding="utf-8").splitlines()) <= 120


def test_the_readme_links_every_page():
    linked = PAGES[0].read_text(encoding="utf-8")
    others = {page.name for page in PAGES[1:]} - {"README.md"}
    assert not [name for name in others if f"bundle/docs/{name}" not in linked]
