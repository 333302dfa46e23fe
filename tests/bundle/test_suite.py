"""protoseg suite on tiny sets of scans and pictures."""

import csv
import json
import runpy
import sys
from pathlib import Path

import numpy as np
import pytest
from distributed import LocalCluster
from two_organs import ct, gray, nifti, organs, picture

from protoseg.data.io.volumes import read_labels
from protoseg.errors import InputError
from protoseg.workflows.suite import run as suite_run
from protoseg.workflows.suite.segmenter import PairSegmenter

SCRIPT = Path(__file__).parents[2] / "bundle" / "protoseg" / "commands" / "suite.py"
RAS = np.diag([10.0, -10.0, 10.0, 1.0])  # as LPS, mirrored


@pytest.fixture(scope="module")
def index(tmp_path_factory) -> Path:
    """A set of CT scans of three people, of whom c has the second organ only, and a set of color pictures."""
    folder = tmp_path_factory.mktemp("suite")
    cases = {}
    for shift, name in enumerate("abc"):
        image, labels = (np.roll(voxels, shift, axis=1) for voxels in (ct(), organs()))
        if name == "c":
            image[labels == 1] = 20
            labels = labels * (labels == 2)
        flipped = name == "b"  # the file's first axis runs the other way
        voxels = [array[::-1] if flipped else array for array in (image, labels)]
        affine = RAS if flipped else np.diag([-10.0, -10.0, 10.0, 1.0])
        nifti(folder / f"{name}.nii.gz", voxels[0], affine)
        nifti(folder / f"{name}_labels.nii.gz", voxels[1], affine)
        cases[name] = {"image": f"{name}.nii.gz", "label": f"{name}_labels.nii.gz"}
    pictures = []
    for shift in (0, 3):
        color = np.stack([np.roll(gray(), shift, axis=0)] * 3, axis=-1)
        picture(folder / f"p{shift}.png", color)
        picture(folder / f"p{shift}_labels.png", np.roll(np.ascontiguousarray(organs()[:, :, 1].T), shift, axis=0))
        pictures.append({"image": f"p{shift}.png", "label": f"p{shift}_labels.png"})
    a, b, c = (cases[name] for name in "abc")
    labels = {"left": 1, "right": 2}
    scans = {"name": "scans", "modality": "CT", "dim": "3d", "region": "box", "labels": labels, "read_as": "ct"}
    sets = [
        {**scans, "todo": [[a, b], [[a, b], c], [c, a]]},
        {"name": "pictures", "modality": "photo", "dim": "2d", "labels": {"left": 1}, "pairs": pictures},
    ]
    (folder / "index.json").write_text(json.dumps(sets))
    return folder / "index.json"


@pytest.fixture
def suite(index, tmp_path, monkeypatch, surroundings):
    """Run protoseg suite in this process; the rows that it wrote."""

    def run(*arguments: str, listed: Path = index, folder: str = "run") -> list[dict[str, str]]:
        command = ["suite", str(listed), "--output_dir", str(tmp_path / folder), "--image_size", "64", *arguments]
        monkeypatch.setattr(sys, "argv", command)
        runpy.run_path(str(SCRIPT), run_name="__main__")
        with (tmp_path / folder / "rows.csv").open(newline="") as file:
            return list(csv.DictReader(file))

    return run


@pytest.fixture
def segmented(monkeypatch):
    """The pairs that were segmented, as text, and what came of them."""
    done = {}
    segment = PairSegmenter.segment

    def spy(self, pair):
        done[str(pair)] = segment(self, pair)
        return done[str(pair)]

    monkeypatch.setattr(PairSegmenter, "segment", spy)
    return done


def test_every_pair_is_scored_on_the_grid_of_its_query(suite, segmented, index, tmp_path):
    rows = suite()
    assert [(row["set"], row["support"], row["query"], row["label"]) for row in rows] == [
        ("scans", "a.nii.gz", "b.nii.gz", "left"),
        ("scans", "a.nii.gz", "b.nii.gz", "right"),
        ("scans", "a.nii.gz; b.nii.gz", "c.nii.gz", "left"),
        ("scans", "a.nii.gz; b.nii.gz", "c.nii.gz", "right"),
        ("scans", "c.nii.gz", "a.nii.gz", "right"),
        ("pictures", "p0.png", "p3.png", "left"),
        ("pictures", "p3.png", "p0.png", "left"),
    ]
    first = segmented["scans: a.nii.gz -> b.nii.gz"]
    found = first.predicted.numpy()[0] == 2
    true = read_labels(index.parent / "b_labels.nii.gz").numpy()[0] == 2
    assert found.any()
    assert float(rows[1]["dice"]) == pytest.approx(2 * (found & true).sum() / (found.sum() + true.sum()), abs=1e-4)
    assert float(rows[1]["volume_ml"]) == pytest.approx(found.sum())
    assert float(rows[1]["reference_ml"]) == float(rows[1]["support_ml"]) == 128
    assert float(rows[1]["hd95_mm"]) >= 0 and rows[5]["hd95_mm"] == "", "a picture has no scale"
    assert len(segmented["scans: a.nii.gz; b.nii.gz -> c.nii.gz"].support.origins) > 1
    assert rows[2]["dice"] == "", "absent from the query"
    assert rows[2]["reference_ml"] == "0.0"
    assert list((tmp_path / "run" / "cases" / "pictures").glob("*.jpg"))
    summary = json.loads((tmp_path / "run" / "summary.json").read_text(encoding="utf-8"))
    scored = [float(row["dice"]) for row in rows[:5] if row["dice"]]
    assert summary["sets"]["scans"]["dice"]["mean"] == pytest.approx(np.mean(scored), abs=1e-4)
    assert summary["sets"]["scans"]["false_positives"]["absent"] == 1


