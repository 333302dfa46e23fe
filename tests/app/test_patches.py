"""Each patch of the server is refused where it no longer fits, and meets the defect it is for."""

import asyncio
import inspect
import json
import tarfile
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import nibabel
import numpy as np
import pytest
from fastapi import BackgroundTasks, Request
from monailabel.config import settings
from monailabel.datastore.utils import convert
from monailabel.endpoints import infer as infer_endpoints
from monailabel.endpoints import proxy as proxy_endpoints
from monailabel.endpoints.user.auth import RBAC, User
from monailabel.interfaces import app as app_module


@pytest.fixture
def patches(start: Callable[..., Any]) -> dict[str, Any]:
    """What the app has patched, by target."""
    start()
    from lib.server.patching import PATCHES

    return PATCHES


class Owner:
    """Has what is patched in the tests."""

    def greet(self, name: str) -> str:
        return f"Hello {name}"


def patching() -> Any:
    from lib.server import patching as module

    return module


@pytest.mark.parametrize(
    ("name", "takes", "found"),
    [
        ("greet", "self who", r"greet takes \(self name\), expected \(self who\), in MONAI Label 0\.8"),
        ("wave", "self", "wave does not exist, in MONAI Label 0\\.8"),
        ("__module__", "self", r"__module__ takes \(no call\), expected \(self\)"),
    ],
)
def test_what_is_not_as_it_was_is_refused(start: Callable[..., Any], name: str, takes: str, found: str) -> None:
    start()
    with pytest.raises(patching().PatchError, match=found) as refused:
        patching().patch(Owner, name, lambda original: original, takes=takes, defect="it is rude")
    assert "because of a defect: it is rude." in str(refused.value)
    assert Owner().greet("Anna") == "Hello Anna"


def test_a_class_is_replaced_by_a_subclass_of_it_alone(start: Callable[..., Any]) -> None:
    start()
    module = SimpleNamespace(__name__="shop", Owner=Owner)
    with pytest.raises(patching().PatchError, match="which dict is no subclass of"):
        patching().patch_class(module, "Owner", dict, defect="it is rude")
    assert module.Owner is Owner


def test_an_app_that_is_made_again_patches_what_monai_label_has(patches: dict[str, Any], start: Callable) -> None:
    before = {target: patch.original for target, patch in patches.items()}
    start()
    from lib.server import patch_server

    patch_server()
    patch_server()
    assert {target: patch.original for target, patch in patches.items()} == before
    for original in before.values():
        assert original.__module__.partition(".")[0] in ("monailabel", "fastapi")


def query_is_dropped(original: Callable[..., Any], folder: Path, monkeypatch: pytest.MonkeyPatch) -> bool:
    asked = []

    def get(url: str, **_: Any) -> Any:
        asked.append(url)
        return SimpleNamespace(raw=SimpleNamespace(read=lambda: b""), status_code=200, headers={})

    monkeypatch.setattr(settings, "MONAI_LABEL_STUDIES", "http://pacs")
    monkeypatch.setattr(proxy_endpoints.requests, "get", get)
    scope = {"type": "http", "method": "GET", "query_string": b"PatientID=7", "path": "/", "headers": []}
    asyncio.run(original(Request(scope), "qido", "studies"))
    return "PatientID" not in asked[0]


def session_leads_out(original: type, folder: Path, _: pytest.MonkeyPatch) -> bool:
    (folder / "sessions").mkdir()
    (folder / "image.nii").touch()
    info = {"name": "x", "image": str(folder / "image.nii")}
    (folder / "meta.info").write_text(json.dumps(info), encoding="utf-8")
    return original(str(folder / "sessions")).get_session("..", update_ts=False) is not None


def unknown_image_has_an_empty_path(original: type, folder: Path, _: pytest.MonkeyPatch) -> bool:
    return original(str(folder)).get_image_uri("none") == ""


def series_are_listed_once(original: type, folder: Path, _: pytest.MonkeyPatch) -> bool:
    asked: list[dict[str, Any]] = []

    def search_for_series(**how: Any) -> list[dict[str, Any]]:
        asked.append(how)
        return []

    client = SimpleNamespace(base_url="http://pacs", search_for_series=search_for_series)
    datastore = original(client, {"Modality": "CT"}, cache_path=str(folder))
    before = len(asked)
    datastore.list_images()
    datastore.list_images()
    return len(asked) <= before + 1


def lone_label_is_named_by_its_rank(
    original: Callable[..., Any], folder: Path, monkeypatch: pytest.MonkeyPatch
) -> bool:
    templates = []
    spleen = np.zeros((4, 4, 4), np.uint8)
    spleen[1] = 2
    nibabel.save(nibabel.Nifti1Image(spleen, np.eye(4)), folder / "labels.nii")
    monkeypatch.setattr(convert, "itk_image_to_dicom_seg", lambda label, series, template: templates.append(template))
    original(str(folder), str(folder / "labels.nii"), [{"name": "liver", "idx": 1}, {"name": "spleen", "idx": 2}])
    [[segment]] = templates[0]["segmentAttributes"]
    return (segment["labelID"], segment["SegmentLabel"]) == (2, "liver")


