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


@pytest.mark.parametrize(
    ("name", "last"),
    [
        ("README.md", "python blocks"),
        ("bundle/docs/start.md", "protoseg click"),
        ("bundle/docs/inference.md", "protoseg segment dicom/test_000"),
        ("bundle/docs/python.md", "python blocks"),
        ("bundle/docs/datasets.md", "protoseg train"),
        ("bundle/docs/training.md", "torchrun"),
        ("bundle/docs/suite.md", "protoseg suite people.json"),
        ("bundle/docs/studies.md", "protoseg study clicks"),
        ("bundle/docs/export.md", "cd protoseg-on-hub && python -m monai.bundle"),
        ("bundle/docs/viewers.md", "protoseg segment dicom/test_001"),
    ],
)
def test_a_page_runs_from_what_it_makes_itself(name: str, last: str) -> None:
    *_, made = [command for command, words in run_pages.page_commands(page_blocks(ROOT / name)) if words]
    assert made.startswith(last)
