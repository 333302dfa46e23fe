"""MONAI Label's stock app for bundles runs this bundle as it is."""

import shutil
import sys
from pathlib import Path

import nibabel
import numpy as np
import pytest
from monailabel.interfaces.utils.app import app_instance, clear_cache

BUNDLE = Path(__file__).parents[2] / "bundle"
STOCK_APP = Path(sys.prefix) / "monailabel" / "sample-apps" / "monaibundle"


@pytest.fixture
def stock_app(studies, dataset, tmp_path, monkeypatch):
    """The app over person1 to person3; person0 and its labels are where the bundle looks for its support."""
    app = tmp_path / "app"
    shutil.copytree(STOCK_APP, app)
    (app / "model").mkdir()
    (app / "model" / "protoseg").symlink_to(BUNDLE)
    support = tmp_path / "data" / "synthetic"
    support.mkdir(parents=True)
    (studies / "person0.nii.gz").rename(support / "support.nii.gz")
    shutil.copy(dataset / "labels" / "training_000.nii.gz", support / "support_labels.nii.gz")
    monkeypatch.chdir(tmp_path)
    yield app_instance(str(app), str(studies), {"models": "protoseg", "zoo_source": "ngc", "sam2": "false"})
    clear_cache()


@pytest.mark.skipif(not STOCK_APP.exists(), reason="MONAI Label's sample apps are not installed")
def test_the_stock_app_segments_by_the_support(stock_app, ground_truth, studies):
    assert stock_app.info()["models"]["protoseg"]["type"] == "segmentation"
    answer = stock_app.infer({"model": "protoseg", "image": "person1", "device": "cpu"})
    found = nibabel.load(answer["file"])
    np.testing.assert_allclose(found.affine, nibabel.load(studies / "person1.nii.gz").affine, atol=1e-4)
    liver = np.asarray(found.dataobj) == 4
    assert liver.shape == ground_truth(1, "liver").shape
    assert 2 * (liver & ground_truth(1, "liver")).sum() / (liver.sum() + ground_truth(1, "liver").sum()) > 0.75
