"""The folder for the Hugging Face hub: a card that the hub's own parser reads, and a bundle that works by itself."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from huggingface_hub import ModelCard

from protoseg import bundle_root
from protoseg.cli import main
from protoseg.errors import InputError
from protoseg.workflows import hub_folder
from protoseg.workflows.hub_folder import write_hub_folder

BUNDLE = Path(bundle_root())
pytestmark = pytest.mark.skipif(
    not (BUNDLE / "models/model.pt").exists(), reason="the weights are not in this checkout"
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_hub_folder(tmp_path_factory.mktemp("hub") / "protoseg")


def test_it_holds_a_bundle_and_what_the_hub_asks_for(folder: Path) -> None:
    entries = {".gitattributes", "LICENSE", "README.md", "configs", "docs", "models", "protoseg"}
    assert {path.name for path in folder.iterdir()} == entries
    assert [path.name for path in folder.parent.iterdir()] == ["protoseg"]
    assert [path.name for path in (folder / "models").iterdir()] == ["model.pt"]  # and nobody else's weights
    assert (folder / "models/model.pt").read_bytes() == (BUNDLE / "models/model.pt").read_bytes()
    assert not [path for path in folder.rglob("*") if path.name == "__pycache__" or path.suffix == ".pyc"]
    for part in ("configs", "docs"):
        there = sorted(path.relative_to(folder) for path in (folder / part).rglob("*") if path.is_file())
        here = [path for path in (BUNDLE / part).rglob("*") if path.is_file() and not path.name.startswith(".")]
        assert there == sorted(path.relative_to(BUNDLE) for path in here)


def test_the_hub_reads_the_card(folder: Path) -> None:
    card = ModelCard.load(folder / "README.md")
    found = card.data.to_dict()
    assert (found["license"], found["library_name"]) == ("apache-2.0", "monai")
    assert (found["pipeline_tag"], found["model_name"]) == ("image-segmentation", "protoseg")
    assert {"monai", "medical"} <= set(found["tags"])
    license_text = (folder / "LICENSE").read_text(encoding="utf-8")
    assert "Apache License" in license_text
    assert "Version 2.0" in license_text


def test_the_card_is_made_of_the_pages(folder: Path) -> None:
    card = ModelCard.load(folder / "README.md").text
    assert re.findall(r"(?m)^# .*", card) == ["# protoseg"]
    own = (BUNDLE / "docs/model_card.md").read_text(encoding="utf-8")
    missing = [line for line in own.splitlines() if line not in card and "](" not in line]
    assert missing == []
    links = re.findall(r"\]\((?!https?:)([^)#]+)", card)
    assert len(links) > 10
    assert not [link for link in links if not (folder / link).is_file()]


def test_large_files_go_to_the_store_of_the_hub(folder: Path, tmp_path: Path) -> None:
    subprocess.run(["git", "init", "-q", tmp_path], check=True)
    (tmp_path / ".gitattributes").write_bytes((folder / ".gitattributes").read_bytes())
    command = ["git", "-C", tmp_path, "check-attr", "filter", "models/model.pt", "docs/features.png", "README.md"]
    told = subprocess.run(command, capture_output=True, text=True, encoding="utf-8", check=True).stdout.splitlines()
    assert [line.rpartition(": ")[2] for line in told] == ["lfs", "lfs", "unspecified"]


def test_a_copy_works_by_itself(folder: Path, tmp_path: Path) -> None:
    code = "import protoseg; print(protoseg.__file__); print(protoseg.bundle_root())"
    environment = {**os.environ, "PYTHONPATH": str(folder)}
    command = [sys.executable, "-c", code]
    told = subprocess.run(command, env=environment, cwd=tmp_path, capture_output=True, text=True, check=True).stdout
    assert told.splitlines() == [str(folder / "protoseg" / "__init__.py"), str(folder)]


@pytest.mark.parametrize(
    ("target", "message"),
    [
        ("taken", r"taken exists already; expected a new folder, or an empty one\. Choose another\.$"),
        ("file", r"file exists already; expected a new folder, or an empty one\. Choose another\.$"),
        ("file/hub", r"hub cannot be written: .*file is a file, expected a folder\. Choose another folder\.$"),
    ],
)
def test_what_is_there_is_kept(tmp_path: Path, target: str, message: str) -> None:
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken/notes.txt").write_text("mine", encoding="utf-8")
    (tmp_path / "file").write_text("mine", encoding="utf-8")
    with pytest.raises(InputError, match=message):
        write_hub_folder(tmp_path / target)
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["file", "notes.txt", "taken"]


def test_what_is_interrupted_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "hub").mkdir()

    def full(*_: object) -> str:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(hub_folder, "hub_card", full)
    with pytest.raises(InputError, match=r"hub cannot be written: No space left on device"):
        write_hub_folder(tmp_path / "hub")
    assert [path.name for path in tmp_path.rglob("*")] == ["hub"]


def test_an_installed_wheel_has_no_pages_to_publish(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    for part in ("configs", "models"):
        (tmp_path / "wheel" / part).mkdir(parents=True)
    (tmp_path / "wheel/models/model.pt").touch()
    monkeypatch.setattr(hub_folder, "bundle_root", lambda: str(tmp_path / "wheel"))
    monkeypatch.setattr(sys, "argv", list(sys.argv))
    with pytest.raises(SystemExit) as ended:
        main(["export", "huggingface", str(tmp_path / "hub")])
    assert ended.value.code == 2
    assert "wheel has no LICENSE and no docs and no protoseg: an installed wheel lacks" in capsys.readouterr().err
    assert not (tmp_path / "hub").exists()
