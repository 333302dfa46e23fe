"""Evaluation under both protocols, from end to end."""

import csv
import json
import math

import nibabel as nib
import numpy as np
import pytest
from monai.bundle import ConfigWorkflow

from protoseg.errors import InputError

LABELS = {"liver": 4, "bowel": 11}


@pytest.fixture
def start(start_workflow, dataset_dir, trained, tmp_path):
    def start_evaluation(output="out", **overrides):
        settings = {
            "dataset_dir": str(dataset_dir),
            "output_dir": str(tmp_path / output),
            "weights": str(trained / "best.pt"),
            "label_names": LABELS,
        }
        return start_workflow("eval", "train.yaml", "evaluate.yaml", **{**settings, **overrides})

    return start_evaluation


def rows(folder):
    with (folder / "metrics.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def voxels(folder):
    return np.asarray(nib.load(folder / "test_001_seg.nii.gz").dataobj)


def garbled(dataset_dir, folder):
    """The data set with nonsense for the ground truth of its test queries."""
    (folder / "labels").mkdir(parents=True)
    (folder / "images").symlink_to(dataset_dir / "images")
    for path in (dataset_dir / "labels").iterdir():
        (folder / "labels" / path.name).symlink_to(path)
    ground_truth = folder / "labels" / "test_001.nii.gz"
    labels = nib.load(ground_truth)
    nonsense = np.random.default_rng(0).permutation(np.asarray(labels.dataobj).ravel()).reshape(labels.shape)
    ground_truth.unlink()
    nib.save(nib.Nifti1Image(nonsense, labels.affine), ground_truth)
    (folder / "dataset.json").write_text((dataset_dir / "dataset.json").read_text(encoding="utf-8"))
    return folder


def test_both_protocols_are_reported_side_by_side(start, tmp_path):
    workflow = start(protocol="both")
    assert not workflow.check_properties()
    workflow.run()
    workflow.finalize()

    out = tmp_path / "out"
    found = rows(out)
    assert [(row["protocol"], row["scan"], row["label"]) for row in found] == [
        (protocol, "test_001", label) for protocol in ("leak_free", "legacy") for label in LABELS
    ]
    for row in found:
        assert 0 <= float(row["dice"]) <= 1 and float(row["hd95_mm"]) > 0
        assert math.isfinite(float(row["slice_dice"])) == (row["protocol"] == "legacy")
        assert (out / "cases" / row["protocol"] / f"test_001_{row['label']}.png").exists()
    figures = json.loads((out / "metrics.json").read_text(encoding="utf-8"))
    assert list(figures["protocols"]) == ["leak_free", "legacy"]
    run = json.loads((out / "run.json").read_text(encoding="utf-8"))
    assert (run["settings"]["seed"], run["settings"]["encoder"], run["settings"]["fold"]) == (
        "0",
        "FPNEncoder",
        "none",
    )
    assert [len(run["seconds"][protocol]) for protocol in figures["protocols"]] == [1, 1]
    page = (out / "report.html").read_text(encoding="utf-8")
    assert 'src="data:' in page and "http://" not in page and "https://" not in page


def test_a_leak_free_evaluation_reads_no_truth_before_it_scores(start, dataset_dir, tmp_path):
    nonsense = garbled(dataset_dir, tmp_path / "garbled")
    start("true", protocol="both").run()
    start("nonsense", dataset_dir=str(nonsense), protocol="both").run()
    true, garbage = tmp_path / "true", tmp_path / "nonsense"
    np.testing.assert_array_equal(voxels(true), voxels(garbage))
    told, misled = rows(true), rows(garbage)
    leak_free = range(len(LABELS))
    assert [told[label]["volume_ml"] for label in leak_free] == [misled[label]["volume_ml"] for label in leak_free]
    scores = ("dice", "hd95_mm")  # of a network that was trained for seconds: Dice alone may be 0 against either
    assert [told[i][score] for i in leak_free for score in scores] != [
        misled[i][score] for i in leak_free for score in scores
    ]
    # Nonsense is on every slice, and so the legacy protocol looks for the organs on every slice.
    assert [row["slices"] for row in misled[2:]] == ["10", "10"] != [row["slices"] for row in told[2:]]
    assert [row["volume_ml"] for row in misled[2:]] != [row["volume_ml"] for row in told[2:]]


@pytest.mark.parametrize("protocol", ["leak_free", "legacy"])
def test_more_support_scans_are_more_shots(start, dataset_dir, tmp_path, protocol):
    cases = [
        {"image": f"images/{name}.nii.gz", "label": f"labels/{name}.nii.gz"}
        for name in ("training_000", "validation_000", "test_001")
    ]
    labels = json.loads((dataset_dir / "dataset.json").read_text(encoding="utf-8"))["labels"]
    listed = tmp_path / "dataset.json"
    listed.write_text(json.dumps({"labels": labels, "test": cases}))
    start(dataset_json=str(listed), support_scans=2, protocol=protocol).run()
    assert {row["scan"] for row in rows(tmp_path / "out")} == {"test_001"}
    shown = json.loads((tmp_path / "out" / "run.json").read_text(encoding="utf-8"))["support"][protocol]["shown"]
    assert {slice_["caption"].split(",")[0] for slice_ in shown} == {"training_000", "validation_000"}


def test_evaluations_are_taken_together(start, configs, tmp_path):
    for name, value in LABELS.items():
        start(name, label_names={name: value}, protocol="legacy").run()
    evaluations = [str(tmp_path / name) for name in LABELS]
    workflow = ConfigWorkflow(
        workflow_type="eval",
        config_file=str(configs / "report.yaml"),
        meta_file=str(configs / "metadata.json"),
        run_id="reporting",
        evaluations=evaluations,
        output_dir=str(tmp_path / "all"),
    )
    workflow.initialize()
    workflow.run()
    assert [row["label"] for row in rows(tmp_path / "all")] == list(LABELS)
    assert (tmp_path / "all" / "report.html").exists()


def message(workflow):
    with pytest.raises(Exception) as caught:
        workflow().run()
    error = caught.value
    while not isinstance(error, InputError):
        error = error.__cause__
    return str(error)


def test_what_cannot_be_evaluated_is_refused(start, tmp_path):
    assert message(lambda: start(protocol="published")) == (
        "protocol is 'published'; choose leak_free, legacy or both."
    )
    assert message(lambda: start(support_scans=2)) == (
        "support_scans is 2, but the section has 2 scans; expected 1 to 1, which leaves at least one scan to segment."
    )
    assert not (tmp_path / "out").exists()
