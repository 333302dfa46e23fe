"""The folder of studies: whole files, an index that several writers share, and what a killed server leaves."""

import errno
import json
import multiprocessing
import os
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import torch
from monailabel.interfaces.exception import ImageNotFoundException, LabelNotFoundException

from protoseg.data.io.volumes import read_labels
from protoseg.errors import InputError

APP = Path(__file__).parents[2] / "monailabel_app"


@pytest.fixture
def open_folder(studies, monkeypatch):
    monkeypatch.syspath_prepend(str(APP))
    from lib.server.folder_datastore import FolderDatastore

    return lambda: FolderDatastore(str(studies), extensions=("*.nii.gz", "*.nrrd"))


def test_what_is_stored_is_there_in_another_process_and_after_a_restart(open_folder, label):
    here, there = open_folder(), open_folder()  # the second as the process that trains would have it
    file, names = label(0, ["liver"])
    here.save_label("person0", str(file), "final", {"label_info": names})
    there.update_image_info("person1", {"score": 0.5})  # must not write its older index over the label
    here.update_image_info("person2", {"score": 0.7})
    for store in (here, open_folder()):
        assert store.get_label_info("person0", "final")["label_info"] == names
        assert store.get_image_info("person1")["score"] == 0.5
        assert store.get_image_info("person2")["score"] == 0.7


def test_threads_do_not_lose_each_others_changes(open_folder):
    store = open_folder()
    with ThreadPoolExecutor(8) as pool:
        for number in range(40):
            pool.submit(store.update_image_info, f"person{number % 4}", {f"key{number}": number})
            pool.submit(store.refresh)
    again = open_folder()
    for number in range(40):
        assert again.get_image_info(f"person{number % 4}")[f"key{number}"] == number


def test_images_stay_in_sight_while_the_folder_is_read_again(open_folder):
    store = open_folder()
    with ThreadPoolExecutor(1) as pool:
        reading = pool.submit(lambda: [store.refresh() for _ in range(30)])
        while not reading.done():
            assert len(store.list_images()) == 4


def test_a_label_of_another_format_replaces_the_one_before(open_folder, label, studies, tmp_path):
    import SimpleITK

    store = open_folder()
    file, names = label(0, ["liver"])
    store.save_label("person0", str(file), "final", {"label_info": names})
    SimpleITK.WriteImage(SimpleITK.ReadImage(str(file)), str(tmp_path / "label.nrrd"))
    store.save_label("person0", str(tmp_path / "label.nrrd"), "final", {"label_info": names})
    assert [path.name for path in (studies / "labels" / "final").iterdir()] == ["person0.nrrd"]
    assert store.get_label_uri("person0", "final").endswith("person0.nrrd")


def test_removing_takes_the_files_and_unknown_names_are_told(open_folder, label, studies):
    store = open_folder()
    store.save_label("person0", str(label(0, ["liver"])[0]), "final", {})
    store.remove_image("person0")
    assert store.list_images().count("person0") == 0
    assert not (studies / "person0.nii.gz").exists()
    assert list((studies / "labels" / "final").iterdir()) == []
    for missing in (lambda: store.remove_image("person0"), lambda: store.get_image_uri("person0")):
        with pytest.raises(ImageNotFoundException):
            missing()
    with pytest.raises(LabelNotFoundException):
        store.remove_label("person1", "final")


def save_for_ever(open_folder, file, names, saved):
    torch.set_num_threads(1)  # the others do not survive a fork, and would be waited for
    store = open_folder()
    while True:
        store.save_label("person0", str(file), "final", {"label_info": names})
        saved.set()


def test_a_server_killed_while_it_saves_leaves_a_whole_label(open_folder, label, studies):
    file, names = label(0, ["liver"])
    processes = multiprocessing.get_context("fork")  # starts at once, with everything imported
    for wait in (0.0, 0.003, 0.007, 0.012, 0.02):
        saved = processes.Event()
        writer = processes.Process(target=save_for_ever, args=(open_folder, file, names, saved))
        writer.start()
        saved.wait()
        time.sleep(wait)
        writer.kill()
        writer.join()
        store = open_folder()
        assert store.get_label_info("person0", "final")["label_info"] == names
        assert (read_labels(store.get_label_uri("person0", "final")) == read_labels(file)).all()
        assert len(store.list_images()) == 4
        assert [path.name for path in studies.rglob(".*") if path.is_file()] == [".lock"]


