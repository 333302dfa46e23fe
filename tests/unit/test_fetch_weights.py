"""Fetching from a server on this machine: resumed, checked, whole or not at all."""

import hashlib
import re
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from runpy import run_path

import pytest

from protoseg.data.preparation import published_weights
from protoseg.data.preparation.published_weights import PUBLISHED, PublishedFile, fetch, take
from protoseg.errors import InputError
from protoseg.networks.encoder_table import ENCODERS

CONTENT = bytes(range(256)) * 64
SCRIPT = Path(__file__).parents[2] / "bundle" / "protoseg" / "commands" / "fetch.py"
CONFIGS = Path(__file__).parents[2] / "bundle" / "configs"


class Publisher(BaseHTTPRequestHandler):
    """Serves CONTENT; notes the ranges asked for; may ignore them, or break off after some bytes."""

    ranges: list[str | None]
    resumes = True
    breaks_after: int | None = None

    def do_GET(self):
        asked = self.headers["Range"]
        self.ranges.append(asked)
        start = int(asked[6:-1]) if asked and self.resumes else 0
        if start >= len(CONTENT):
            self.send_response(416)
            self.send_header("Content-Range", f"bytes */{len(CONTENT)}")
            self.end_headers()
            return
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", str(len(CONTENT) - start))
        self.end_headers()
        self.wfile.write(CONTENT[start : self.breaks_after])

    def log_message(self, *_):
        pass


@pytest.fixture
def publisher():
    handler = type("Handler", (Publisher,), {"ranges": []})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    handler.file = PublishedFile(
        f"http://127.0.0.1:{server.server_port}/models/vit.pth", f"sha256:{hashlib.sha256(CONTENT).hexdigest()}"
    )
    yield handler
    server.shutdown()
    server.server_close()
    thread.join()


def test_a_file_is_fetched_once(publisher, tmp_path):
    folder = tmp_path / "new" / "models"
    target = fetch(publisher.file, folder)
    assert target == folder / "vit.pth"
    assert target.read_bytes() == CONTENT
    assert fetch(publisher.file, folder) == target
    assert publisher.ranges == [None]
    assert [path.name for path in folder.iterdir()] == ["vit.pth"]


def test_a_download_that_broke_off_goes_on_where_it_was(publisher, tmp_path):
    publisher.breaks_after = 5000
    message = r"the connection broke after 5000 of 16384 bytes|IncompleteRead"
    with pytest.raises(InputError, match=message) as caught:
        fetch(publisher.file, tmp_path)
    assert "Give the same command again" in str(caught.value)
    assert not (tmp_path / "vit.pth").exists()
    publisher.breaks_after = None
    assert fetch(publisher.file, tmp_path).read_bytes() == CONTENT
    assert publisher.ranges == [None, "bytes=5000-"]


def test_a_server_that_cannot_resume_sends_everything(publisher, tmp_path):
    publisher.resumes = False
    (tmp_path / ".vit.pth.part").write_bytes(b"x" * 100)
    assert fetch(publisher.file, tmp_path).read_bytes() == CONTENT
    assert publisher.ranges == ["bytes=100-"]


def test_a_download_that_only_lacked_its_name(publisher, tmp_path):
    (tmp_path / ".vit.pth.part").write_bytes(CONTENT)
    assert fetch(publisher.file, tmp_path).read_bytes() == CONTENT


def test_a_part_of_another_file_is_dropped(publisher, tmp_path):
    (tmp_path / ".vit.pth.part").write_bytes(b"x" * 100)
    with pytest.raises(InputError, match="is not the published file: its checksum differs"):
        fetch(publisher.file, tmp_path)
    assert not list(tmp_path.iterdir())
    (tmp_path / ".vit.pth.part").write_bytes(b"x" * 99_999)
    assert fetch(publisher.file, tmp_path).read_bytes() == CONTENT


def test_a_damaged_file_is_fetched_again(publisher, tmp_path):
    (tmp_path / "vit.pth").write_bytes(CONTENT[:-1])
    assert fetch(publisher.file, tmp_path).read_bytes() == CONTENT


def test_without_internet_the_user_is_told_which_file_to_put_where(tmp_path, monkeypatch, capsys):
    url = "http://127.0.0.1:9/sam_vit_b_01ec64.pth"  # nobody listens on the discard port
    monkeypatch.setitem(published_weights.PUBLISHED, "sam_vit_b", PublishedFile(url))
    monkeypatch.setattr(sys, "argv", ["fetch_weights", "sam_vit_b", "--folder", str(tmp_path)])
    with pytest.raises(SystemExit) as caught:
        run_path(str(SCRIPT), run_name="__main__")
    assert caught.value.code == 2
    message = capsys.readouterr().err
    assert url in message
    assert f"save it as {tmp_path / 'sam_vit_b_01ec64.pth'}" in message
    assert "--from the folder that holds sam_vit_b_01ec64.pth" in message
    assert not list(tmp_path.iterdir())


def test_files_that_were_fetched_elsewhere(tmp_path, monkeypatch, capsys):
    checksum = f"md5:{hashlib.md5(CONTENT).hexdigest()}"
    file = PublishedFile("http://127.0.0.1:9/vit.pth", checksum)
    monkeypatch.setitem(published_weights.PUBLISHED, "sam_vit_b", file)
    stick, folder = tmp_path / "stick", tmp_path / "models"
    stick.mkdir()
    with pytest.raises(InputError, match=r"stick/vit\.pth does not exist\. Fetch http://127\.0\.0\.1:9/vit\.pth"):
        take(file, stick, folder)
    (stick / "vit.pth").write_bytes(CONTENT[1:])
    with pytest.raises(InputError, match="is not the published file"):
        take(file, stick, folder)
    assert not folder.exists()
    (stick / "vit.pth").write_bytes(CONTENT)
    monkeypatch.setattr(sys, "argv", ["fetch_weights", "sam_vit_b", "--from", str(stick), "--folder", str(folder)])
    run_path(str(SCRIPT), run_name="__main__")
    assert capsys.readouterr().out.strip() == str(folder / "vit.pth")
    assert (folder / "vit.pth").read_bytes() == CONTENT


@pytest.mark.parametrize("name", PUBLISHED)
def test_the_configs_look_for_the_files_under_their_names(name):
    if name in ENCODERS:
        asked = ENCODERS[name].file
    else:
        [asked] = re.findall(r"/models/([^']+)'", (CONFIGS / "refiners" / f"{name}.yaml").read_text(encoding="utf-8"))
    assert asked == PUBLISHED[name].name
