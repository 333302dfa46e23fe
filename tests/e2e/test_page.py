"""The server's own page, in a browser, by the keyboard alone."""

import json
import os
import re
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import nibabel
import numpy as np
import pytest
import requests
from playwright.sync_api import Page, expect

pytest.importorskip("monailabel", reason="MONAI Label is not installed: pip install -e .[label]")

from protoseg.data.preparation.synthetic import write_dataset
from protoseg.synthesis.anatomy import ABDOMEN_LABELS

APP = Path(__file__).parents[2] / "monailabel_app"
NAMES = ["<img src=x onerror=\"document.title='owned'\">", "person & 肝"]


@pytest.fixture(scope="module")
def address(tmp_path_factory) -> Iterator[str]:
    """A server over two studies of odd names, both labelled."""
    folder = tmp_path_factory.mktemp("page")
    write_dataset(folder, training=2, validation=0, test=0, shape=(96, 96, 10), spacing=(4.0, 4.0, 20.0))
    studies = folder / "studies"
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = listener.getsockname()[1]
    studies.mkdir()
    for number, name in enumerate(NAMES):
        (folder / "images" / f"training_00{number}.nii.gz").rename(studies / f"{name}.nii.gz")
    command = ["start_server", "--app", str(APP), "--studies", str(studies), "--port", str(port)]
    environment = {
        **os.environ,
        "MONAI_LABEL_SESSION_PATH": str(folder / "sessions"),
        "MONAI_LABEL_TRACKING_ENABLED": "false",
        "MONAI_LABEL_AUTO_UPDATE_SCORING": "false",
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]),
    }
    options = ["--host", "127.0.0.1", "--conf", "image_size", "128"]
    with (folder / "server.log").open("wb") as log:
        program = [sys.executable, "-m", "monailabel.main", *command, *options]
        serving = subprocess.Popen(program, env=environment, stdout=log, stderr=log)
    url = f"http://127.0.0.1:{port}"
    try:
        while not _answers(url):
            assert serving.poll() is None, (folder / "server.log").read_text(encoding="utf-8", errors="replace")[-3000:]
            time.sleep(0.3)
        for number, name in enumerate(NAMES):
            _submit(url, name, folder / "labels" / f"training_00{number}.nii.gz")
        yield url
    finally:
        serving.terminate()
        serving.wait()


def _answers(url: str) -> bool:
    try:
        return requests.get(f"{url}/info/", timeout=60).ok
    except requests.RequestException:
        return False


def _submit(url: str, name: str, labels: Path) -> None:
    source = nibabel.load(labels)
    liver = (np.asarray(source.dataobj) == ABDOMEN_LABELS["liver"]).astype(np.uint8)
    file = labels.with_name("liver.nii.gz")
    nibabel.save(nibabel.Nifti1Image(liver, source.affine), file)
    said = {"label_info": [{"name": "liver", "idx": 1}]}
    with file.open("rb") as content:
        data = {"params": json.dumps(said)}
        answer = requests.put(
            f"{url}/datastore/label", params={"image": name}, data=data, files={"label": content}, timeout=600
        )
    answer.raise_for_status()


def test_the_library_is_managed_by_the_keyboard_alone(address: str, page: Page, tmp_path: Path) -> None:
    strange, foreign = [], []
    page.on("console", lambda message: strange.append(message.text))
    page.on("pageerror", lambda error: strange.append(str(error)))
    page.on("request", lambda request: None if request.url.startswith(address) else foreign.append(request.url))
    page.goto(address)
    cards = page.locator(".card")
    expect(cards).to_have_count(2, timeout=60000)
    expect(page.locator("#state")).to_have_text("running")
    expect(page.locator(".card h3").first).to_have_text(NAMES[0])
    for number in range(2):
        picture = page.locator(".card img").nth(number)
        picture.scroll_into_view_if_needed()
        expect(picture).to_have_js_property("complete", True)
        assert picture.evaluate("image => image.naturalWidth") == 256

    switch = page.get_by_role("switch", name=f"Use {NAMES[0]}", exact=True)
    switch.focus()
    page.keyboard.press("Space")
    expect(page.locator("#count")).to_have_text("2 examples, 1 in use")
    expect(switch).not_to_be_checked()
    expect(switch).to_be_focused()
    page.keyboard.press("Space")
    expect(page.locator("#count")).to_have_text("2 examples, 2 in use")

    with page.expect_download() as download:
        page.get_by_role("link", name="Export").focus()
        page.keyboard.press("Enter")
    archive = tmp_path / "library.zip"
    download.value.save_as(archive)

    delete = page.get_by_role("button", name=f"Delete {NAMES[1]}", exact=True)
    delete.focus()
    page.keyboard.press("Enter")
    expect(page.locator("#confirm-no")).to_be_focused()
    page.keyboard.press("Escape")
    expect(cards).to_have_count(2)
    expect(delete).to_be_focused()
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    expect(page.locator("#confirm-yes")).to_be_focused()
    page.keyboard.press("Enter")
    expect(cards).to_have_count(1)
    assert len(requests.get(f"{address}/library/", timeout=60).json()["examples"]) == 1

    with page.expect_file_chooser() as chooser:
        page.get_by_role("button", name="Import").focus()
        page.keyboard.press("Enter")
    chooser.value.set_files(archive)
    expect(page.locator("#message-text")).to_have_text("1 imported, 1 were there already.", timeout=60000)
    expect(page.locator(".badge")).to_have_text("Imported")
    with page.expect_file_chooser() as chooser:
        page.locator("#import").click()
    chooser.value.set_files(Path(__file__))
    expect(page.locator("#message-text")).to_contain_text("no ZIP archive")

    page.locator("#removed summary").click()
    page.get_by_role("button", name=f"Restore {NAMES[1]}", exact=True).click()
    expect(cards).to_have_count(3)
    page.locator("#filter").fill("肝")
    expect(cards).to_have_count(2)
    weight = page.get_by_role("slider", name=f"Weight of {NAMES[1]}", exact=True).first
    weight.focus()
    for _ in range(10):
        page.keyboard.press("ArrowLeft")
    expect(page.locator("#message-text")).to_contain_text("weighs 0.5 from now on")
    assert 0.5 in [example["weight"] for example in requests.get(f"{address}/library/", timeout=60).json()["examples"]]
    if os.environ.get("PROTOSEG_SCREENSHOTS"):
        page.screenshot(path=Path(os.environ["PROTOSEG_SCREENSHOTS"]) / "page.png", full_page=True)
    assert page.title() == "protoseg", "no name became a program"
    refused = [text for text in strange if "400" not in text]
    assert not refused, "the archive that is none is the only thing that the browser complains of"
    assert not foreign


def test_who_may_not_manage_sees_no_buttons_for_it(address: str, page: Page) -> None:
    page.route("**/status/", lambda route: route.fulfill(json={**route.fetch().json(), "roles": ["annotate"]}))
    page.goto(address)
    expect(page.locator(".card").first).to_be_visible(timeout=60000)
    expect(page.locator("#looks")).to_be_visible()
    controls = page.locator(".card input, .card button, #import, #removals button")
    assert not any(control.is_visible() for control in controls.all())
    expect(page.locator(".card .controls").first).to_have_text(re.compile("^On"))
    if os.environ.get("PROTOSEG_SCREENSHOTS"):
        page.screenshot(path=Path(os.environ["PROTOSEG_SCREENSHOTS"]) / "page_without_manage.png", full_page=True)
    page.unroute("**/status/")
    page.reload()
    expect(page.get_by_role("switch").first).to_be_visible(timeout=60000)
    expect(page.get_by_role("button", name="Import")).to_be_visible()
