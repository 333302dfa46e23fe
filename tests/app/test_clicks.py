"""Clicks and scribbles, as 3D Slicer and OHIF send them."""

import nibabel
import numpy as np
import pytest
import SimpleITK

from protoseg.engine.clicks.simulation import interior_point


def dice(one, other):
    return 2 * (one & other).sum() / (one.sum() + other.sum())


def middle(mask):
    """Voxel [i, j, k] in the middle of a mask, on the slice where it is largest."""
    k = int(mask.sum((0, 1)).argmax())
    return [*interior_point(mask[..., k]), k]


@pytest.fixture
def label_map(tmp_path):
    def read(answer):
        assert answer.status_code == 200, answer.text
        path = tmp_path / "answer.nrrd"
        path.write_bytes(answer.content)
        return SimpleITK.GetArrayFromImage(SimpleITK.ReadImage(str(path))).T

    return read


@pytest.mark.parametrize("person", [0, 1, 2])  # stored in three orientations
def test_one_click_finds_the_whole_organ(start, ground_truth, label_map, person):
    client, liver = start(), ground_truth(person, "liver")
    click = middle(liver)
    found = label_map(
        client.infer("oneshot_click_one", f"person{person}", output="image", foreground=[click], background=[])
    )
    assert found.shape == liver.shape
    assert set(np.unique(found)) == {0, 1}
    assert found[tuple(click)] == 1
    print(dice(found == 1, liver))
    assert dice(found == 1, liver) > 0.5


def test_further_clicks_correct_what_was_found(start, ground_truth, label_map):
    client, liver = start(labels="liver,spleen"), ground_truth(1, "liver")
    assert client.http.get("/info/").json()["models"]["oneshot_click"]["labels"] == {"liver": 1, "spleen": 2}
    first = middle(liver)

    def ask(**points):
        return label_map(client.infer("oneshot_click", "person1", output="image", label="liver", **points))

    found = ask(liver=[first], spleen=[], background=[]) == 1
    wrong = middle(found & ~liver)
    corrected = ask(liver=[first], spleen=[], background=[wrong]) == 1
    assert not corrected[tuple(wrong)]
    assert corrected[tuple(first)]
    spleen = middle(ground_truth(1, "spleen"))
    both = ask(liver=[first], spleen=[spleen], background=[wrong])
    assert both[tuple(first)] == 1
    assert both[tuple(spleen)] == 2
    assert both[tuple(wrong)] == 0
    assert np.array_equal(ask(liver=[first], spleen=[], background=[]) == 1, found), "clicks that are taken back"


def test_clicks_add_to_what_was_labelled_before(start, label, ground_truth, label_map):
    client = start()
    client.submit("person0", *label(0, ["liver"]))
    answer = client.infer("oneshot_click", "person1", liver=[middle(ground_truth(1, "liver"))]).json()
    assert answer["label_names"] == {"liver": 1}
    spleen = middle(ground_truth(1, "spleen"))
    new = client.infer("oneshot_click_one", "person1", label="spleen", foreground=[spleen], background=[])
    assert new.json()["label_names"] == {"spleen": 1}
    volumes = [
        client.infer(model, "person1", **clicks).json()["labels"]["liver"]["volume_ml"]
        for model, clicks in (("oneshot", {}), ("oneshot_click", {"liver": [], "background": []}))
    ]
    assert volumes[0] == volumes[1], "without clicks it is auto-segmentation"


def test_a_box_around_an_organ_finds_it(start, ground_truth, label_map):
    client, liver = start(), ground_truth(0, "liver")
    k = int(liver.sum((0, 1)).argmax())
    i, j = liver[..., k].nonzero()
    corners = [[int(i.max()) + 1, int(j.min()) - 1, k], [int(i.min()) - 1, int(j.max()) + 1, k]]
    asked = {"output": "image", "label": "liver", "boxes": [corners]}
    found = label_map(client.infer("oneshot_click_one", "person0", **asked)) == 1
    assert dice(found[..., k], liver[..., k]) > 0.7
    assert dice(found, liver) > 0.5
    outside = np.ones_like(found[..., k])
    outside[i.min() - 1 : i.max() + 2, j.min() - 1 : j.max() + 2] = False
    assert not found[..., k][outside].any()


def test_clicks_correct_what_was_accepted(start, label, ground_truth, label_map):
    client, (liver, lungs) = start(), (ground_truth(1, name) for name in ("liver", "lungs"))
    client.submit("person1", *label(1, ["liver", "spleen"]))
    version = client.http.get("/sessions/submits?image=person1").json()["versions"][0]
    asked = {"label": "liver", "corrects": version["version"]}

    def ask(**points):
        return label_map(client.infer("oneshot_click_one", "person1", output="image", **asked, **points)) == 1

    assert np.array_equal(ask(background=[middle(lungs)]), liver), "a click beside it changes nothing"
    told = client.infer("oneshot_click_one", "person1", background=[middle(lungs)], **asked).json()
    assert (told["label_names"], told["warnings"]) == ({"liver": 1}, [])
    wrong = middle(liver)
    less = ask(background=[wrong])
    assert not less[tuple(wrong)] and less.any() and not (less & ~liver).any()
    assert np.array_equal(ask(background=[middle(lungs)]), liver), "taken back"
    assert (ask(foreground=[middle(lungs)]) | ~liver).all(), "a click only adds"
    for params, message in (
        ({"corrects": "0" * 16}, "corrects is '0000000000000000', expected a version of the label of person1."),
        ({"corrects": [version]}, "corrects is {"),
        ({"label": "lungs"}, f"The version {version['version']} of the label of person1 has no 'lungs' to correct."),
    ):
        refused = client.infer("oneshot_click_one", "person1", **{**asked, **params})
        assert (refused.status_code, refused.json()["detail"][: len(message)]) == (400, message)


