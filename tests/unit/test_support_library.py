import json
import multiprocessing
from dataclasses import replace

import nibabel
import numpy as np
import pytest
import torch

from protoseg.data.preprocessing.transforms import LoadLabelsd, LoadVolumed, Preprocessing
from protoseg.data.support.label_registry import LabelRegistry
from protoseg.data.support.library import LabelledScan, SavedSupport, SupportLibrary
from protoseg.data.support.loading import read_support, save_support
from protoseg.engine.one_shot import OneShotSettings
from protoseg.engine.slice_encoder import SliceEncoder
from protoseg.errors import InputError
from protoseg.networks.alpnet import ALPNet
from protoseg.workflows.studies.leave_one_out import leave_one_out_dice, read_labelled_volume


class Mean(torch.nn.Module):
    """Patches (B, 2, 4, 4): how bright each sixteenth is, and 1."""

    def __init__(self):
        super().__init__()
        self.scale = torch.nn.Parameter(torch.ones(1))

    def forward(self, image):
        mean = torch.nn.functional.adaptive_avg_pool2d(image[:, :1], 4) * self.scale
        return torch.cat([mean, torch.ones_like(mean)], dim=1)


TRANSFORM = Preprocessing([LoadVolumed("image"), LoadLabelsd("label")])
NETWORK = ALPNet(encoder=Mean())


def write(folder, name, drawn, legend=None):
    """A scan of 8 x 8 x 4 whose labelled voxels are bright; `drawn` is value -> slices."""
    image = np.random.default_rng(0).normal(0, 0.1, (8, 8, 4)).astype(np.float32)
    labels = np.zeros((8, 8, 4), np.uint8)
    for row, (value, slices) in enumerate(drawn.items()):
        labels[:, 4 * row : 4 * row + 4, slices] = value
        image[:, 4 * row : 4 * row + 4, slices] += 1 + row
    for voxels, suffix in ((image, "_image"), (labels, "_label")):
        nibabel.save(nibabel.Nifti1Image(voxels, np.eye(4)), folder / f"{name}{suffix}.nii")
    return LabelledScan(name, folder / f"{name}_image.nii", folder / f"{name}_label.nii", legend)


@pytest.fixture
def library(tmp_path):
    return make_library(tmp_path)


def make_library(folder, **options):
    registry = LabelRegistry(folder / "state" / "labels.json")
    return SupportLibrary(folder / "state" / "supports", registry, transform=TRANSFORM, image_size=8, **options)


def update(library, *scans):
    return library.update(scans, SliceEncoder(NETWORK, 8))


def test_labels_go_by_name_whatever_their_values(tmp_path, library):
    a = write(tmp_path, "a", {1: [0], 2: [1]}, {"1": "liver", "2": "spleen"})
    b = write(tmp_path, "b", {7: [2], 1: [3]}, {"7": "liver", "1": "aorta"})
    state = update(library, a, b)
    assert state.labels == {"liver": 1, "spleen": 2, "aorta": 3}
    assert [origin.scan for origin in state.support.origins] == ["a", "a", "b", "b"]
    assert state.support.one_hot().sum((2, 3)).tolist() == [[32, 0, 32, 0], [0, 32, 0, 0], [0, 0, 0, 32]]


def test_values_stay_when_labels_come_and_go(tmp_path, library):
    a = write(tmp_path, "a", {1: [0]}, {"1": "liver"})
    b = write(tmp_path, "b", {1: [0]}, {"1": "spleen"})
    assert update(library).support is None
    assert update(library, a).labels == {"liver": 1}
    assert update(library, a, b).labels == {"liver": 1, "spleen": 2}
    assert update(library, b).labels == {"spleen": 2}
    assert update(make_library(tmp_path), b).labels == {"spleen": 2}, "after a restart"


def test_a_label_drawn_anew_is_used_anew(tmp_path, library):
    state = update(library, write(tmp_path, "a", {1: [0]}, {"1": "liver"}))
    again = update(library, write(tmp_path, "a", {1: [0, 2]}, {"1": "liver"}))
    assert [len(state.support.images), len(again.support.images)] == [1, 2]
    assert state.key != again.key
    assert len(list((tmp_path / "state" / "supports").iterdir())) == 1, "what is not used is removed"


