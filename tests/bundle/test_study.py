"""protoseg study on a tiny data set."""

import csv
import runpy
import sys
from pathlib import Path

import pytest

from protoseg.data.preparation.synthetic import write_dataset
from protoseg.errors import InputError
from protoseg.workflows import engine_parts
from protoseg.workflows.studies import views as study_views

SCRIPT = Path(__file__).parents[2] / "bundle" / "protoseg" / "commands" / "study.py"


@pytest.fixture(scope="module")
def scans(tmp_path_factory) -> Path:
    """Three scans of the section "test"."""
    folder = tmp_path_factory.mktemp("scans")
    write_dataset(folder, training=0, validation=0, test=3, shape=(48, 48, 6), spacing=(8.0, 8.0, 40.0))
    return folder


@pytest.fixture
def study(scans, tmp_path, monkeypatch):
    """Run protoseg study in this process; the rows that it wrote."""
    monkeypatch.setattr(sys, "excepthook", sys.excepthook)  # the script sets its own

    def run(name: str, *arguments: str) -> list[dict[str, str]]:
        paths = ["--dataset_dir", str(scans), "--output_dir", str(tmp_path)]
        monkeypatch.setattr(sys, "argv", ["study", name, *paths, *arguments])
        runpy.run_path(str(SCRIPT), run_name="__main__")
        assert (tmp_path / f"{name}.png").is_file()
        with (tmp_path / f"{name}.csv").open(newline="") as file:
            return list(csv.DictReader(file))

    return run


@pytest.fixture
def supports(monkeypatch):
    """The supports that scans were segmented from, in turn."""
    used = []
    segment = engine_parts.segment_with_adaptation

    def spy(volume, support, *args, **arguments):
        used.append(support)
        return segment(volume, support, *args, **arguments)

    monkeypatch.setattr(engine_parts, "segment_with_adaptation", spy)
    return used


def test_components(study, supports, capsys):
    rows = study("components", "--limit", "1")
    assert {row["scan"] for row in rows} == {"test_001"}
    liver = {row["method"]: float(row["dice"]) for row in rows if row["label"] == "liver"}
    assert list(liver) == ["one", "support", "none"]
    assert min(liver.values()) > 0.5
    tables = capsys.readouterr().out.split("\n\n")
    assert [len(table.splitlines()) for table in tables] == [4, 4, 4, 6]  # and memory, and where the files are
    assert study("components", "--limit", "1") == rows
    assert len(supports) == 3  # what was measured before is not segmented again


def test_shots(study, supports, capsys):
    rows = study("shots")
    scans = [{Path(origin.scan).name for origin in used.origins} for used in supports]
    assert scans == [{"test_000.nii.gz"}, {"test_000.nii.gz", "test_001.nii.gz"}]
    assert {(row["method"], row["scan"]) for row in rows} == {("1 shot", "test_002"), ("2 shots", "test_002")}
    assert "too few scans: 3 shots, 5 shots, 10 shots" in capsys.readouterr().out


def test_resolution_is_that_of_the_networks_input(study, supports):
    study("resolution", "--limit", "1", "--sizes", "64", "96")
    assert [used.images.shape[-1] for used in supports] == [64, 96]


def test_views(study, supports, monkeypatch):
    mirrored = {"mirrored left to right": study_views.VIEWS["mirrored left to right"]}
    monkeypatch.setattr(study_views, "VIEWS", mirrored)
    monkeypatch.setattr(study_views, "SHARED_VIEWS", tuple(mirrored))
    rows = study("views", "--limit", "1")
    liver = {row["method"]: float(row["dice"]) for row in rows if row["label"] == "liver"}
    assert len(liver) == len(supports) == 3
    assert liver["as it is"] > 0.5
    assert liver["mirrored left to right, the support too"] > liver["mirrored left to right"]


def test_no_scans_are_refused(study):
    with pytest.raises(InputError, match="--limit is 0; it must be at least 1 scan"):
        study("components", "--limit", "0")
