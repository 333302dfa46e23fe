"""The bundle's workflows from end to end: initialise, check the properties, run, finalise."""

import csv
import json
import math
import shutil

import nibabel as nib
import numpy as np
import pytest
import torch
from nibabel.orientations import axcodes2ornt, io_orientation, ornt_transform
from PIL import Image

from protoseg.engine.inferer import OneShotInferer

ORIENTATIONS = ("RAS", "LPS", "PSR")
LABELS = {"liver": 4, "bowel": 11}


def reoriented(image, axcodes):
    turn = ornt_transform(io_orientation(image.affine), axcodes2ornt(tuple(axcodes)))
    return image.as_reoriented(turn)


def voxels(path):
    return np.asarray(nib.load(path).dataobj)


@pytest.fixture(scope="module")
def queries(dataset_dir, tmp_path_factory):
    """One scan, stored in several orientations."""
    folder = tmp_path_factory.mktemp("queries")
    scan = nib.load(dataset_dir / "images" / "test_001.nii.gz")
    for axcodes in ORIENTATIONS:
        reoriented(scan, axcodes).to_filename(folder / f"{axcodes.lower()}.nii.gz")
    return folder


@pytest.fixture
def start_inference(start_workflow, dataset_dir, trained, queries, tmp_path):
    def start(**overrides):
        files = {
            "support_image": str(dataset_dir / "images" / "test_000.nii.gz"),
            "support_label": str(dataset_dir / "labels" / "test_000.nii.gz"),
            "query": str(queries),
            "weights": str(trained / "best.pt"),
            "output_dir": str(tmp_path),
            "label_names": LABELS,
        }
        return start_workflow("infer", "inference.yaml", **{**files, **overrides})

    return start


@pytest.fixture
def start_evaluation(start_workflow, dataset_dir, trained, tmp_path):
    def start(**overrides):
        settings = {
            "dataset_dir": str(dataset_dir),
            "output_dir": str(tmp_path),
            "weights": str(trained / "best.pt"),
            "label_names": LABELS,
        }
        return start_workflow("eval", "train.yaml", "evaluate.yaml", **{**settings, **overrides})

    return start


@pytest.mark.parametrize("run_id", ["run", "training"])
def test_training(start_training, tmp_path, run_id):
    workflow = start_training(tmp_path, run_id=run_id)
    assert not workflow.check_properties()
    workflow.run()
    workflow.finalize()
    assert workflow.trainer.state.iteration == 6
    assert workflow.evaluator.state.epoch == 2
    assert {path.name for path in tmp_path.glob("*.pt")} == {"best.pt", "last.pt"}