def test_a_restart_reads_no_scan_again(tmp_path, library):
    scan = write(tmp_path, "a", {1: [0], 2: [1]})
    before = update(library, scan)

    def transform(_):
        raise AssertionError("read again")

    later = make_library(tmp_path)
    later.transform = transform
    after = update(later, scan)
    assert after.key == before.key
    assert torch.equal(after.support.images, before.support.images)
    assert after.labels == {"label_1": 1, "label_2": 2}


def test_what_was_damaged_on_disk_is_made_again(tmp_path, library):
    scan = write(tmp_path, "a", {1: [0]})
    update(library, scan)
    next((tmp_path / "state" / "supports").iterdir()).write_bytes(b"half")
    assert update(make_library(tmp_path), scan).labels == {"label_1": 1}


def test_a_scan_that_cannot_be_used_does_not_spoil_the_others(tmp_path, library):
    good, bad = write(tmp_path, "a", {1: [0]}, {"1": "liver"}), write(tmp_path, "b", {1: [0]})
    bad.label.write_bytes(b"no label map")
    state = update(library, bad, good)
    assert state.labels == {"liver": 1}
    assert list(state.problems) == ["b"]
    assert "b_label.nii cannot be read" in state.problems["b"]


def test_a_scan_that_is_switched_off_serves_no_longer_and_is_kept_ready(tmp_path, library):
    a = write(tmp_path, "a", {1: [0]}, {"1": "liver"})
    b = write(tmp_path, "b", {1: [0, 1]}, {"1": "spleen"})
    both, off = update(library, a, b), update(library, a, replace(b, enabled=False))
    assert off.labels == {"liver": 1}
    assert off.key != both.key
    assert len(list((tmp_path / "state" / "supports").iterdir())) == 2
    library.transform = None  # nothing is read again
    assert len(library.support_of(replace(b, enabled=False), SliceEncoder(NETWORK, 8)).images) == 2
    assert update(library, replace(a, enabled=False)).support is None


def test_the_slices_of_a_scan_have_its_weight(tmp_path, library):
    a = write(tmp_path, "a", {1: [0, 1]}, {"1": "liver"})
    b = replace(write(tmp_path, "b", {1: [2]}, {"1": "liver"}), weight=0.25)
    state = update(library, a, b)
    assert state.support.weights.tolist() == [1, 1, 0.25]
    assert state.support.take([2, 0]).weights.tolist() == [0.25, 1]
    save_support(tmp_path / "saved", state.support)
    assert torch.equal(read_support(tmp_path / "saved").weights, state.support.weights)
    plain = update(library, a, replace(b, weight=1.0))
    assert (plain.support.weights, plain.key != state.key) == (None, True)
    none = update(library, a, replace(b, weight=0.0))
    assert [origin.scan for origin in none.support.origins] == ["a", "a"]


def test_a_support_from_elsewhere_serves_if_it_was_made_alike(tmp_path, library):
    a = write(tmp_path, "a", {1: [0]}, {"1": "liver"})
    b = write(tmp_path, "b", {1: [2, 3]}, {"1": "spleen"})
    there = library.support_of(b, SliceEncoder(NETWORK, 8))
    file = tmp_path / "elsewhere.safetensors"
    save_support(file, there)
    state = update(library, a, SavedSupport("b (imported)", file))
    assert state.labels == {"liver": 1, "spleen": 2}
    assert [origin.scan for origin in state.support.origins] == ["a", "b (imported)", "b (imported)"]
    assert update(library, a, SavedSupport("b (imported)", file, enabled=False)).labels == {"liver": 1}
    assert file.exists()
    save_support(file, replace(there, preprocessing="other"))
    state = update(make_library(tmp_path), a, SavedSupport("b (imported)", file))
    assert state.labels == {"liver": 1}
    assert "was made by the preprocessing 'other'" in state.problems["b (imported)"]


def test_the_most_useful_slices_are_kept(tmp_path):
    scan = write(tmp_path, "a", {1: [0, 1, 2, 3], 2: [0, 1]}, {"1": "liver", "2": "spleen"})
    assert len(update(make_library(tmp_path, limit=2), scan).support.images) == 2
    limited = make_library(tmp_path, limits={"liver": 1, "spleen": 1})
    assert len(update(limited, scan).support.images) <= 2


