import json
from pathlib import Path
from typing import Any

import pytest

from protoseg.data.io.datalists import label_names, load_datalist, section_names
from protoseg.errors import InputError

CONTENT = {
    "labels": {"0": "background", "1": "liver", "2": "spleen"},
    "numTraining": 1,
    "training": [{"image": "images/a.nii.gz", "label": "labels/a.nii.gz", "fold": 3}],
    "test": ["images/b.nii.gz"],
    "validation": [],
}


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    for name in ("images/a.nii.gz", "images/b.nii.gz", "labels/a.nii.gz"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    path = tmp_path / "dataset.json"
    path.write_text(json.dumps(CONTENT))
    return path


def test_paths_become_absolute_and_the_rest_is_kept(dataset: Path) -> None:
    folder = dataset.parent
    assert load_datalist(dataset, "training") == [
        {"image": str(folder / "images/a.nii.gz"), "label": str(folder / "labels/a.nii.gz"), "fold": 3}
    ]
    assert load_datalist(dataset, "test") == [{"image": str(folder / "images/b.nii.gz")}]


def test_paths_start_from_the_given_folder(dataset: Path, tmp_path: Path) -> None:
    moved = tmp_path / "lists" / "mine.json"
    moved.parent.mkdir()
    moved.write_text(json.dumps({"all": [{"image": "a.nii.gz"}]}))
    expected = [{"image": str(tmp_path / "images/a.nii.gz")}]
    assert load_datalist(moved, "all", dataset_dir=tmp_path / "images") == expected


@pytest.mark.parametrize(
    "labels",
    [
        {"0": "background", "1": "liver", "2": "spleen"},
        {"background": 0, "liver": 1, "spleen": 2},
        {"0.0": "background", "1.0": "liver", "2": "spleen"},
        {"background": 0.0, "liver": 1.0, "spleen": "2.0"},
    ],
)
def test_label_names_of_both_layouts(tmp_path: Path, labels: dict) -> None:
    path = tmp_path / "dataset.json"
    path.write_text(json.dumps({"labels": labels}))
    assert label_names(path) == {"1": "liver", "2": "spleen"}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "{path} cannot be opened. Check the path to the data set's JSON file."),
        (
            "{",
            "{path} is not a JSON file: Expecting property name enclosed in double quotes: "
            "line 1 column 2 (char 1). Correct it.",
        ),
        (
            [1],
            '{path}: found a list, expected an object like {{"training": [...]}}. Give a data set\'s JSON file.',
        ),
        (
            {**CONTENT, "training": []},
            "{path}: no cases under 'training'; the sections with cases are 'test'. "
            "Name one of them, or add the cases.",
        ),
        (
            {},
            "{path}: no cases under 'training'; the sections with cases are none. Name one of them, or add the cases.",
        ),
        (
            {"training": [{"label": "labels/a.nii.gz"}]},
            "{path}: training[0]: found {{'label': 'labels/a.nii.gz'}}, expected a case like "
            '{{"image": "a.nii.gz", "label": "b.nii.gz"}}. Correct it.',
        ),
        (
            {"training": ["images/a.nii.gz", {"image": "images/b.nii.gz", "label": "labels/b.nii.gz"}]},
            "{path}: training[1]: the label {folder}/labels/b.nii.gz does not exist. Check dataset_dir and the path.",
        ),
    ],
)
def test_bad_datalists_are_explained(dataset: Path, content: Any, message: str) -> None:
    if content is None:
        dataset.unlink()
    else:
        dataset.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
    with pytest.raises(InputError) as error:
        load_datalist(dataset, "training")
    assert str(error.value) == message.format(path=dataset, folder=dataset.parent)


def test_missing_labels_are_explained(dataset: Path) -> None:
    dataset.write_text("{}", encoding="utf-8")
    with pytest.raises(InputError) as error:
        label_names(dataset)
    assert str(error.value) == f'{dataset}: no "labels". Add them, like "labels": {{"1": "liver"}}.'


def test_a_section_without_queries_is_refused(tmp_path):
    path = tmp_path / "dataset.json"
    path.write_text('{"validation": ["a.nii.gz"]}')
    with pytest.raises(InputError) as error:
        load_datalist(path, "validation", segmented=True)
    assert str(error.value) == (
        f"{path}: 'validation' has 1 case(s), expected at least 2: the first is the support and the others are "
        "segmented. Add cases."
    )


def test_queries_with_one_name_of_result_are_refused(tmp_path: Path) -> None:
    paths = [tmp_path / patient / "image.nii.gz" for patient in ("p1", "p2", "p3")]
    for path in paths:
        path.parent.mkdir()
        path.touch()
    dataset = tmp_path / "dataset.json"
    dataset.write_text(json.dumps({"test": [str(path) for path in paths]}))
    with pytest.raises(InputError) as error:
        load_datalist(dataset, "test", segmented=True)
    assert str(error.value) == (
        f"{dataset}: test: the results of {paths[1]} and {paths[2]} would both be named 'image'. "
        "Rename one of them, or list a scan once."
    )
    dataset.write_text(json.dumps({"test": [str(path) for path in paths[:2]]}))
    assert len(load_datalist(dataset, "test", segmented=True)) == 2, "the support has no results"
    assert len(load_datalist(dataset, "test")) == 2


FOLDED = {
    "training": [{"id": "a", "image": "a.nii"}],
    "test": [{"id": "b", "image": "b.nii"}, {"id": "c", "image": "c.nii"}],
    "folds": [{"training": ["a"], "test": ["b", "c"]}, {"training": ["b"], "test": ["c", "a"]}],
}


@pytest.mark.parametrize(("fold", "training", "test"), [(None, "a", "bc"), (0, "a", "bc"), (1, "b", "ca")])
def test_a_fold_names_its_cases(tmp_path: Path, fold: int | None, training: str, test: str) -> None:
    path = tmp_path / "dataset.json"
    path.write_text(json.dumps(FOLDED))
    for name in "abc":
        (tmp_path / f"{name}.nii").touch()
    assert section_names(path) == ["training", "test"]
    for section, expected in (("training", training), ("test", test)):
        found = load_datalist(path, section, fold=fold)
        assert [case["image"] for case in found] == [str(tmp_path / f"{name}.nii") for name in expected]


@pytest.mark.parametrize("fold", [2, -1])
def test_an_unknown_fold(tmp_path: Path, fold: int) -> None:
    path = tmp_path / "dataset.json"
    path.write_text(json.dumps(FOLDED))
    with pytest.raises(InputError) as caught:
        load_datalist(path, "test", fold=fold)
    assert str(caught.value) == (
        f"{path}: there is no fold {fold}, it has 2 folds, counted from 0. Choose another fold."
    )


def test_a_list_without_folds(tmp_path: Path) -> None:
    path = tmp_path / "dataset.json"
    path.write_text(json.dumps({key: value for key, value in FOLDED.items() if key != "folds"}))
    with pytest.raises(InputError) as caught:
        load_datalist(path, "test", fold=0)
    assert str(caught.value) == f"{path}: it has no folds. Leave out fold, or make the list by protoseg prepare."