@pytest.mark.parametrize("run_id", ["run", "evaluating"])
def test_evaluation(start_evaluation, dataset_dir, tmp_path, run_id):
    workflow = start_evaluation(run_id=run_id)
    assert not workflow.check_properties()
    workflow.run()
    workflow.finalize()

    with (tmp_path / "metrics.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(row["scan"], row["label"]) for row in rows] == [("test_001", "liver"), ("test_001", "bowel")]
    predicted = voxels(tmp_path / "test_001_seg.nii.gz")
    true = voxels(dataset_dir / "labels" / "test_001.nii.gz")
    for row, value in zip(rows, LABELS.values()):
        overlap = ((predicted == value) & (true == value)).sum()
        dice = 2 * overlap / ((predicted == value).sum() + (true == value).sum())
        assert float(row["dice"]) == pytest.approx(dice, abs=5e-5)
        assert float(row["volume_ml"]) == pytest.approx((predicted == value).sum() * 8 * 8 * 24 / 1000, abs=5e-5)
        assert float(row["reference_ml"]) == pytest.approx((true == value).sum() * 8 * 8 * 24 / 1000, abs=5e-5)
    summary = json.loads((tmp_path / "metrics.json").read_text(encoding="utf-8"))
    mean = math.fsum(float(row["dice"]) for row in rows) / 2
    assert summary["mean_dice"] == pytest.approx(mean, abs=1e-4) and mean > 0
    assert set(summary["labels"]) == set(LABELS)
    assert (tmp_path / "test_001_seg.png").exists()


def test_truth_outside_the_body_counts(start_evaluation, dataset_dir, tmp_path):
    folder = tmp_path / "data"
    shutil.copytree(dataset_dir, folder)
    path = folder / "labels" / "test_001.nii.gz"
    labels = nib.load(path)
    drawn = np.array(labels.dataobj)
    drawn[:2, :2] = LABELS["liver"]  # in the air
    nib.save(nib.Nifti1Image(drawn, labels.affine), path)

    workflow = start_evaluation(dataset_dir=str(folder))
    (scan,) = workflow.parser.get_parsed_content("dataset")
    drawn_voxels = int((drawn == LABELS["liver"]).sum())
    assert int((scan["label"] == LABELS["liver"]).sum()) < drawn_voxels, "the crop cuts the label"
    workflow.run()
    workflow.finalize()
    with (tmp_path / "metrics.csv").open(newline="") as file:
        liver = next(csv.DictReader(file))
    assert float(liver["reference_ml"]) == pytest.approx(drawn_voxels * 8 * 8 * 24 / 1000, abs=5e-5)


@pytest.fixture
def seen(monkeypatch):
    """Devices of the volumes that the engine is given."""
    devices = []
    segment = OneShotInferer.__call__

    def noting(self, inputs, *args, **kwargs):
        devices.append(inputs.device.type)
        return segment(self, inputs, *args, **kwargs)

    monkeypatch.setattr(OneShotInferer, "__call__", noting)
    return devices


def test_scans_stay_on_the_cpu_whatever_the_device(start_evaluation, start_inference, queries, tmp_path, seen):
    start_evaluation(**{"validate#evaluator#device": "meta"}).run()
    assert (tmp_path / "metrics.csv").exists()
    start_inference(query=str(queries / "ras.nii.gz"), **{"evaluator#device": "meta"}).run()
    assert (tmp_path / "ras_seg.nii.gz").exists()
    assert seen == ["cpu", "cpu"]


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_training_evaluation_and_inference_on_a_gpu(start_training, start_evaluation, start_inference, tmp_path, seen):
    start_training(tmp_path, device="cuda").run()
    weights = str(tmp_path / "best.pt")
    start_evaluation(device="cuda", weights=weights).run()
    start_inference(device="cuda", weights=weights).run()
    assert (tmp_path / "metrics.csv").exists()
    assert len(list(tmp_path.glob("*_seg.json"))) == len(ORIENTATIONS)
    assert set(seen) == {"cpu"}


def test_an_unreadable_query_does_not_stop_the_others(start_inference, queries, tmp_path):
    folder = tmp_path / "queries"
    shutil.copytree(queries, folder)
    broken = folder / "lps.nii.gz"
    broken.write_bytes(b"no NIfTI")
    workflow = start_inference(query=str(folder), output_dir=str(tmp_path / "out"))
    with pytest.raises(Exception) as caught:
        workflow.run()
    assert str(caught.value.__cause__) == (
        f"1 of 3 queries could not be segmented:\n  {broken} cannot be read: it is damaged, "
        "incomplete, or not in the format of its name. Get a fresh copy."
    )
    assert sorted(path.name for path in (tmp_path / "out").glob("*.nii.gz")) == ["psr_seg.nii.gz", "ras_seg.nii.gz"]
    assert workflow.evaluator.state.iteration == 2


@pytest.mark.parametrize("run_id", ["run", "inference"])
def test_inference_gives_each_query_a_label_map_on_its_own_grid(start_inference, queries, tmp_path, run_id):
    workflow = start_inference(run_id=run_id)
    assert not workflow.check_properties()
    workflow.run()
    workflow.finalize()

    written = sorted(path.name for path in tmp_path.iterdir())
    assert written == sorted(
        f"{axcodes.lower()}_seg{suffix}" for axcodes in ORIENTATIONS for suffix in (".nii.gz", ".json", ".png")
    )
    upright = []
    for axcodes in ORIENTATIONS:
        query = nib.load(queries / f"{axcodes.lower()}.nii.gz")
        result = nib.load(tmp_path / f"{axcodes.lower()}_seg.nii.gz")
        assert result.get_data_dtype() == np.uint8
        assert result.shape == query.shape
        np.testing.assert_allclose(result.affine, query.affine, rtol=0, atol=1e-5)
        upright.append(np.asarray(reoriented(result, "RAS").dataobj))
    assert set(np.unique(upright[0])) == {0, *LABELS.values()}
    for other in upright[1:]:
        np.testing.assert_array_equal(other, upright[0])


def test_inference_reports_volume_and_confidence_and_draws_a_picture(start_inference, queries, tmp_path):
    query = queries / "psr.nii.gz"
    workflow = start_inference(query=str(query))
    workflow.run()
    workflow.finalize()

    report = json.loads((tmp_path / "psr_seg.json").read_text(encoding="utf-8"))
    assert report["query"] == str(query)
    label_map = voxels(tmp_path / "psr_seg.nii.gz")
    for name, value in LABELS.items():
        said = report["labels"][name]
        assert said["value"] == value
        assert said["volume_ml"] == pytest.approx((label_map == value).sum() * 8 * 8 * 24 / 1000, abs=5e-3)
        assert 0 < said["confidence"] <= 1
    picture = np.asarray(Image.open(tmp_path / "psr_seg.png").convert("RGB"))
    assert picture.std() > 10


@pytest.mark.parametrize(
    ("label_names", "labels"),
    [
        ({"liver": 4}, {"liver": 4}),
        ('{"liver": 4, "bowel": 11}', {"liver": 4, "bowel": 11}),
        (None, {f"label_{value}": value for value in range(1, 14)}),
    ],
)
def test_label_names_choose_and_name_the_labels(start_inference, label_names, labels):
    support = start_inference(label_names=label_names).parser.get_parsed_content("support")
    assert support.labels == labels


@pytest.mark.parametrize("slices", [[4, 6], [5]])
def test_support_slices_choose_the_slices(start_inference, slices):
    support = start_inference(support_slices=slices).parser.get_parsed_content("support")
    assert [origin.slice_index for origin in support.origins] == slices
    assert support.images.shape == (len(slices), 3, 64, 64)
