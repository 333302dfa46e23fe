"""The commands of the README on tiny data sets in the public layouts: prepare, train, evaluate."""

import csv
import itertools
import runpy
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
from monai.bundle import ConfigParser

from protoseg.data.episodes.superpixels import CT_THRESHOLD, superpixel_intensity, superpixels
from protoseg.data.io.datalists import load_datalist

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = ROOT / "bundle" / "protoseg" / "commands" / "prepare.py"
CONFIGS = ROOT / "bundle" / "configs"
GOLDEN = np.load(ROOT / "tests" / "data" / "superpixels_ct.npz")
FEW = {"device": "cpu", "workers": 0, "batch_size": 2, "epochs": 1, "epoch_length": 2}


def prepare_data(*arguments: object) -> None:
    """Run the script in this process."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(sys, "argv", ["prepare_data", *map(str, arguments)])
        runpy.run_path(str(SCRIPT), run_name="__main__")


def files(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


@pytest.fixture(scope="module")
def chaos(write_chaos, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("chaos")
    prepare_data("chaos", write_chaos(folder / "source", mr=["1", "2", "3"]), folder / "out", *tiny())
    return folder / "out"


@pytest.fixture(scope="module")
def chaos_ct(write_chaos, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("chaos_ct")
    source = write_chaos(folder / "source", ct=["1", "2", "3"])
    prepare_data("chaos", source, folder / "out", "--sequence", "ct", "--border", 4, *tiny())
    return folder / "out"


@pytest.fixture(scope="module")
def btcv(write_btcv, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("btcv")
    prepare_data("btcv", write_btcv(folder / "source", [1, 2, 3, 4]), folder / "out", "--border", 4, *tiny())
    return folder / "out"


@pytest.fixture(scope="module")
def polyp(write_polyps, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("polyp")
    write_polyps(folder / "source" / "Kvasir", 10, mask=".jpg")
    write_polyps(folder / "source" / "ETIS-LaribPolypDB", 2, image=".png")
    prepare_data("polyp", folder / "source", folder / "out", *tiny(size=False))
    return folder / "out"


@pytest.fixture(scope="module")
def folder(write_listed, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("folder")
    prepare_data("folder", write_listed(folder / "source"), folder / "out", *tiny(size=False))
    return folder / "out"


def tiny(*, size: bool = True) -> Sequence[object]:
    return ("--image_size", 64, "--workers", 0, *(("--size", 64) if size else ()))


RUNS: dict[str, tuple[list[str], dict[str, Any]]] = {
    "chaos": (["left_kidney", "right_kidney"], {}),
    "chaos_ct": (["liver"], {}),
    "btcv": (["liver", "spleen"], {"label_set": 1, "setting": 2, "fold": 2, "exclude_labels": [3]}),
    "polyp": (["polyp"], {}),
    "folder": (["liver", "spleen"], {}),
}


@pytest.mark.parametrize("name", RUNS)
def test_train_and_evaluate_what_was_prepared(name, start_workflow, request, tmp_path) -> None:
    dataset_dir = request.getfixturevalue(name)
    labels, overrides = RUNS[name]
    cached = files(dataset_dir / "cache")
    configs = ("train.yaml", f"datasets/{name}.yaml")
    chosen = {**FEW, "dataset_dir": str(dataset_dir), **overrides}

    training = start_workflow("train", *configs, **chosen, output_dir=str(tmp_path / "training"))
    training.run()
    training.finalize()
    assert files(dataset_dir / "cache") == cached  # nothing was made again

    results = tmp_path / "evaluation"
    section = "test_ETIS-LaribPolypDB" if name == "polyp" else "test"
    chosen |= {"weights": str(tmp_path / "training" / "best.pt"), "output_dir": str(results)}
    evaluation = start_workflow("eval", *configs, "evaluate.yaml", **chosen, section=section, protocol="both")
    evaluation.run()
    evaluation.finalize()
    with (results / "metrics.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    queries = load_datalist(dataset_dir / "dataset.json", section, fold=overrides.get("fold"))[1:]
    expected = itertools.product(("leak_free", "legacy"), (case["id"] for case in queries), labels)
    assert sorted((row["protocol"], row["scan"], row["label"]) for row in rows) == sorted(expected)
    assert (results / "report.html").stat().st_size > 0


def test_a_second_run_makes_what_is_missing(btcv: Path) -> None:
    before = contents(btcv)
    (btcv / "cache" / sorted(files(btcv / "cache"))[0]).unlink()
    (btcv / "records" / "img0003.json").unlink()
    prepare_data("btcv", btcv.parent / "source", btcv, "--border", 4, *tiny())
    after = contents(btcv)
    assert {path: after.get(path) for path in before} == before


def contents(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file() and path.name != ".lock"}


def test_published_mr_slices_stay_whole() -> None:
    parser = ConfigParser()
    parser.read_config([str(CONFIGS / "train.yaml"), str(CONFIGS / "datasets" / "chaos.yaml")])
    names = [type(transform).__name__ for transform in parser.get_parsed_content("preprocessing").transforms]
    assert names == ["LoadVolumed", "LoadLabelsd", "OrientSlicesd", "SquarePixelsd", "NormalizeByModalityd"]


def test_bad_input_ends_with_one_sentence(tmp_path: Path) -> None:
    command = [sys.executable, SCRIPT, "btcv", tmp_path, tmp_path / "out"]
    finished = subprocess.run(command, capture_output=True, text=True, encoding="utf-8", check=False)
    assert finished.returncode == 2
    assert finished.stderr == (
        f"Error: {tmp_path}: found no scans, expected RawData/Training/img/img0001.nii.gz and so on. "
        "Give the folder that holds RawData.\n"
    )
    assert not (tmp_path / "out").exists()


def test_superpixels_of_a_real_ct_are_the_published_ones(tmp_path: Path, real_scans: Path) -> None:
    training = tmp_path / "source" / "RawData" / "Training"
    for folder, name in (("img", "ct_a.nii.gz"), ("label", "ct_a_labels.nii.gz")):
        (training / folder).mkdir(parents=True)
        for number in (1, 2, 3):  # as many as are needed for folds
            (training / folder / f"{folder}000{number}.nii.gz").symlink_to(real_scans / name)
    prepare_data("btcv", tmp_path / "source", tmp_path / "out", "--border", 0, "--workers", 0)
    scan = superpixel_intensity(np.asarray(nibabel.load(tmp_path / "out" / "images" / "img0001.nii.gz").dataobj))
    for index in (5, 15, 25):
        np.testing.assert_allclose(scan[..., index], GOLDEN[f"ct{index}/image"], atol=2e-5)
        found = superpixels(scan[..., index], threshold=CT_THRESHOLD)
        pairs = np.unique(np.stack([found.ravel(), GOLDEN[f"ct{index}/superpixels"].ravel()]), axis=1)
        assert [len(np.unique(row)) for row in pairs] == [pairs.shape[1]] * 2  # one to one
        np.testing.assert_array_equal(found == 0, GOLDEN[f"ct{index}/superpixels"] == 0)
