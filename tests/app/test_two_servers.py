"""Two servers over one folder of studies: nothing of either is lost, and each sees what the other did."""

import json
import os
from concurrent.futures import ThreadPoolExecutor

from monailabel.interfaces.utils.app import app_instance

ROUNDS = 4


def test_two_servers_share_a_folder_of_studies(start, label, studies):
    start()
    one = app_instance()
    client = start()
    two = app_instance()
    assert one.context.library is not two.context.library
    maps = {"person0": label(0, ["liver"]), "person1": label(1, ["lungs", "spleen"])}

    def save(app, image, by):
        for _ in range(ROUNDS):
            file, names = maps[image]
            app.datastore().save_label(image, str(file), "final", {"label_info": names, "user": by})
            app.context.labelled()
            app.datastore().update_image_info("person2", {f"{by} {image}": 1})

    with ThreadPoolExecutor(4) as pool:
        jobs = [pool.submit(save, app, image, by) for app, by in ((one, "anna"), (two, "bob")) for image in maps]
        for job in jobs:
            job.result()
    states = [app.context.labelled() for app in (one, two)]
    assert dict(states[0].labels) == dict(states[1].labels)
    assert states[0].labels.keys() == {"liver", "lungs", "spleen"}
    assert states[0].key == states[1].key
    for image in maps:
        found = client.http.get("/sessions/submits", params={"image": image}).json()["versions"]
        assert sorted(version["by"] for version in found) == ["anna"] * ROUNDS + ["bob"] * ROUNDS, "each is kept"
        assert len({version["version"] for version in found}) == len(found)
        assert [version["state"] for version in found].count("current") == 1
        assert {version["replaces"] for version in found} == {"", *(version["version"] for version in found[1:])}
    info = one.datastore().get_image_info("person2")
    assert {f"{by} {image}" for by in ("anna", "bob") for image in maps} <= info.keys()

    for app in (one, two):  # the watcher of the folder may not have told them yet what was written last
        app.datastore().sync()
    example = next(example for example in one.examples.listed() if example.study == "person0")
    one.examples.switch(example, enabled=False)
    told = {entry["study"]: entry["enabled"] for entry in client.http.get("/library/").json()["examples"]}
    assert told == {"person0": False, "person1": True}
    assert client.infer("oneshot", "person3").json()["labels"].keys() == {"lungs", "spleen"}
    one.close()


def test_no_writing_of_another_server_is_missed_though_the_file_looks_the_same(start, studies):
    start()
    datastore = app_instance().datastore()
    datastore.update_image_info("person0", {"reader": "anna"})
    index = studies / "datastore_v2.json"
    before, content = index.stat(), json.loads(index.read_text(encoding="utf-8"))
    content["objects"]["person0"]["image"]["info"]["reader"] = "bob!"
    index.write_text(json.dumps(content, indent=2), encoding="utf-8")  # into the same inode
    os.utime(index, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert index.stat().st_size == before.st_size
    datastore.update_image_info("person0", {"seen": True})
    assert datastore.get_image_info("person0")["reader"] == "bob!"
