"""The story of a user, over HTTP, in one process."""

import json
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
import SimpleITK
from monailabel.interfaces.utils.app import app_instance


def voxels(nrrd, folder):
    path = folder / "answer.nrrd"
    path.write_bytes(nrrd)
    image = SimpleITK.ReadImage(str(path))
    return SimpleITK.GetArrayFromImage(image).T, image


def dice(one, other):
    return 2 * (one & other).sum() / (one.sum() + other.sum())


def test_what_is_labelled_in_one_image_is_found_in_another(start, label, ground_truth, studies, tmp_path):
    client = start()
    refused = client.infer("oneshot", "person1")
    assert refused.status_code == 400
    assert refused.json()["detail"].startswith("Nothing is labelled yet. Draw a structure on a slice of any image")

    submitted = client.submit("person0", *label(0, ["liver", "spleen"], first_value=7)).json()
    assert submitted["labels"] == {"liver": 1, "spleen": 2}
    assert client.http.get("/info/").json()["models"]["oneshot"]["labels"] == {"liver": 1, "spleen": 2}

    asked = {"result_extension": ".nrrd", "result_dtype": "uint8", "result_compress": False}
    nrrd = client.infer("oneshot", "person1", output="image", **asked).content
    said = client.infer("oneshot", "person1", **asked).json()
    assert b"encoding: raw" in nrrd[:600]
    assert b"type: unsigned char" in nrrd[:600]
    found, image = voxels(nrrd, tmp_path)
    source = SimpleITK.ReadImage(str(studies / "person1.nii.gz"))
    assert image.GetSize() == source.GetSize()
    for mine, theirs in zip(
        (image.GetOrigin(), image.GetSpacing(), image.GetDirection()),
        (source.GetOrigin(), source.GetSpacing(), source.GetDirection()),
    ):
        assert mine == pytest.approx(theirs, abs=1e-4)
    assert dice(found == 1, ground_truth(1, "liver")) > 0.75
    assert dice(found == 2, ground_truth(1, "spleen")) > 0.4

    liver = said["labels"]["liver"]
    assert liver["volume_ml"] == pytest.approx((found == 1).sum() * 4 * 4 * 18 / 1000, rel=1e-3)
    assert 0.5 < liver["confidence"] <= 1
    assert 0.5 < liver["estimated_dice"] <= 1
    assert liver["support_slice"]["scan"] == "person0"
    assert said["label_names"] == {"liver": 1, "spleen": 2}
    code = said["label_info"][0]["segmentAttribute"]["SegmentedPropertyTypeCodeSequence"]
    assert code == {"CodeValue": "10200004", "CodingSchemeDesignator": "SCT", "CodeMeaning": "Liver"}
    assert said["latencies"].keys() == {"load", "support", "engine", "invert", "write", "total"}


def test_labels_are_the_users_and_come_and_go(start, label):
    client = start()
    client.submit("person0", *label(0, ["liver"]))
    client.submit("person1", *label(1, ["spleen", "liver"]))
    assert client.infer("oneshot", "person2").json()["labels"].keys() == {"liver", "spleen"}
    only = client.infer("oneshot", "person2", label_prompt=[2]).json()
    assert only["labels"].keys() == only["label_names"].keys() == {"spleen"}
    client.http.delete("/datastore/label", params={"id": "person0", "tag": "final"})
    assert client.infer("oneshot", "person2").json()["labels"]["liver"]["support_slice"]["scan"] == "person1"
    client.http.delete("/datastore/label", params={"id": "person1", "tag": "final"})
    assert client.infer("oneshot", "person2").status_code == 400


def test_label_maps_without_names_are_named_by_the_operator(start, label, studies):
    (studies / "labels" / "final").mkdir(parents=True)
    label(0, ["liver", "spleen"])[0].rename(studies / "labels" / "final" / "person0.nii.gz")
    client = start(label_names='{"1": "liver"}')
    assert infer_labels(client) == {"liver": 1}
    client = start()
    assert infer_labels(client) == {"label_1": 2, "label_2": 3}


def infer_labels(client):
    return client.http.get("/info/").json()["models"]["oneshot"]["labels"]


def test_a_label_of_no_use_is_kept_and_the_user_learns_why(start, label, studies):
    client = start()
    file, _ = label(0, ["liver"])
    answer = client.submit("person0", file, [{"name": "liver", "idx": 1}, {"name": "liver", "idx": 2}])
    assert answer.status_code == 200
    assert "another label has the name 'liver'" in answer.json()["warning"]
    assert (studies / "labels" / "final" / "person0.nii.gz").exists()
    assert "person0 are not used: label_names: another" in client.infer("oneshot", "person1").json()["detail"]


def test_clients_at_once_get_their_own_answers(start, label):
    client = start()
    client.submit("person0", *label(0, ["liver", "lungs"]))
    jobs = [(f"person{number}", [value]) for number in (1, 2, 3) for value in (1, 2)]

    def ask(job):
        image, prompt = job
        answer = client.infer("oneshot", image, label_prompt=prompt).json()
        return {name: entry["volume_ml"] for name, entry in answer["labels"].items()}

    alone = [ask(job) for job in jobs]
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(ask, jobs * 2)) == alone * 2
    assert len({json.dumps(answer) for answer in alone}) == len(jobs)


def test_borders_can_be_brought_to_the_edges(start, label):
    plain, refined = {}, {}
    for volumes, conf in ((plain, {}), (refined, {"refiner": "graph_cut", "refiner#dimensions": "2"})):
        client = start(**conf)
        client.submit("person0", *label(0, ["liver"]))
        volumes.update(client.infer("oneshot", "person1").json()["labels"]["liver"])
    assert 0.7 < refined["volume_ml"] / plain["volume_ml"] < 1.3
    assert refined["volume_ml"] != plain["volume_ml"]


