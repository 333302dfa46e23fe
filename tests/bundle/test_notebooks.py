"""The notebooks run from the first cell to the last, on small people, and keep no outputs."""

import json
import re
from pathlib import Path
from typing import Any

import matplotlib
import pytest

FOLDER = Path(__file__).parents[2] / "bundle" / "docs" / "notebooks"
NOTEBOOKS = sorted(FOLDER.glob("*.ipynb"))
SMALL = {"shape": (80, 80, 20), "spacing": (4.8, 4.8, 12.0)}


def cells(notebook: Path) -> list[dict[str, Any]]:
    return json.loads(notebook.read_text(encoding="utf-8"))["cells"]


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda notebook: notebook.stem)
def test_it_keeps_no_outputs(notebook: Path) -> None:
    code = [cell for cell in cells(notebook) if cell["cell_type"] == "code"]
    assert [cell for cell in code if cell["outputs"] or cell["execution_count"]] == []


@pytest.mark.slow
@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda notebook: notebook.stem)
def test_it_runs(notebook: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys) -> None:
    monkeypatch.setattr("tempfile.mkdtemp", lambda: str(tmp_path))
    monkeypatch.setattr(matplotlib.pyplot, "show", lambda: matplotlib.pyplot.close("all"))
    names: dict[str, Any] = {}
    for number, cell in enumerate(cells(notebook)):
        if cell["cell_type"] == "code":
            exec(compile("".join(cell["source"]), f"{notebook.name}, cell {number}", "exec"), names)
            if "parameters" in cell["metadata"].get("tags", ()):
                names.update(SMALL)
    said = capsys.readouterr().out
    assert "estimated" in said or "estimate" in said
    *_, last = re.findall(r"liver .* ([01]\.\d+) |Dice ([01]\.\d+)", said)
    assert float(max(last)) > 0.7  # of the last person, in whom nothing was labelled