def test_the_truth_of_the_query_changes_nothing_that_is_found(suite, segmented, index, tmp_path):
    suite("--only", "scans", "--limit", "1")
    sets = json.loads(index.read_text(encoding="utf-8"))
    support, query = sets[0]["todo"][0]
    empty = nifti(tmp_path / "empty.nii.gz", np.zeros((32, 32, 4), np.uint8), RAS)
    for scan in (support, query):
        scan.update({key: str(index.parent / file) for key, file in scan.items()})
    query["label"] = str(empty)
    listed = tmp_path / "index.json"
    listed.write_text(json.dumps([{**sets[0], "todo": [[support, query]]}]))
    with pytest.raises(InputError, match="No label of any pair could be scored"):
        suite(listed=listed, folder="other")
    with_truth, without = (one.predicted.numpy() for one in segmented.values())
    assert np.array_equal(with_truth, without)


def test_a_run_goes_on_where_it_was_stopped(suite, segmented, tmp_path):
    first = suite("--only", "scans", "--limit", "1")
    rows = suite()
    assert len(segmented) == 5 and rows[:2] == first
    segmented.clear()
    assert suite("--against", str(tmp_path / "run")) == rows
    assert not segmented
    comparison = json.loads((tmp_path / "run" / "comparison.json").read_text(encoding="utf-8"))
    assert comparison["all"]["difference"] == 0 and comparison["settings"] == {}


def test_the_processes_of_a_cluster_share_the_pairs(suite, segmented):
    def told(rows: list[dict[str, str]]) -> list[dict[str, str]]:
        return [{name: value for name, value in row.items() if name != "seconds"} for row in rows]

    alone = told(suite("--only", "scans"))
    with LocalCluster(
        n_workers=1, threads_per_worker=1, processes=False, protocol="tcp", dashboard_address=None
    ) as cluster:
        shared = ("--only", "scans", "--scheduler", cluster.scheduler_address)
        segmented.clear()
        assert told(suite(*shared, folder="shared")) == alone
        assert len(segmented) == 3
        segmented.clear()
        assert told(suite(*shared, folder="shared")) == alone
        assert not segmented, "what is done is not done again"


def test_results_of_other_settings_are_refused(suite):
    suite("--only", "pictures")
    with pytest.raises(InputError, match="is not of this run: support_selection was 'similar', now 'all'"):
        suite("--support_selection=all", "--only", "pictures")
    with pytest.raises(InputError, match=r"is not of this run: refiner was {.*}, now None"):
        suite("--refiner", "None", "--only", "pictures")


def test_pairs_that_cannot_be_segmented_are_told_and_the_others_done(suite, index, tmp_path, monkeypatch, capsys):
    sets = json.loads(index.read_text(encoding="utf-8"))
    sets[0]["todo"][1][1]["image"] = "gone.nii.gz"
    listed = index.with_name("with_gaps.json")
    listed.write_text(json.dumps(sets))
    measured = suite_run.measured_rows

    def breaks(one, pair, segmented):
        if pair.query.name == "p0.png":
            raise RuntimeError("out of luck\nand of words")
        return measured(one, pair, segmented)

    monkeypatch.setattr(suite_run, "measured_rows", breaks)
    with pytest.raises(InputError) as caught:
        suite(listed=listed)
    gone, unforeseen = str(caught.value).splitlines()[1:]
    assert str(caught.value).startswith("2 of 5 pairs could not be segmented:")
    assert gone.startswith(f"  scans: a.nii.gz; b.nii.gz -> gone.nii.gz: {index.parent / 'gone.nii.gz'} does not exist")
    assert unforeseen.startswith("  pictures: p3.png -> p0.png: RuntimeError: out of luck (more in ")
    (told,) = (tmp_path / "run" / "failures").rglob("*.txt")
    assert "Traceback" in told.read_text(encoding="utf-8")
    assert "does not exist" in (tmp_path / "run" / "report.html").read_text(encoding="utf-8")
    assert capsys.readouterr().err.count("Left out: ") == 2


def test_options_are_those_of_the_config(suite, segmented):
    suite(
        "--only",
        "scans",
        "--limit",
        "1",
        "--slices",
        "[1,2]",
        "--refiner",
        "$None",
        "--configs",
        "refiners/guided.yaml",
    )
    (one,) = segmented.values()
    assert [origin.slice_index for origin in one.support.origins] == [1, 2]
    for arguments, told in [
        (["--choise", "all"], "--choise: inference.yaml has no entry 'choise'"),
        (["--network#depth", "2", "--nothing#at_all", "2"], "--nothing#at_all: inference.yaml has no entry 'nothing'"),
        (["--support_selection"], "--support_selection: expected --id value"),
        (["--configs", "refiners/none.yaml"], "refiners/none.yaml does not exist"),
    ]:
        with pytest.raises(InputError, match=told):
            suite(*arguments, folder="other")


def test_a_support_without_the_labels_is_a_bad_pair(suite, index):
    sets = json.loads(index.read_text(encoding="utf-8"))
    listed = index.with_name("without_labels.json")
    listed.write_text(
        json.dumps([{**sets[0], "labels": {"kidney": 7, "liver": 2}}, {**sets[1], "labels": {"tail": 9}}])
    )
    with pytest.raises(InputError, match=r"2 of 5 pairs (.|\n)*none of the labels tail \(9\) is in it"):
        suite(listed=listed)
