"""The commands of a page are run in their order, and what cannot be run is told."""

import re
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "scripts"))

import run_pages
from page_commands import page_blocks

import protoseg

ROOT = Path(__file__).resolve().parents[2]
PAGE = """# A page

```json title="data.json"
[1]
```

```
python -m json.tool data.json \\
    told.json   # a comment
python -m json.tool SCAN.json
python -m json.tool data.json
```

```python
from protoseg import __version__

numbers = [1]
```

    pip install protoseg

```python
open("version", "w").write(f"{__version__} {numbers}")
```

```
# hours
python -m json.tool data.json late.json
```
"""


@pytest.fixture
def page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path / "page.md"


def run(page: Path, text: str, capsys: pytest.CaptureFixture, limit: float = 100) -> tuple[bool, list[tuple[str, str]]]:
    page.write_text(text, encoding="utf-8")
    well = run_pages.run_page(page, page.parent, limit)
    return well, re.findall(r"(?m)^(\w+(?: out)?) +\d+ s  (.*?) *$", capsys.readouterr().out)


def test_commands_are_run_in_their_order(page: Path, capsys: pytest.CaptureFixture) -> None:
    well, told = run(page, PAGE, capsys)
    assert well
    assert told == [
        ("ran", "python -m json.tool data.json     told.json"),
        ("left out", "python -m json.tool SCAN.json"),
        ("left out", "python -m json.tool data.json"),  # which may need what the one before would have made
        ("left out", "pip install protoseg"),
        ("left out", "python -m json.tool data.json late.json"),
        ("ran", "python blocks"),
    ]
    assert Path("told.json").read_text(encoding="utf-8").split() == ["[", "1", "]"]
    assert Path("version").read_text(encoding="utf-8") == f"{protoseg.__version__} [1]"


def test_the_first_that_fails_ends_the_page(page: Path, capsys: pytest.CaptureFixture) -> None:
    well, told = run(page, "```\npython -m json.tool none.json\npython -m json.tool page.md\n```\n", capsys)
    assert not well
    assert told == [("failed", "python -m json.tool none.json")]


def test_what_takes_too_long_is_ended(page: Path, capsys: pytest.CaptureFixture) -> None:
    well, told = run(page, "```\npython -m timeit -n 1 'import time; time.sleep(99)'\n```\n", capsys, limit=0.5)
    assert well
    assert [status for status, _ in told] == ["ended"]


def test_what_would_be_run_of_our_pages() -> None:
    """The first pages are for readers who have nothing yet: no command of them waits for files."""
    for name in ("README.md", "bundle/docs/start.md", "bundle/docs/inference.md", "bundle/docs/python.md"):
        commands = dict(run_pages.page_commands(page_blocks(ROOT / name)))
        waiting = [command for command, words in commands.items() if not words and command.startswith("protoseg ")]
        assert waiting in ([], ["protoseg segment QUERY... --like SCAN LABEL_MAP --output results"]), name
        assert len(commands) - len(waiting) >= 2
