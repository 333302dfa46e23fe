"""What is segmented of a folder, and what is left out with a word."""

import json
from pathlib import Path

import numpy as np
import pytest
import SimpleITK
from PIL import Image

from protoseg.data.io.queries import find_queries, query_list
from protoseg.data.io.results import is_result
from protoseg.data.preprocessing.planes import SLICE_AXES
from protoseg.errors import InputError

REPORT = {"query": "images/a.nii.gz", "labels": {}, "settings": {}}


def series(folder: Path) -> Path:
    folder.mkdir()
    image = SimpleITK.GetImageFromArray(np.zeros((1, 9, 9), np.int16))
    SimpleITK.WriteImage(image, str(folder / "1.dcm"))
    return folder


def test_results_of_an_earlier_run_are_no_queries(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    names = ["a.nii.gz", "a_seg.nii.gz", "a_seg.png", "a_seg_labels.png", "b.png", "b_seg.nii.gz", "c_seg_labels.png"]
    for name in names:
        (tmp_path / name).touch()
    (tmp_path / "a_seg.json").write_text(json.dumps(REPORT), encoding="utf-8")
    (tmp_path / "b_seg.json").write_text('{"made by": "another program"}', encoding="utf-8")
    found = [path.name for path in find_queries(tmp_path)]
    assert found == ["a.nii.gz", "b.png", "b_seg.nii.gz", "c_seg_labels.png"]
    assert caplog.messages == [
        f"{tmp_path}: left out a_seg.nii.gz, a_seg.png, a_seg_labels.png: results of an earlier run, whose reports lie "
        "beside them."
    ]


def test_a_result_that_is_named_itself_is_segmented(tmp_path: Path) -> None:
    (tmp_path / "a_seg.nii.gz").touch()
    (tmp_path / "a_seg.json").write_text(json.dumps(REPORT), encoding="utf-8")
    assert is_result(tmp_path / "a_seg.nii.gz")
    assert find_queries(tmp_path / "a_seg.nii.gz") == [tmp_path / "a_seg.nii.gz"]
    with pytest.raises(InputError, match="holds no image and no DICOM series"):
        find_queries(tmp_path)


@pytest.mark.parametrize("content", ["", "[]", "{", json.dumps({"query": "a"})])
def test_without_a_report_of_ours_nothing_is_a_result(tmp_path: Path, content: str) -> None:
    (tmp_path / "a_seg.json").write_text(content, encoding="utf-8")
    assert not is_result(tmp_path / "a_seg.nii.gz")


def test_images_beside_the_slices_of_a_series_are_left_out_with_a_word(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = series(tmp_path / "series")
    for number in range(5):
        Image.new("L", (9, 9)).save(folder / f"{number}.png")
    (folder / "series_seg.nii.gz").touch()
    (folder / "series_seg.json").write_text(json.dumps(REPORT), encoding="utf-8")
    assert find_queries(folder) == [folder]
    assert caplog.messages == [
        f"{folder}: left out series_seg.nii.gz: results of an earlier run, whose reports lie beside them.",
        f"{folder} is read as one DICOM series; left out 0.png, 1.png, 2.png and 2 more beside its slices. Give them, "
        "or a folder of their own, to segment them.",
    ]
    caplog.clear()
    (tmp_path / "z.nii").touch()
    assert find_queries(tmp_path) == [folder, tmp_path / "z.nii"]
    assert not caplog.messages


def test_a_number_is_a_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    series(tmp_path / "12")
    assert query_list(12) == [{"image": "12", SLICE_AXES: None}]
    with pytest.raises(InputError) as error:
        query_list(12.5)  # type: ignore[arg-type]
    assert str(error.value) == (
        "query is read as 12.5, expected a path. Put ./ before a name that looks like a number."
    )
