"""Data sets as distributed become files that say what the sources said, on the published grid."""

import json
from pathlib import Path

import nibabel
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from protoseg.data.io.datalists import load_datalist
from protoseg.data.io.volumes import read_image, read_labels
from protoseg.data.preparation.btcv import find_btcv
from protoseg.data.preparation.chaos import find_chaos
from protoseg.data.preparation.folds import published_folds
from protoseg.data.preparation.geometry import PublishedCT, PublishedMR
from protoseg.data.preparation.listed import find_listed
from protoseg.data.preparation.polyp import find_polyps
from protoseg.data.preparation.prepare import prepare
from protoseg.data.preparation.scans import LabelledScan
from protoseg.errors import InputError
from protoseg.ops.volume import Volume

LPS = torch.diag(torch.tensor([-0.8, -0.8, 3.0, 1.0], dtype=torch.float64))


def scan(voxels: np.ndarray, labels: np.ndarray, affine: torch.Tensor = LPS) -> LabelledScan:
    meta = {"filename_or_obj": "scan.nii.gz"}
    image, drawn = (torch.from_numpy(array)[None] for array in (voxels.astype(np.float32), labels.astype(np.int16)))
    return LabelledScan(Volume.at(image, affine, meta), Volume.at(drawn, affine, {}))


def voxels(path: Path) -> np.ndarray:
    return np.asarray(nibabel.load(path).dataobj)


def dice(first: np.ndarray, second: np.ndarray) -> float:
    return float(2 * (first & second).sum() / (first.sum() + second.sum()))


def test_ct_is_windowed_cut_and_resized() -> None:
    ramp = np.broadcast_to(np.linspace(-1000, 1000, 512)[:, None, None], (512, 512, 2))
    labels = np.zeros(ramp.shape)
    labels[256:, :, 0] = 13
    image, drawn = PublishedCT()(scan(ramp, labels))
    assert drawn is not None
    assert image.shape == drawn.shape == (1, 256, 256, 2)
    assert (image.min(), image.max()) == (-125, 275)
    # The border goes: 448 of 512 pixels are left, 1.75 of them in a new one, whose centre is 0.375 further inside.
    np.testing.assert_allclose(image.affine.diagonal(), [-1.4, -1.4, 3, 1])
    np.testing.assert_allclose(image.affine[:3, 3], [-0.8 * 32.375, -0.8 * 32.375, 0])
    assert np.isin(drawn, (0, 13)).all()
    assert (drawn[0, :, :, 0] == 13).sum() == 128 * 256
    assert not drawn[..., 1].any()


def test_ct_672_has_the_same_field_of_view() -> None:
    labels = np.zeros((512, 512, 1))
    image, _ = PublishedCT(size=672)(scan(labels, labels))
    assert image.shape == (1, 672, 672, 1)
    np.testing.assert_allclose(image.affine[0, 0] * 672, -0.8 * 448)


def test_a_border_that_leaves_nothing_is_refused() -> None:
    flat = np.zeros((64, 64, 2))
    message = (
        "scan.nii.gz: slices of 64 x 64 pixels without a border of 32 pixels leave less than 8 x 8. "
        "Give a smaller border."
    )
    with pytest.raises(InputError) as caught:
        PublishedCT()(scan(flat, flat))
    assert str(caught.value) == message