def dicom_seg_stays_behind(original: Callable[..., Any], folder: Path, _: pytest.MonkeyPatch) -> bool:
    tasks = BackgroundTasks()
    (folder / "seg.dcm").touch()
    original(None, {"dicom_seg": str(folder / "seg.dcm"), "params": {}}, "dicom_seg", tasks)
    asyncio.run(tasks())
    return (folder / "seg.dcm").exists()


def tools_are_downloaded(original: Callable[..., Any], folder: Path, monkeypatch: pytest.MonkeyPatch) -> bool:
    fetched = []
    monkeypatch.setenv("PATH", "")
    monkeypatch.setattr(app_module, "download_and_extract", lambda url, **_: fetched.append(url))
    original(SimpleNamespace(app_dir=str(folder)))
    return bool(fetched) and fetched[0].startswith("https://github.com/QIICR/dcmqi")


def background_is_drawn(original: Callable[..., Any], folder: Path, _: pytest.MonkeyPatch) -> bool:
    page = Path(original("").path)
    texts = [file.read_text(encoding="utf-8") for file in page.parent.glob("*.bundle.*.js")]
    return any("label_names.push(label);" in text for text in texts)


def endpoints_block(original: Callable[..., Any], folder: Path, _: pytest.MonkeyPatch) -> bool:
    """An endpoint that is `async` runs on the event loop, where nothing else runs meanwhile."""
    loops = []

    async def endpoint() -> None:
        loops.append(asyncio.get_running_loop())

    async def serve() -> bool:
        await original(dependant=SimpleNamespace(call=endpoint), values={}, is_coroutine=True)
        return loops == [asyncio.get_running_loop()]

    return asyncio.run(serve()) and inspect.iscoroutinefunction(infer_endpoints.api_run_inference)


def roles_are_not_checked(original: Callable[..., Any], folder: Path, _: pytest.MonkeyPatch) -> bool:
    nobody = User(username="nobody", roles=[])
    return asyncio.run(original(RBAC("monailabel-admin"), nobody)) is nobody


DEFECTS: dict[str, Callable[[Any, Path, pytest.MonkeyPatch], bool]] = {
    "monailabel.endpoints.proxy.proxy_dicom": query_is_dropped,
    "monailabel.interfaces.app.Sessions": session_leads_out,
    "monailabel.interfaces.app.LocalDatastore": unknown_image_has_an_empty_path,
    "monailabel.interfaces.app.DICOMWebDatastore": series_are_listed_once,
    "monailabel.endpoints.infer.nifti_to_dicom_seg": lone_label_is_named_by_its_rank,
    "monailabel.endpoints.infer.send_response": dicom_seg_stays_behind,
    "monailabel.interfaces.app.MONAILabelApp._download_dcmqi_tools": tools_are_downloaded,
    "monailabel.endpoints.user.auth.RBAC.__call__": roles_are_not_checked,
    "monailabel.endpoints.ohif.get_ohif": background_is_drawn,
    "fastapi.routing.run_endpoint_function": endpoints_block,
}


def test_every_patch_has_its_test(patches: dict[str, Any]) -> None:
    assert patches.keys() == DEFECTS.keys()


@pytest.mark.parametrize("target", DEFECTS)
def test_a_patch_meets_the_defect_that_it_is_for(
    patches: dict[str, Any], target: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "defect"
    folder.mkdir()
    assert DEFECTS[target](patches[target].original, folder, monkeypatch), (
        f"gone: {patches[target].defect}. Take the patch away."
    )


@pytest.mark.skipif(not hasattr(tarfile, "data_filter"), reason="Python has filters of archives from 3.11.4 on")
def test_python_unpacks_an_archive_anywhere_unless_it_is_told_not_to(
    start: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    start()
    (tmp_path / "evil.txt").write_text("evil", encoding="utf-8")
    with tarfile.open(tmp_path / "a.tar", "w") as archive:
        archive.add(tmp_path / "evil.txt", "../out.txt")
    (tmp_path / "in").mkdir()
    with tarfile.open(tmp_path / "a.tar") as archive, pytest.raises(tarfile.OutsideDestinationError):
        archive.extractall(tmp_path / "in")
    monkeypatch.setattr(tarfile.TarFile, "extraction_filter", staticmethod(tarfile.fully_trusted_filter))
    with tarfile.open(tmp_path / "a.tar") as archive:
        archive.extractall(tmp_path / "in")
    assert (tmp_path / "out.txt").exists()
