"""`protoseg segment` without MONAI writes the files that the bundle's workflow writes."""

import json
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
from PIL import Image
from two_organs import ct, gray, nifti, organs, picture

from protoseg.errors import InputError
from protoseg.workflows import bundle_runs
from protoseg.workflows.bundle_runs import run_bundle
from protoseg.workflows.inference import run_inference

SMALL = {"device": "cpu", "image_size": 64, "precision": "float32"}


@pytest.fixture
def ct_scan(tmp_path: Path) -> dict[str, Any]:
    scan, labels = nifti(tmp_path / "scan.nii.gz", ct()), nifti(tmp_path / "labels.nii.gz", organs())
    more = nifti(tmp_path / "again.nii.gz", ct()[::-1].copy())
    return {"support_image": str(scan), "support_label": str(labels), "query": [str(scan), str(more)]}


@pytest.fixture
def conflicting_scans(ct_scan: dict[str, Any], tmp_path: Path) -> dict[str, Any]:
    other = nifti(tmp_path / "other.nii.gz", ct())
    mixed_up = nifti(tmp_path / "mixed_up.nii.gz", np.array([0, 2, 1], np.uint8)[organs()])
    images, labels = [ct_scan["support_image"], str(other)], [ct_scan["support_label"], str(mixed_up)]
    return {"support_image": images, "support_label": labels, "query": str(other)}


@pytest.fixture
def mr_scan(tmp_path: Path) -> dict[str, Any]:
    coronal = np.diag([-10.0, 25.0, 8.0, 1.0])[:, [0, 2, 1, 3]]
    voxels = np.where(ct() < -500, 10, ct() + 60)  # air that is no padding
    voxels += np.random.default_rng(0).normal(0, 3, ct().shape).astype(np.float32)
    scan = nifti(tmp_path / "scan.nii.gz", voxels, coronal)
    labels = nifti(tmp_path / "labels.nii.gz", organs(), coronal)
    return {"support_image": str(scan), "support_label": str(labels), "query": str(scan)}


@pytest.fixture
def a_picture(tmp_path: Path) -> dict[str, Any]:
    scan = picture(tmp_path / "scan.png", gray())
    labels = picture(tmp_path / "labels.png", organs()[:, :, 1].T.copy())
    return {"support_image": str(scan), "support_label": str(labels), "query": str(scan)}


@pytest.mark.usefixtures("surroundings")
@pytest.mark.parametrize(
    ("inputs", "overlays", "options"),
    [
        ("ct_scan", [], {}),
        ("ct_scan", ["refiners/guided.yaml"], {"support_selection": "all", "inferer#estimate_quality": False}),
        ("mr_scan", [], {"components": "none", "label_names": {"liver": 1}, "rejection_threshold": None}),
        ("a_picture", [], {"refiner": "$None"}),
        ("conflicting_scans", [], {"refiner": "$None"}),
    ],
)
def test_both_ways_write_the_same_files(
    request: pytest.FixtureRequest, tmp_path: Path, inputs: str, overlays: list[str], options: dict[str, Any]
) -> None:
    options = {**request.getfixturevalue(inputs), **SMALL, **options}
    run_bundle("inference", overlays, {**options, "output_dir": str(tmp_path / "monai")})
    run_inference(overlays, {**options, "output_dir": str(tmp_path / "plain")})
    written = sorted(path.name for path in (tmp_path / "monai").iterdir())
    assert sorted(path.name for path in (tmp_path / "plain").iterdir()) == written
    assert len(written) >= 3
    for name in written:
        theirs, mine = tmp_path / "monai" / name, tmp_path / "plain" / name
        if name.endswith(".nii.gz"):
            expected, found = nibabel.load(theirs), nibabel.load(mine)
            assert found.header == expected.header
            assert np.asarray(expected.dataobj).any()
            np.testing.assert_array_equal(np.asarray(found.dataobj), np.asarray(expected.dataobj))
        elif name.endswith(".json"):
            assert json.loads(mine.read_text(encoding="utf-8")) == json.loads(theirs.read_text(encoding="utf-8"))
        else:
            np.testing.assert_array_equal(np.asarray(Image.open(mine)), np.asarray(Image.open(theirs)))


def test_an_unreadable_query_does_not_stop_the_others(ct_scan: dict[str, Any], tmp_path: Path) -> None:
    scan, _ = ct_scan["query"]
    broken = tmp_path / "broken.nii.gz"
    broken.write_bytes(b"no image")
    options = {**ct_scan, **SMALL, "query": [str(broken), scan], "output_dir": str(tmp_path / "out")}
    with pytest.raises(InputError, match=r"1 of 2 queries could not be segmented:\n  .*broken.nii.gz cannot be read"):
        run_inference([], options)
    assert (tmp_path / "out/scan_seg.json").exists()


@pytest.mark.parametrize(
    ("overlay", "left"), [("postprocessing: null\n", True), ("evaluator#device: cpu\n", True), ("choice: all\n", False)]
)
def test_another_workflow_is_left_to_monai(
    ct_scan: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, overlay: str, left: bool
) -> None:
    jobs: list[str] = []
    monkeypatch.setattr(bundle_runs, "run_bundle", lambda job, *rest: jobs.append(job))
    (tmp_path / "overlay.yaml").write_text(overlay, encoding="utf-8")
    run_inference([tmp_path / "overlay.yaml"], {**ct_scan, **SMALL, "output_dir": str(tmp_path / "out")})
    assert jobs == (["inference"] if left else [])