def test_mr_is_cut_resampled_and_cropped() -> None:
    affine = torch.diag(torch.tensor([-2.5, -2.5, 3.85, 1.0], dtype=torch.float64))
    image = np.arange(200 * 200 * 5, dtype=np.float64).reshape(200, 200, 5)
    labels = np.zeros(image.shape)
    labels[100:, :, :] = 4
    resampled, drawn = PublishedMR()(scan(image, labels, affine))
    assert drawn is not None
    assert resampled.shape == drawn.shape == (1, 256, 256, 3)
    np.testing.assert_allclose(resampled.affine.diagonal(), [-1.25, -1.25, 7.7, 1])
    assert PublishedMR().cut(scan(image, labels).image).max() == pytest.approx(np.percentile(image, 99.5))
    # Voxels of 2.5 mm are halved: 399 from the first centre to the last, of which the 256 in the middle stay.
    start = (399 // 2 - 128) * 1.25
    np.testing.assert_allclose(resampled.affine[:3, 3], [-start, -start, 0])
    corner = start / 2.5 * (200 * 5 + 5)
    assert float(resampled[0, 0, 0, 0]) == pytest.approx(corner, rel=1e-5)
    first = 100 * 2 - (399 // 2 - 128)  # index of the first labelled centre; the one before is half labelled
    assert (drawn[0, :, 0, 0] == 4).tolist() == [index >= first for index in range(256)]


def test_small_mr_is_padded_with_its_darkest_value() -> None:
    image = np.full((40, 40, 2), 7.0)
    image[0, 0, 0] = 3
    resampled, _ = PublishedMR(size=64)(
        scan(image, np.zeros(image.shape), torch.diag(torch.tensor([1.25, 1.25, 7.7, 1])))
    )
    assert resampled.shape == (1, 64, 64, 2)
    assert (resampled == 7).sum() == 40 * 40 * 2 - 1
    assert resampled.unique().tolist() == [3, 7]


@given(st.integers(3, 60))
@settings(deadline=None, max_examples=30)
def test_folds_part_the_scans(total: int) -> None:
    scans = list(range(total))
    folds = published_folds(scans)
    tested = [scan for fold in folds for scan in fold["test"][1:]]
    assert tested == scans
    for fold in folds:
        support, *queries = fold["test"]
        assert fold["training"]
        assert sorted([*fold["training"], support, *queries]) == scans
        assert fold["validation"][0] == support
        assert set(fold["validation"][1:]) <= set(fold["training"])


def test_folds_are_the_published_ones() -> None:
    folds = published_folds(list(range(30)))
    assert [fold["test"] for fold in folds] == [
        [6, 0, 1, 2, 3, 4, 5],
        [12, 6, 7, 8, 9, 10, 11],
        [18, 12, 13, 14, 15, 16, 17],
        [24, 18, 19, 20, 21, 22, 23],
        [0, 24, 25, 26, 27, 28, 29],
    ]
    assert folds[1]["training"] == [*range(6), *range(13, 30)]
    assert folds[1]["validation"] == [12, 28, 29]


def test_two_scans_cannot_be_divided() -> None:
    with pytest.raises(InputError, match=r"Found 2 labelled scan\(s\), expected at least 3"):
        published_folds([1, 2])


@pytest.mark.parametrize("sequence", ["t2spir", "t1_in", "t1_out"])
def test_chaos_mr(write_chaos, tmp_path: Path, sequence: str) -> None:
    source = write_chaos(tmp_path / "chaos", mr=["1", "2", "10"])
    listed = prepare(find_chaos(source, sequence=sequence, size=64), tmp_path / "out")
    content = json.loads(listed.read_text(encoding="utf-8"))
    assert content["modality"] == "mr"
    assert content["labels"] == {"1": "liver", "2": "right_kidney", "3": "left_kidney", "4": "spleen"}
    assert [fold["test"] for fold in content["folds"]] == [["2", "1"], ["10", "2"], ["1", "10"]]
    assert [case["id"] for case in load_datalist(listed, "test", fold=1)] == ["10", "2"]
    case = content["training"][0]
    assert (case["size"], case["spacing"], case["modality"]) == ([64, 64, 8], [1.25, 1.25, 7.7], "mr")

    # The drawing of a slice lies on it, though its number counts from the head: organs are as bright as drawn.
    image, labels = (voxels(tmp_path / "out" / folder / "1.nii.gz") for folder in ("images", "labels"))
    ground_truth = image * (2 if sequence == "t1_out" else 1) - 100
    medians = [round(float(np.median(ground_truth[labels == value]))) for value in (1, 2, 3, 4)]
    np.testing.assert_allclose(medians, [110, 190, 190, 150], atol=3)
    assert [slice_ for slice_ in range(8) if (labels[..., slice_] == 1).any()] == [2, 3, 4, 5, 6]


def test_chaos_mr_keeps_the_geometry_of_the_source(write_chaos, tmp_path: Path) -> None:
    source = write_chaos(tmp_path / "chaos", mr=["1", "2", "3"])
    prepare(find_chaos(source, size=64), tmp_path / "out")
    before = read_image(source / "Train_Sets/MR/1/T2SPIR/DICOM_anon")
    after = read_image(tmp_path / "out/images/1.nii.gz")
    corner = torch.tensor([10.0, 20.0, 3.0, 1.0], dtype=torch.float64)  # a place in the old grid
    index = (torch.linalg.inv(after.affine) @ before.affine @ corner)[:3].round().long().tolist()
    assert float(after[0, *index]) == pytest.approx(float(before[0, 10, 20, 3]), abs=15)


def test_chaos_ct(write_chaos, tmp_path: Path) -> None:
    source = write_chaos(tmp_path / "chaos", ct=["1", "2", "5"])
    listed = prepare(find_chaos(source, sequence="ct", size=64, border=4), tmp_path / "out")
    content = json.loads(listed.read_text(encoding="utf-8"))
    assert (content["modality"], content["labels"]) == ("ct", {"1": "liver"})
    image, labels = (voxels(tmp_path / "out" / folder / "5.nii.gz") for folder in ("images", "labels"))
    assert image.shape == labels.shape == (64, 64, 8)
    assert (image.min(), np.unique(labels).tolist()) == (-125, [0, 1])
    assert image[labels == 1].mean() == pytest.approx(110, abs=6)


def test_btcv(write_btcv, tmp_path: Path) -> None:
    source = write_btcv(tmp_path / "btcv", [1, 2, 10])
    before = {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in source.rglob("*.gz")}
    listed = prepare(find_btcv(source, size=42, border=4), tmp_path / "out")
    assert {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in source.rglob("*.gz")} == before
    assert [case["id"] for case in load_datalist(listed, "test")] == ["img0002", "img0001"]
    cut = (slice(4, -4), slice(4, -4))
    # 42 of 42 pixels: nothing is interpolated.
    image, labels = (voxels(tmp_path / "out" / folder / "img0010.nii.gz") for folder in ("images", "labels"))
    np.testing.assert_array_equal(image, voxels(source / "RawData/Training/img/img0010.nii.gz")[cut].clip(-125, 275))
    np.testing.assert_array_equal(labels, voxels(source / "RawData/Training/label/label0010.nii.gz")[cut])


@pytest.mark.parametrize("layout", ["flat", "split", "pranet"])
def test_polyps(write_polyps, tmp_path: Path, layout: str) -> None:
    source = tmp_path / "polyps"
    if layout == "pranet":
        write_polyps(source / "TrainDataset", 10, parts="image mask")
        write_polyps(source / "TestDataset" / "CVC-300", 2, image=".png")
    else:
        write_polyps(source / "Kvasir", 10 if layout == "flat" else 12, mask=".jpg")
        write_polyps(source / "CVC-300", 2, image=".tif", mask=".bmp")
    if layout == "split":
        names = [str(number) for number in range(1, 13)]
        (source / "Kvasir/split.txt").write_text(
            "\n".join(["train", *names[:9], "val", *names[9:11], "test", names[11]])
        )
    listed = prepare(find_polyps(source), tmp_path / "out")
    content = json.loads(listed.read_text(encoding="utf-8"))
    ids = {section: [case["id"] for case in cases] for section, cases in content.items() if isinstance(cases, list)}
    trained = "TrainDataset" if layout == "pranet" else "Kvasir"
    own_test = {"flat": ["Kvasir_10"], "split": ["Kvasir_12"], "pranet": []}[layout]
    training = range(2, 11 if layout == "pranet" else 10)
    assert ids["training"] == [f"{trained}_{number}" for number in training]
    assert ids["test_CVC-300"] == [f"{trained}_1", "CVC-300_1", "CVC-300_2"]
    assert sorted(ids["test"][1:]) == sorted([*own_test, "CVC-300_1", "CVC-300_2"])
    expected = ["Kvasir_1", "Kvasir_10", "Kvasir_11"] if layout == "split" else [f"{trained}_1", *ids["training"][-2:]]
    assert ids["validation"] == expected

    image = read_image(tmp_path / "out/images/CVC-300_1.png")
    labels = read_labels(tmp_path / "out/labels/CVC-300_1.png")
    assert (image.shape, labels.unique().tolist()) == ((3, 80, 60, 1), [0, 1])
    assert image[0][labels[0] == 1].mean() == pytest.approx(200, abs=4)


def test_jpeg_masks_become_exact(write_polyps, tmp_path: Path) -> None:
    source = write_polyps(tmp_path / "Kvasir", 3, mask=".jpg")
    gray = np.asarray(Image.open(source / "masks/1.jpg"))
    assert len(np.unique(gray)) > 2
    prepare(find_polyps(source), tmp_path / "out")
    labels = np.asarray(Image.open(tmp_path / "out/labels/Kvasir_1.png"))
    assert np.unique(labels).tolist() == [0, 1]
    assert dice(labels > 0, gray > 127) == 1


def test_gray_pictures_become_rgb(write_polyps, tmp_path: Path) -> None:
    source = write_polyps(tmp_path / "Kvasir", 3, image=".png")
    Image.open(source / "images/2.png").convert("L").save(source / "images/2.png")
    prepare(find_polyps(source), tmp_path / "out")
    assert Image.open(tmp_path / "out/images/Kvasir_2.png").mode == "RGB"


def test_listed_scans_of_all_formats(write_listed, tmp_path: Path) -> None:
    listed = prepare(find_listed(write_listed(tmp_path / "mine")), tmp_path / "out")
    content = json.loads(listed.read_text(encoding="utf-8"))
    assert (content["modality"], content["labels"]) == ("ct", {"1": "liver", "2": "spleen"})
    assert len(content["folds"]) == 4
    for number in (1, 2, 3, 4):
        image, labels = (
            nibabel.load(tmp_path / f"out/{folder}/scan_{number}.nii.gz") for folder in ("images", "labels")
        )
        np.testing.assert_allclose(image.affine, np.diag([-1.6, -1.6, 7.7, 1]), atol=1e-5)
        assert image.get_data_dtype() == np.int16
        means = [np.asarray(image.dataobj)[np.asarray(labels.dataobj) == value].mean() for value in (1, 2)]
        np.testing.assert_allclose(means, [110, 150], atol=1)


def test_a_csv_list_with_sections(write_listed, write_polyps, tmp_path: Path) -> None:
    folder = write_polyps(tmp_path / "pictures", 3, image=".png")
    rows = ["image,label,section,id", "images/1.png,masks/1.png,test,first", "images/2.png,masks/2.png,test,"]
    (folder / "list.csv").write_text("\n".join([*rows, " , ,,", "images/3.png,,training,", ""]))
    listed = prepare(find_listed(folder / "list.csv", names='{"polyp": 1}'), tmp_path / "out")
    content = json.loads(listed.read_text(encoding="utf-8"))
    assert [case["id"] for case in content["test"]] == ["first", "2"]
    assert [set(case) & {"label"} for case in content["training"]] == [set()]
    assert (content["modality"], "folds" in content) == ("picture", False)


def test_sixteen_bit_pictures_keep_their_values(tmp_path: Path) -> None:
    ramp = np.arange(400, dtype=np.uint16).reshape(20, 20) * 100
    Image.fromarray(ramp).save(tmp_path / "deep.png")
    (tmp_path / "list.csv").write_text("image\ndeep.png\n")
    prepare(find_listed(tmp_path / "list.csv"), tmp_path / "out")
    np.testing.assert_array_equal(np.asarray(Image.open(tmp_path / "out/images/deep.png")), ramp)