def test_a_label_without_a_name_is_corrected_by_the_name_that_the_versions_give_it(
    start, label, ground_truth, label_map
):
    client, (file, names) = start(), label(1, ["liver", "spleen"])
    client.submit("person1", file, [one for one in names if one["name"] == "liver"])
    version = client.http.get("/sessions/submits?image=person1").json()["versions"][0]
    (unnamed,) = version["values"].keys() - {"liver"}
    asked = {"label": unnamed, "corrects": version["version"], "background": [middle(ground_truth(1, "lungs"))]}
    found = label_map(client.infer("oneshot_click_one", "person1", output="image", **asked)) == 1
    assert np.array_equal(found, ground_truth(1, "spleen"))


def test_two_clients_click_on_their_own_organs(start, ground_truth, label_map):
    client = start()
    clicks = {name: middle(ground_truth(1, name)) for name in ("liver", "lungs")}

    def ask(who, *organs):
        points = [clicks[organ] for organ in organs]
        asked = {"client_id": who, "foreground": points, "output": "image"}
        return label_map(client.infer("oneshot_click_one", "person1", **asked))

    liver, lungs = ask("anna", "liver"), ask("ben", "lungs")
    assert not np.array_equal(liver, lungs)
    assert np.array_equal(ask("anna", "liver"), liver)
    assert np.array_equal(ask("ben", "lungs"), lungs)


def test_scribbles_inside_and_outside(start, ground_truth, studies, tmp_path, label_map):
    client, liver = start(), ground_truth(1, "liver")
    image = nibabel.load(studies / "person1.nii.gz")
    _, j, k = middle(liver)
    scribbles = np.zeros(liver.shape, np.uint8)
    scribbles[:, j, k][liver[:, j, k]] = 7
    scribbles[2:6, j, k] = 9
    file = tmp_path / "scribbles.nii.gz"
    nibabel.save(nibabel.Nifti1Image(scribbles, image.affine), file)
    asked = {
        "label_info": [{"name": "foreground_scribbles", "id": 7}, {"name": "background_scribbles", "id": 9}],
        "selected_label_name": "liver",
    }
    found = label_map(client.infer("oneshot_scribbles", "person1", output="image", label_file=file, **asked))
    assert (found[scribbles == 7] == 1).all()
    assert dice(found == 1, liver) > 0.4
    roi = [0, liver.shape[0], 0, liver.shape[1], k, k + 1]
    inside = label_map(client.infer("oneshot_scribbles", "person1", output="image", label_file=file, roi=roi, **asked))
    assert np.flatnonzero(inside.any((0, 1))).tolist() == [k]
    assert np.array_equal(inside[..., k], found[..., k])


CLICK_MISTAKES = [
    (
        {"foreground": [[96, 0, 0]]},
        "The click [96, 0, 0] of 'foreground' lies outside the image, which has 96 x 96 x 12",
    ),
    ({"foreground": [[0, 0, 5]]}, "The click [0, 0, 5] of 'foreground' lies outside the body that was found."),
    ({"background": [[0, 0, 5]]}, "There is no click on 'structure' yet."),
    ({"foreground": [[1, 2]]}, "The clicks of 'foreground' are [[1, 2]]; expected a list of voxels"),
    ({"boxes": [[[1, 2, 3]]]}, "boxes is [[[1, 2, 3]]]; expected a list of corners"),
    ({"boxes": "all"}, "boxes is 'all'; expected a list of corners"),
    ({"boxes": [[[10, 10, 5], [20, 96, 5]]]}, "The click [20, 96, 5] of 'boxes' lies outside the image"),
    ({"boxes": [[[10, 10, 5], [20, 20, 7]]]}, "A box runs from slice "),
    ({"boxes": [[[10, 10, 5], [20, 20, 5]]] * 33}, "There are 33 boxes, expected at most 32."),
    ({"foreground": "here"}, "The clicks of 'foreground' are 'here'; expected"),
    ({"label": "liver", "background": [[50, 50, 5]]}, "There is no click on 'liver' yet."),
    (
        {"foreground": [[50, 50, 5]], "support_selection": "best"},
        "support_selection is 'best'; choose 'similar', 'nearest' or 'all'.",
    ),
    (
        {"foreground": [[50, 50, 5]], "choice": "best"},  # its name in version 0.1
        "support_selection is 'best'; choose 'similar', 'nearest' or 'all'.",
    ),
]


def test_clicks_that_cannot_be_used(start):
    client = start()
    for params, message in CLICK_MISTAKES:
        answer = client.infer("oneshot_click_one", "person0", **params)
        assert answer.status_code == 400
        assert answer.json()["detail"].startswith(message)


def test_clicks_on_labels_that_nobody_knows(start):
    client = start(labels="liver")
    answer = client.infer("oneshot_click", "person0", livver=[[50, 50, 5]])
    assert answer.status_code == 400
    assert answer.json()["detail"] == "There are clicks of 'livver'; the labels are liver, background."
    assert "Nothing is clicked on yet" in client.infer("oneshot_click", "person0", liver=[]).json()["detail"]


def test_scribbles_that_are_none(start, tmp_path):
    client = start()
    assert "send them as the file 'label'" in client.infer("oneshot_scribbles", "person0").json()["detail"]
    for shape, message in (((96, 96, 12), "There are no foreground scribbles."), ((9, 9, 9), "have 9 x 9 x 9 voxels")):
        file = tmp_path / "scribbles.nii.gz"
        nibabel.save(nibabel.Nifti1Image(np.full(shape, 2, np.uint8), np.eye(4)), file)
        answer = client.infer("oneshot_scribbles", "person0", label_file=file)
        assert answer.status_code == 400
        assert message in answer.json()["detail"]
