"""Requests that cannot be answered: each gets one clear sentence, and the server lives on."""

import json

import nibabel
import numpy as np
import pytest

from protoseg.errors import InputError


@pytest.fixture
def client(start, label):
    client = start()
    client.submit("person0", *label(0, ["liver"]))
    return client


REQUESTS = [
    ("oneshot", "nobody", {}, 404, "There is no image 'nobody'"),
    ("oneshot", "../person1", {}, 404, "There is no image '../person1'"),
    ("twoshot", "person1", {}, 404, "There is no model 'twoshot'"),
    ("oneshot", "person1", {"label_prompt": [9]}, 400, "label_prompt holds 9; the labels are 1 (liver)."),
    ("oneshot", "person1", {"component_filter": "two"}, 400, "component_filter is 'two'; choose"),
    ("oneshot", "person1", {"result_extension": ".exe"}, 400, "result_extension is '.exe'"),
]


def test_a_request_that_cannot_be_answered(client):
    for model, image, params, status, message in REQUESTS:
        answer = client.infer(model, image, **params)
        assert answer.status_code == status
        assert message in answer.json()["detail"]
    assert client.infer("oneshot", "person1").status_code == 200


def test_what_is_no_request_at_all(client):
    malformed = client.http.post("/infer/oneshot", params={"image": "person1"}, data={"params": "{no json"})
    assert malformed.status_code == 400
    assert "is not JSON" in malformed.json()["detail"]
    for address in ("/activelearning/at_random", "/train/everything", "/scoring/beauty", "/batch/infer/twoshot"):
        assert client.http.post(address, json={}).status_code == 404
    assert client.http.get("/info/").status_code == 200


def test_training_by_numbers_that_are_none(start):
    client = start(adapt="true")
    for value in (0, -1, "many", None):
        answer = client.http.post("/train/adapt", params={"run_sync": True}, json={"epoch_length": value})
        assert answer.status_code == 400
        assert f"epoch_length is {value!r}; expected a whole number above 0." in answer.json()["detail"]


def test_images_that_cannot_be_segmented(start, label, studies):
    for name, voxels in (
        ("four_dimensions", np.random.default_rng(0).normal(size=(32, 32, 4, 2))),
        ("unusable", np.full((32, 32, 4), np.nan)),
    ):
        nibabel.save(nibabel.Nifti1Image(voxels.astype(np.float32), np.eye(4)), studies / f"{name}.nii.gz")
    (studies / "half.nii.gz").write_bytes((studies / "person1.nii.gz").read_bytes()[:5000])
    client = start()
    client.submit("person0", *label(0, ["liver"]))
    for image, message in (
        ("four_dimensions", "32 x 32 x 4 x 2 voxels in 4 dimensions, expected one 3D volume"),
        ("unusable", "4096 of 4096 voxels are NaN or infinite"),
        ("half", "cannot be read: it is damaged, incomplete"),
    ):
        answer = client.infer("oneshot", image)
        assert answer.status_code == 400
        assert message in answer.json()["detail"]


def test_labels_that_cannot_be_stored(client, label, tmp_path):
    file, info = label(1, ["liver"])
    drawn = nibabel.load(file)
    moved = drawn.affine.copy()
    moved[:3, 3] += 50
    for name, voxels, affine, message in (
        ("elsewhere", np.asarray(drawn.dataobj), moved, "lies elsewhere than the image"),
        ("small", np.ones((9, 9, 9), np.uint8), drawn.affine, "9 x 9 x 9 voxels"),
        ("empty", np.zeros(drawn.shape, np.uint8), drawn.affine, "no voxel is labelled"),
    ):
        path = tmp_path / f"{name}.nii.gz"
        nibabel.save(nibabel.Nifti1Image(voxels, affine), path)
        answer = client.submit("person1", path, info)
        assert answer.status_code == 400, name
        assert message in answer.json()["detail"]
    assert client.submit("nobody", file, info).status_code == 404
    assert json.loads(client.http.get("/datastore/").text)["completed"] == 1


@pytest.mark.parametrize(
    ("conf", "message"),
    [
        (
            {"imagesize": "64"},
            "--conf imagesize: there is no such option. There are adapt, annotate_groups, api_keys, encoder",
        ),
        ({"adapt": "sometimes"}, "--conf adapt is 'sometimes'; expected true or false."),
        ({"max_support_slices": "none"}, "--conf max_support_slices is 'none'; expected a whole number"),
        ({"support_slices": "some"}, "--conf support_slices is 'some'; expected largest, thirds, all."),
        ({"max_label_slices": "3"}, "--conf max_label_slices is 3; expected a mapping"),
        ({"label_names": "liver"}, "--conf label_names: found 'liver', expected a mapping"),
        ({"encoder": "vit"}, "--conf encoder is 'vit'; expected a YAML file or one of clip_vitb16"),
        ({"weights": "none.pt"}, "Weights file none.pt does not exist"),
    ],
)
def test_a_server_that_cannot_start_says_why(start, conf, message):
    with pytest.raises(InputError) as error:
        start(**conf)
    assert message in str(error.value)


def test_names_of_the_version_before_count(start):
    start()  # so that the app's modules are found
    from lib.options import read_options

    with pytest.warns(FutureWarning) as told:
        options = read_options({"choice": "all", "encoder": "pyramid", "novelty": "0.5"})
    assert options.overrides == {"encoder": "fpn", "support_selection": "all", "rejection_threshold": 0.5}
    assert len(options.files) == 1
    assert {str(one.message) for one in told} == {
        "choice is support_selection now; use that name.",
        "The encoder pyramid is fpn now; use that name.",
        "novelty is rejection_threshold now; use that name.",
    }
    with pytest.raises(InputError, match="--conf refiner is 'pyramid'; expected"):  # it was the name of an encoder
        read_options({"refiner": "pyramid"})
