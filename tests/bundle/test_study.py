"""protoseg study on a tiny data set."""

import csv
import json
import runpy
import sys
from pathlib import Path

import numpy as np
import pytest
from two_organs import ct, gray, nifti, organs, picture

from protoseg.data.preparation.synthetic import write_dataset
from protoseg.errors import InputError
from protoseg.workflows import engine_parts
from protoseg.workflows.studies import series
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
        source = [] if "--index" in arguments else ["--dataset_dir", str(scans)]
        monkeypatch.setattr(sys, "argv", ["study", name, *source, "--output_dir", str(tmp_path), *arguments])
        runpy.run_path(str(SCRIPT), run_name="__main__")
        assert (tmp_path / f"{name}.png").is_file()
        with (tmp_path / f"{name}.csv").open(newline="") as file:
            return list(csv.DictReader(file))

    return run


@pytest.fixture
def supports(monkeypatch):
    """The supports that scans were segmented from, in turn."""
    used = []
    segment = engine_parts.segment

    def spy(volume, support, *args, **arguments):
        used.append(support)
        return segment(volume, support, *args, **arguments)

    monkeypatch.setattr(engine_parts, "segment", spy)
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


@pytest.fixture
def index(tmp_path) -> str:
    """An index of a set of two scans with two labels, and of a set of two pictures with one."""
    for name in "ab":
        nifti(tmp_path / f"{name}.nii.gz", ct())
        nifti(tmp_path / f"{name}_labels.nii.gz", organs())
        picture(tmp_path / f"{name}.png", gray())
        picture(tmp_path / f"{name}_labels.png", np.ascontiguousarray(organs()[:, :, 1].T))
    sets = [
        {"name": name, "labels": labels, "pairs": [{"image": a + end, "label": f"{a}_labels{end}"} for a in "ab"]}
        for name, labels, end in (("scans", {"left": 1, "right": 2}, ".nii.gz"), ("pictures", {"left": 1}, ".png"))
    ]
    (tmp_path / "index.json").write_text(json.dumps(sets))
    return str(tmp_path / "index.json")


def test_clicks_on_the_sets_of_an_index(study, index, tmp_path, capsys):
    rows = study("clicks", "--index", index, "--clicks", "2", "--only", "scans", "--limit", "1")
    assert [(row["scan"], row["label"], row["method"]) for row in rows] == [
        ("scans/b", label, clicks) for label in ("left", "right") for clicks in ("1 click", "2 clicks")
    ]
    rows = study("clicks", "--index", index, "--clicks", "2")
    assert [row["scan"] for row in rows[::2]] == ["scans/b"] * 2 + ["scans/a"] * 2 + ["pictures/b", "pictures/a"]
    figures = json.loads((tmp_path / "clicks.json").read_text())
    assert list(figures) == ["scans", "pictures", "mean over sets"]
    by_set = [figures[name]["dice_after_1"] for name in figures]
    assert by_set[2] == pytest.approx(np.mean(by_set[:2]), abs=1e-4)
    assert by_set[0] == pytest.approx(np.mean([float(row["dice"]) for row in rows[:8:2]]), abs=1e-4)
    assert "mean over sets" in capsys.readouterr().out


def test_clicks_need_scans_of_one_kind(study, index, capsys):
    with pytest.raises(SystemExit):
        study("clicks", "--index", index, "--dataset_dir", "x")
    assert "give either --dataset_dir or --index" in capsys.readouterr().err
    with pytest.raises(InputError, match="--clicks is 0; it must be at least 1"):
        study("clicks", "--index", index, "--clicks", "0")


def test_corrections_teach_from_scan_to_scan(study, index, tmp_path, capsys, monkeypatch):
    supports = []
    correct = series.correct_scan

    def spy(*arguments, support, **others):
        supports.append(support and {Path(origin.scan).name for origin in support.origins})
        return correct(*arguments, support=support, **others)

    monkeypatch.setattr(series, "correct_scan", spy)
    command = ("corrections", "--index", index, "--clicks", "2", "--orders", "2", "--only", "scans")
    rows = study(*command)
    assert [(row["order"], row["position"], row["scan"], row["label"]) for row in rows[::2]] == [
        ("1", "1", "b", "left"),
        ("1", "2", "a", "left"),
        ("2", "1", "a", "left"),
        ("2", "2", "b", "left"),
    ]
    assert supports == [None, {"b"}, None, {"a"}], "every order begins with nothing"
    assert [float(row["dice_before"]) for row in rows if row["position"] == "1"] == [0] * 4
    figures = json.loads((tmp_path / "corrections.json").read_text())["scans"]
    assert figures["clicks"][0] == np.mean([int(row["clicks"]) for row in rows if row["position"] == "1"])
    assert figures["clicks"][1] < figures["clicks"][0], "what was accepted is found in the next scan"
    assert "clicks of the first scan" in capsys.readouterr().out
    assert study(*command) == rows
    assert len(supports) == 4, "what was done is kept"
    for file in (tmp_path / "scans" / "corrections" / "accepted").iterdir():
        file.unlink()
    study(*command)
    assert len(supports) == 8


def test_corrections_of_a_data_set(study):
    rows = study("corrections", "--clicks", "1", "--limit", "1")
    assert {(row["set"], row["scan"], row["position"]) for row in rows} == {("test", "test_000", "1")}
    with pytest.raises(InputError, match="--orders is 0; it must be at least 1"):
        study("corrections", "--orders", "0")


def test_no_scans_are_refused(study):
    with pytest.raises(InputError, match="--limit is 0; it must be at least 1 scan"):
        study("components", "--limit", "0")