def save_and_die(open_folder, file, names, renames):
    torch.set_num_threads(1)
    store, rename = open_folder(), os.replace
    steps = list(range(renames))

    def rename_or_die(*paths):
        if steps:
            rename(*paths)
            steps.pop()
        if not steps:
            os._exit(9)

    os.replace = rename_or_die
    store.save_label("person0", str(file), "final", {"label_info": names})


@pytest.mark.parametrize(
    ("renames", "left"), [*((n, "liver") for n in range(3)), *((n, "spleen") for n in range(3, 6))]
)
def test_label_and_names_belong_together_whenever_the_server_is_killed(open_folder, label, studies, renames, left):
    store = open_folder()
    stored = {}
    for organ in ("liver", "spleen"):
        file, names = label(0, [organ])
        stored[organ] = read_labels(file), names
        if organ == "liver":
            store.save_label("person0", str(file), "final", {"label_info": names})
    writer = multiprocessing.get_context("fork").Process(target=save_and_die, args=(open_folder, file, names, renames))
    writer.start()
    writer.join()
    assert writer.exitcode == 9
    store.sync()  # the process that was open all the time sees what a new one sees
    for reader in (store, open_folder()):
        assert reader.get_label_info("person0", "final")["label_info"] == stored[left][1]
        assert (read_labels(reader.get_label_uri("person0", "final")) == stored[left][0]).all()
    assert [path.name for path in studies.rglob(".*") if path.is_file()] == [".lock"]


def test_a_lock_that_cannot_be_made_is_one_sentence(open_folder, label, monkeypatch):
    store = open_folder()

    def full():
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), store._processes.lock_file)

    monkeypatch.setattr(store._processes, "_acquire", full)
    with pytest.raises(InputError, match=r"cannot be written: No space left on device\. Free some space"):
        store.save_label("person0", str(label(0, ["liver"])[0]), "final", {})


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EROFS])
@pytest.mark.parametrize("last", range(1, 6))
def test_a_full_disk_is_one_sentence_and_changes_nothing(open_folder, label, studies, monkeypatch, number, last):
    store = open_folder()
    file, names = label(0, ["liver"])
    store.save_label("person0", str(file), "final", {"label_info": names})
    liver = read_labels(file)
    rename, renamed = os.replace, []

    def full(*paths, **_):
        renamed.append(paths)
        if len(renamed) == last:
            raise OSError(number, os.strerror(number), str(paths[0]), None, str(paths[1]))
        rename(*paths)

    spleen, others = label(0, ["spleen"])
    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(InputError, match=f"{studies}.* cannot be written: {os.strerror(number)}"):
        store.save_label("person0", str(spleen), "final", {"label_info": others})
    monkeypatch.undo()
    again = open_folder()
    kept = (
        liver if last <= 3 else read_labels(spleen)
    )  # first the former label is kept; what was written down is finished by whoever opens the folder
    assert (read_labels(again.get_label_uri("person0", "final")) == kept).all()
    assert [path.name for path in studies.rglob(".*") if path.is_file()] == [".lock"]


def test_what_was_half_written_is_removed_and_never_listed(open_folder, studies):
    half = studies / f".{'0' * 32}.person9.nii.gz"
    half.write_bytes(b"half")
    (studies / "labels" / "final").mkdir(parents=True)
    other = studies / "labels" / "final" / f".{'1' * 32}.person0.nii.gz"
    other.write_bytes(b"half")
    store = open_folder()
    assert len(store.list_images()) == 4
    assert store.get_labeled_images() == []
    assert not half.exists()
    assert not other.exists()


def test_the_index_is_json_at_every_moment(open_folder, studies):
    store = open_folder()
    with ThreadPoolExecutor(1) as pool:
        writing = pool.submit(lambda: [store.update_image_info("person0", {"n": n}) for n in range(50)])
        while not writing.done():
            json.loads((studies / "datastore_v2.json").read_text(encoding="utf-8"))