def test_a_second_request_is_cheap(start, label):
    client = start()
    client.submit("person0", *label(0, ["liver"]))
    first, second = (client.infer("oneshot", "person1").json()["latencies"]["total"] for _ in range(2))
    assert second < first


def test_the_next_image_is_the_least_certain_or_the_most_different(start, label):
    client = start()
    assert client.http.post("/activelearning/least_certain", json={}).json()["id"] == "person0", "none is scored yet"
    client.submit("person0", *label(0, ["liver", "spleen"]))
    scores = {}
    for method in ("estimated_dice", "novelty"):
        client.http.post(f"/scoring/{method}", params={"run_sync": True})
        for image in ("person1", "person2", "person3"):
            scores[method, image] = client.http.get("/datastore/image/info", params={"image": image}).json()[method]

    def order(strategy):
        return [client.http.post(f"/activelearning/{strategy}", json={}).json()["id"] for _ in range(3)]

    unlabelled = ["person1", "person2", "person3"]
    assert order("least_certain") == sorted(unlabelled, key=lambda image: scores["estimated_dice", image])
    assert order("most_different") == sorted(unlabelled, key=lambda image: -scores["novelty", image])
    assert all(0 <= score <= 1 for score in scores.values())


def test_what_was_scored_by_other_settings_is_scored_again(start, label):
    def scored(method):
        return client.http.post(f"/scoring/{method}", params={"run_sync": True}).json().keys()

    client = start()
    client.submit("person0", *label(0, ["liver"]))
    unlabelled = {"person1", "person2", "person3"}
    assert [scored("estimated_dice"), scored("novelty"), scored("estimated_dice")] == [unlabelled, unlabelled, set()]
    client = start(component_filter="none", **{"preprocessing#modality": "ct"})
    assert [scored("novelty"), scored("estimated_dice")] == [unlabelled, unlabelled]
    client = start(component_filter="one", **{"preprocessing#modality": "ct"})
    assert [scored("novelty"), scored("estimated_dice")] == [set(), unlabelled]


def test_many_images_at_once_and_one_that_is_broken(start, label, studies):
    (studies / "broken.nii.gz").write_bytes(b"no image")
    client = start()
    scored = client.http.post("/scoring/novelty", params={"run_sync": True}).json()
    assert scored.keys() == {"person0", "person1", "person2", "person3"}
    client.submit("person0", *label(0, ["liver"]))
    answer = client.http.post("/batch/infer/oneshot", params={"images": "unlabeled", "run_sync": True}).json()
    assert answer.keys() == {"broken", "person1", "person2", "person3"}
    assert "cannot be read" in answer["broken"]["error"]
    assert (studies / "labels" / "original" / "person2.nii.gz").exists()
    assert client.infer("oneshot", "person1").json()["labels"]["liver"]["support_slice"]["scan"] == "person0"


def test_the_background_scores_what_nobody_labelled(start, label):
    client = start(scoring=True)
    client.submit("person0", *label(0, ["liver"]))
    deadline = time.monotonic() + 600  # only a test that fails waits so long
    info = {}
    while not {"estimated_dice", "novelty"} <= info.keys() and time.monotonic() < deadline:
        time.sleep(0.1)
        info = client.http.get("/datastore/image/info", params={"image": "person3"}).json()
    assert {"estimated_dice", "novelty"} <= info.keys()


def test_training_replaces_the_weights_and_old_features_are_not_used(start, label, studies):
    client = start(adapt="true")
    client.submit("person0", *label(0, ["liver", "spleen"]))
    client.submit("person1", *label(1, ["liver", "spleen"]))
    before = client.infer("oneshot", "person2").json()["labels"]
    cache = app_instance().context.engine.encoder().cache
    old = cache.items().keys()
    steps = {"max_epochs": 1, "epoch_length": 2, "learning_rate": 0.00005}
    answer = client.http.post("/train/adapt", params={"run_sync": True}, json=steps).json()
    stats = client.http.get("/info/").json()["train_stats"]["adapt"]
    assert answer == stats, stats
    assert (stats["state"], stats["epoch"], stats["iteration"], stats["total_iterations"]) == ("done", 1, 2, 2)
    assert stats["used"] is True, stats
    assert stats["best_metric"] > 0.5
    assert len(list((studies / ".protoseg" / "weights").iterdir())) == 1
    after = client.infer("oneshot", "person2").json()["labels"]
    assert after != before
    assert old and cache.items() and not old & cache.items().keys(), "memory would grow with every training"

    client.http.delete("/model/oneshot")
    assert client.infer("oneshot", "person2").json()["labels"] == before, "back to the weights that ship"
    client.http.put("/model/oneshot", files={"file": ("broken.pt", b"no weights")})
    assert client.infer("oneshot", "person2").json()["labels"] == before


def test_training_is_offered_to_those_who_ask_for_it(start):
    assert start().http.get("/info/").json()["trainers"] == {}
    assert list(start(adapt="true").http.get("/info/").json()["trainers"]) == ["adapt"]


def test_weights_that_are_worse_are_not_used(start, label, studies):
    client = start(adapt="true")
    client.submit("person0", *label(0, ["liver", "spleen"]))
    client.submit("person1", *label(1, ["liver", "spleen"]))
    ruinous = {"max_epochs": 1, "epoch_length": 3, "learning_rate": 3.0}
    stats = client.http.post("/train/adapt", params={"run_sync": True}, json=ruinous).json()
    assert stats["used"] is False
    assert not (studies / ".protoseg" / "weights").exists()
