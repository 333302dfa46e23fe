"""Clocks that are set back: what came last is still what came last."""

from datetime import datetime
from pathlib import Path
from types import SimpleNamespace

import pytest

APP = Path(__file__).parents[2] / "monailabel_app"


@pytest.fixture(autouse=True)
def app_modules(monkeypatch):
    monkeypatch.syspath_prepend(str(APP))


@pytest.mark.parametrize(
    ("newest", "made"),
    [
        ("20991231 235959.999999", datetime(2100, 1, 1)),
        ("20991231 235959", datetime(2099, 12, 31, 23, 59, 59, 1)),
        ("20991231 1030", datetime(2099, 12, 31, 10, 30, 0, 1)),
        ("20010101 000000.5", None),
        ("None None", None),
        ("", None),
    ],
)
def test_a_segmentation_is_dated_after_the_newest_one(newest, made):
    from lib.server.segmentation_objects import _later_than

    before = datetime.now()
    found = _later_than(newest)
    assert found == made if made else before <= found <= datetime.now()


def test_the_version_that_was_kept_last_is_the_last(tmp_path, monkeypatch):
    from lib.server import label_versions

    monkeypatch.setattr(label_versions, "MOST_VERSIONS", 3)
    versions = label_versions.LabelVersions(tmp_path / "versions")
    file = tmp_path / "label.nii.gz"
    file.write_bytes(b"a label")
    for number in range(6):
        monkeypatch.setattr(label_versions, "time", SimpleNamespace(time_ns=lambda n=number: 10**18 - n * 10**9))
        info = {"n": number}
        version = label_versions.LabelVersion(f"{number:016x}", "a", "current", ".nii.gz", info, file, voxels={"1": 1})
        versions.keep(version, "replaced")
    assert [one.info["n"] for one in versions.of("a")] == [3, 4, 5]


def test_an_image_that_was_given_in_the_future_is_not_held_back(monkeypatch):
    from lib import strategies

    class Datastore:
        def get_unlabeled_images(self):
            return ["given", "other"]

        def get_image_info(self, image):
            at = {"strategy": {"best": {"ts": 2000}}} if image == "given" else {}
            return {"score": 1.0 if image == "given" else 0.5, **at}

    strategy = strategies.ByScore("score", highest=True, description="")
    for now, first in ((2001, "other"), (1000, "given"), (10**9, "given")):
        monkeypatch.setattr(strategies, "time", SimpleNamespace(time=lambda now=now: now))
        assert strategy({"strategy": "best"}, Datastore())["id"] == first