def test_a_legend_has_room_for_254_labels(tmp_path):
    registry = LabelRegistry(tmp_path / "labels.json")
    assert registry.values(f"label {n}" for n in range(254))["label 253"] == 254
    assert LabelRegistry(tmp_path / "labels.json").values(["label 7", "label 3"]) == {"label 3": 4, "label 7": 8}
    with pytest.raises(InputError, match="there are 254 labels and 1 new ones, such as 'one more'; at most 254"):
        registry.values(["label 1", "one more"])
    assert len(json.loads((tmp_path / "labels.json").read_text(encoding="utf-8"))) == 254


def name_labels(file, names, values):
    values.send(LabelRegistry(file).values(names))


def test_two_processes_never_give_one_value_twice(tmp_path):
    file, context = tmp_path / "labels.json", multiprocessing.get_context("fork")
    pipes = [context.Pipe(duplex=False) for _ in range(4)]
    workers = [
        context.Process(target=name_labels, args=(file, [f"{k}-{n}" for n in range(40)], tells))
        for k, (_, tells) in enumerate(pipes)
    ]
    for worker in workers:
        worker.start()
    given = [receives.recv() for receives, _ in pipes]
    for worker in workers:
        worker.join()
    assert sorted(value for values in given for value in values.values()) == list(range(1, 161))
    assert LabelRegistry(file).values(["2-7"]) == {"2-7": given[2]["2-7"]}


def test_each_labelled_scan_is_segmented_from_the_others(tmp_path):
    registry = LabelRegistry(tmp_path / "labels.json")
    scans = [
        write(tmp_path, "a", {1: [0, 1, 2, 3]}, {"1": "liver"}),
        write(tmp_path, "b", {5: [0, 1, 2, 3]}, {"5": "liver"}),
    ]
    volumes = [read_labelled_volume(scan, TRANSFORM, registry) for scan in scans]
    assert [dict(volume.labels) for volume in volumes] == [{"liver": 1}, {"liver": 1}]
    assert volumes[1].label_map.unique().tolist() == [0, 1]
    settings = OneShotSettings(component_filter="none")
    assert leave_one_out_dice(volumes, SliceEncoder(NETWORK, 8), settings) > 0.9
    beside = volumes[1]._replace(label_map=volumes[1].label_map.roll(4, dims=2))
    assert leave_one_out_dice([volumes[0], beside], SliceEncoder(NETWORK, 8), settings) < 0.1
    assert leave_one_out_dice(volumes[:1], SliceEncoder(NETWORK, 8), settings) is None


def test_a_query_is_served_by_examples_of_its_kind_first(tmp_path, library):
    t1 = replace(write(tmp_path, "t1", {1: [0], 2: [1]}, {"1": "liver", "2": "spleen"}), kind="MR T1")
    t2 = replace(write(tmp_path, "t2", {1: [2]}, {"1": "liver"}), kind="MR T2")
    unknown = write(tmp_path, "unknown", {1: [3]}, {"1": "liver"})
    encoder, scans = SliceEncoder(NETWORK, 8), (t1, t2, unknown)

    def serving(kind, *scans):
        state = library.update(scans, encoder, kind)
        drawn = state.support.one_hot().sum((2, 3)) > 0
        origins = [origin.scan for origin in state.support.origins]
        return {
            name: [scan for scan, there in zip(origins, row, strict=True) if there]
            for name, row in zip(state.labels, drawn.tolist(), strict=True)
        }

    assert serving("", *scans) == {"liver": ["t1", "t2", "unknown"], "spleen": ["t1"]}
    assert serving("MR T2", *scans) == {"liver": ["t2"], "spleen": ["t1"]}
    assert serving("MR T1", *scans) == {"liver": ["t1"], "spleen": ["t1"]}
    assert serving("MR DWI", *scans) == serving("", *scans), "there are none of its kind"
    states = [library.update(scans, encoder, kind) for kind in ("", "MR T2", "MR T1", "MR DWI")]
    assert len({state.key for state in states}) == 3
    assert states[3] is states[0] is library.state
    assert all(state.labels == {"liver": 1, "spleen": 2} for state in states)
    of_another_kind = library.update((t1, t2, replace(unknown, kind="MR T2")), encoder, "MR T2")
    assert of_another_kind.key != states[1].key
    assert serving("MR T2", t1, replace(t2, enabled=False), unknown)["liver"] == ["t1", "unknown"]
    assert library.update((t1,), encoder, "CT") is library.state
    assert library.update((replace(t1, kind="CT"), t2), encoder, "CT").support.origins[0].scan == "t1", "a kind changed"
