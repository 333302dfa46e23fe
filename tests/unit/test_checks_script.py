"""scripts/test runs every check, whether one before it failed or not, and tells at the end."""

import shutil
import subprocess
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "scripts" / "test"


@pytest.mark.parametrize("failing", [None, "ruff", "mypy", "docs", "pytest"])
def test_every_check_runs(tmp_path: Path, failing: str | None) -> None:
    for folder in ("scripts", ".venv/bin"):
        (tmp_path / folder).mkdir(parents=True)
    shutil.copy(SCRIPT, tmp_path / "scripts")
    for name in ("scripts/setup", "scripts/docs", ".venv/bin/ruff", ".venv/bin/mypy", ".venv/bin/pytest"):
        file = tmp_path / name
        file.write_text(f"#!/bin/sh\necho ran {file.name}\nexit {int(file.name == failing)}\n", encoding="utf-8")
        file.chmod(0o755)
    command = [tmp_path / "scripts" / "test"]
    finished = subprocess.run(command, capture_output=True, text=True, encoding="utf-8", check=False)
    assert finished.returncode == (failing is not None)
    ran = [line.removeprefix("ran ") for line in finished.stdout.splitlines() if line.startswith("ran ")]
    assert ran == ["setup", "ruff", "ruff", "mypy", "docs", "pytest"]
    ended = {"lint": "ruff", "format": "ruff", "types": "mypy", "documentation": "docs", "tests": "pytest"}
    told = [f"{'FAILED' if tool == failing else 'passed'}   {check}" for check, tool in ended.items()]
    assert finished.stdout.splitlines()[-5:] == told
