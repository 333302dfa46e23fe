"""A day with a server of its own process, by MONAI Label's own client."""

import json
import threading
import time

import nibabel
import numpy as np
import psutil
import pytest
import requests
import SimpleITK
from monailabel.client import MONAILabelClient
from monailabel.client.client import MONAILabelClientException

STEPS = {"max_epochs": 1, "epoch_length": 3, "learning_rate": 0.00005}


def dice(one, other):
    return 2 * (one & other).sum() / (one.sum() + other.sum())


def wait_for(server, condition):
    """Wait as long as it takes, unless the server is gone."""
    while not (found := condition()):
        server.check()
        time.sleep(0.1)
    return found


def read(file):
    return SimpleITK.GetArrayFromImage(SimpleITK.ReadImage(str(file))).T


def submit(client, image, label):
    file, info = label
    return client.save_label(image, str(file), params={"label_info": info})


def test_a_day_with_the_server(server, studies, label, ground_truth, tmp_path):
    client = MONAILabelClient(server.url, tmpdir=str(tmp_path), client_id="anna")
    assert client.info()["strategies"].keys() == {"least_certain", "most_different"}
    for strategy in ("least_certain", "most_different"):
        assert client.next_sample(strategy, {})["id"].startswith("person")

    session = client.create_session(str(studies / "person1.nii.gz"))["session_id"]
    with pytest.raises(MONAILabelClientException) as error:
        client.infer("oneshot", "", {"result_extension": ".nrrd"}, session_id=session)
    assert "Nothing is labelled yet" in error.value.msg

    assert submit(client, "person0", label(0, ["liver"]))["labels"] == {"liver": 1}
    asked = {"result_extension": ".nrrd"}
    in_session, _ = client.infer("oneshot", "", asked, session_id=session)
    before = read(in_session)
    file, said = client.infer("oneshot", "person1", asked)
    assert np.array_equal(read(file), before)
    assert said["labels"]["liver"]["support_slice"]["scan"] == "person0"
    assert submit(client, "person1", label(1, ["liver"]))["label"] == "person1"
    file, said = client.infer("oneshot", "person1", asked)
    liver = ground_truth(1, "liver")
    assert dice(read(file) == 1, liver) > dice(before == 1, liver) > 0.5, "it is better after the correction"

    answers = {image: client.infer("oneshot", image, asked)[1]["labels"] for image in ("person2", "person3")}
    weights = requests.get(f"{server.url}/model/info/oneshot")
    assert weights.status_code == 404, "none but those that ship"

    # Killed while it trains and while a label is saved.
    client.train_start("adapt", {**STEPS, "epoch_length": 1000})
    wait_for(server, lambda: client.info()["train_stats"]["adapt"].get("iteration", 0) >= 1)
    job = psutil.Process(client.info()["train_stats"]["adapt"]["pid"])
    assert job.nice() == min(psutil.Process(server.process.pid).nice() + 5, 19), "clients go first"
    stored = []
    saving = threading.Thread(target=save_again_and_again, args=(client, label(2, ["liver"], 5), stored))
    saving.start()
    wait_for(server, lambda: stored)
    server.kill()
    saving.join()

    after = server.start()
    assert after["datastore"]["label_tags"]["final"] == 3
    kept = studies / "labels" / "final" / "person2.nii.gz"
    assert np.array_equal(np.asarray(nibabel.load(kept).dataobj) == 5, ground_truth(2, "liver"))
    assert after["models"]["oneshot"]["labels"] == {"liver": 1}
    assert after["train_stats"]["adapt"]["state"] in ("stopped", "failed")
    assert requests.get(f"{server.url}/model/info/oneshot").status_code == 404
    requests.delete(f"{server.url}/datastore/label", params={"id": "person2", "tag": "final"})
    for image, known in answers.items():
        assert client.infer("oneshot", image, asked)[1]["labels"] == known, "nothing is forgotten"

    # Trained to the end, in a process of its own.
    client.train_start("adapt", STEPS)
    wait_for(server, lambda: client.train_status()["status"] in ("DONE", "ERROR"))
    assert client.train_status()["status"] == "DONE", client.train_status()["details"]
    stats = client.info()["train_stats"]["adapt"]
    assert (stats["state"], stats["iteration"], stats["used"]) == ("done", 3, True)
    assert requests.get(f"{server.url}/model/info/oneshot").json()["checksum"]
    assert client.infer("oneshot", "person3", asked)[1]["labels"] != answers["person3"]

    requests.post(f"{server.url}/batch/infer/oneshot", params={"images": "unlabeled", "run_sync": True})
    objects = client.datastore()["objects"]
    assert {image for image in objects if "original" in objects[image]["labels"]} == {"person2", "person3"}
    wait_for(server, lambda: "estimated_dice" in client.datastore()["objects"]["person3"]["image"]["info"])
    assert json.loads((studies / ".protoseg" / "labels.json").read_text(encoding="utf-8")) == {"liver": 1}


def save_again_and_again(client, label, stored):
    """Submit a label until the server is gone."""
    try:
        while True:
            stored.append(submit(client, "person2", label))
    except (OSError, MONAILabelClientException, requests.RequestException):
        return
