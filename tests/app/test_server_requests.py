"""Requests that no client should send: each gets a clear answer, and the server lives on."""

import gzip
import json
import tempfile
import threading
import time
import zipfile
from io import BytesIO

import nibabel
import numpy as np
import pytest
from monailabel.config import settings
from monailabel.interfaces.utils.app import app_instance

ALWAYS = (".lock", ".protoseg", "audit.jsonl")  # what every request may leave
NAMES = json.dumps({"label_info": [{"name": "liver", "idx": 1}]})


BAD_REQUESTS = [
    ("/infer/oneshot?image=nobody", {}, 404, "There is no image 'nobody'"),
    ("/infer/nothing?image=person0", {}, 404, "There is no model 'nothing'; this app has 'oneshot'"),
    ("/infer/oneshot?image=/etc/passwd", {}, 404, "There is no image '/etc/passwd'"),
    ("/infer/oneshot?image=../studies/person0", {}, 404, "There is no image '../studies/person0'"),
    ("/infer/oneshot?session_id=../..", {}, 404, "There is no session '../..'"),
    ("/infer/oneshot", {}, 400, "names neither an image nor a session"),
    ("/infer/oneshot?image=person0", {"params": "{"}, 400, "params is not JSON"),
    ("/infer/oneshot?image=person0", {"params": "[" * 100000}, 400, "params is not JSON"),
    ("/infer/oneshot?image=person0", {"params": "[1]"}, 400, "params is [1], expected a JSON object"),
    ("/infer/oneshot?image=person0", {"params": '{"image": "/etc/passwd"}'}, 400, "params holds 'image'"),
    ("/infer/oneshot?image=person0", {"params": '{"label": "../x"}'}, 400, "expected a name without '/'"),
    ("/infer/oneshot?image=person0", {"params": '{"result_extension": "/../x"}'}, 400, "result_extension is '/../x'"),
    ("/infer/oneshot?image=person0", {"params": '{"result_dtype": "object"}'}, 400, "result_dtype is 'object'"),
    ("/train/nothing", {}, 404, "There is no model 'nothing'; this app has none."),
    ("/scoring/nothing", {}, 404, "There is no method 'nothing'"),
    ("/activelearning/nothing", {}, 404, "There is no strategy 'nothing'"),
    ("/batch/infer/nothing", {}, 404, "There is no model 'nothing'"),
]


@pytest.fixture
def client(start):
    return start().http


def test_a_bad_request_is_told_what_is_wrong(client):
    for path, form, status, message in BAD_REQUESTS:
        response = client.post(path, data=form)
        assert response.status_code == status, path
        assert message in response.json()["detail"], path


def test_uploads_that_cannot_be_used_are_refused_and_nothing_is_kept(client, studies, label, tmp_path):
    image = (studies / "person0.nii.gz").read_bytes()
    nibabel.save(
        nibabel.Nifti1Image(np.arange(16**4, dtype=np.float32).reshape(16, 16, 16, 16), np.eye(4)),
        tmp_path / "4d.nii.gz",
    )
    before = sorted(path for path in studies.rglob("*") if path.name not in ALWAYS)
    cases = [
        ("../evil", "scan.nii.gz", image, "The image is named '../evil'"),
        (".hidden", "scan.nii.gz", image, "The image is named '.hidden'"),
        ("broken", "scan.nii.gz", image[:1000], "cannot be read: it is damaged"),
        ("program", "scan.exe", image, "Images of type '.exe' are not stored"),
        ("series", "4d.nii.gz", (tmp_path / "4d.nii.gz").read_bytes(), "in 4 dimensions, expected one 3D volume"),
    ]
    for name, file, content, message in cases:
        response = client.put("/datastore/image", params={"image": name}, files={"file": (file, content)})
        assert response.status_code == 400, name
        assert message in response.json()["detail"]
    liver = label(0, ["liver"])[0].read_bytes()
    cases = [
        ("person0", "../../evil", liver, 400, "The tag is named '../../evil'"),
        ("nobody", "final", liver, 404, "There is no image 'nobody'"),
        ("person1", "final", liver, 400, "The label map lies elsewhere than the image"),
        ("person0", "final", liver[:500], 400, "cannot be read: it is damaged"),
        ("person0", "final", label(0, [])[0].read_bytes(), 400, "The label map is empty"),
    ]
    for name, tag, content, status, message in cases:
        address, files = {"image": name, "tag": tag}, {"label": ("label.nii.gz", content)}
        response = client.put("/datastore/label", params=address, data={"params": NAMES}, files=files)
        assert response.status_code == status, (name, tag)
        assert message in response.json()["detail"]
    assert sorted(path for path in studies.rglob("*") if path.name not in ALWAYS) == before


def test_sessions_hold_images_that_can_be_read(client, studies, tmp_path, monkeypatch):
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(temporary))
    image = (studies / "person0.nii.gz").read_bytes()
    kept = client.put("/session/", files={"files": ("scan.nii.gz", image)})
    assert kept.status_code == 200
    assert client.get(f"/session/{kept.json()['session_id']}").status_code == 200
    for name, content in (("scan.nii.gz", image[:1000]), ("..", image), ("scan.txt", b"hello")):
        response = client.put("/session/", files={"files": (name, content)})
        assert response.status_code == 400, name
        assert "/tmp" not in response.json()["detail"]
    packed = BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("scan.nii", gzip.decompress(image))
    damaged = bytearray(packed.getvalue())
    damaged[len(damaged) // 2] ^= 255
    for content in (image, bytes(damaged)):
        response = client.put("/session/?uncompress=true", files={"files": ("scan.zip", content)})
        assert (response.status_code, response.json()["detail"][:29]) == (400, "scan.zip cannot be unpacked. ")
    assert not list(temporary.iterdir()), "what is refused is not kept"


def test_what_is_too_large_is_refused(start):
    client = start(upload_limit_mb="0.1").http
    chunks = (b"0" * 2**16 for _ in range(10))  # without Content-Length
    for content in (b"0" * 2**18, chunks):
        response = client.put(
            "/datastore/image", content=content, headers={"Content-Type": "multipart/form-data; boundary=x"}
        )
        assert response.status_code == 413
        assert response.json()["detail"] == "The request is larger than 0.1 MB. See --conf upload_limit_mb."


def test_other_machines_are_refused_unless_the_server_is_told_otherwise(start):
    client = start().http
    client._transport.client = ("192.0.2.7", 1234)
    assert client.get("/info/").status_code == 403
    settings.MONAI_LABEL_APP_CONF["remote_access"] = "true"
    assert client.get("/info/").status_code == 200


@pytest.mark.parametrize(
    ("host", "conf", "status"),
    [
        ("127.0.0.1:8000", {}, 200),
        ("localhost", {}, 200),
        ("[::1]:8000", {}, 200),
        ("label.example.org", {}, 403),
        ("127.0.0.1.example.org", {}, 403),
        ("label.example.org", {"host_names": "label.example.org"}, 200),
        ("label.example.org", {"remote_access": "true"}, 200),
    ],
)
def test_a_site_that_had_its_name_lead_here_reads_nothing(start, monkeypatch, host, conf, status):
    client = start().http
    client._transport.client = ("127.0.0.1", 1234)
    for name, value in conf.items():
        monkeypatch.setitem(settings.MONAI_LABEL_APP_CONF, name, value)
    assert client.get("/info/", headers={"Host": host}).status_code == status


@pytest.mark.parametrize(
    ("origin", "conf", "refused"),
    [
        ("", {}, False),
        ("http://testserver", {}, False),
        ("https://elsewhere.example", {}, True),
        ("null", {}, True),
        ("https://label.example.org", {"host_names": "other.example,label.example.org"}, False),
    ],
)
def test_other_web_sites_change_nothing(start, monkeypatch, origin, conf, refused):
    client = start().http
    for name, value in conf.items():
        monkeypatch.setitem(settings.MONAI_LABEL_APP_CONF, name, value)
    answer = client.post("/infer/nothing", headers={"Origin": origin} if origin else {})
    assert (answer.status_code == 403) == refused


def test_other_web_sites_cannot_read_the_studies(client):
    answer = client.get("/info/", headers={"Origin": "https://elsewhere.example"})
    assert "access-control-allow-origin" not in answer.headers


class Held:
    """A model that runs until it is released, and counts how often it runs at once."""

    description, running, most = "", 0, 0

    def __init__(self):
        self.released, self.lock = threading.Event(), threading.Lock()

    def is_valid(self):
        return False  # `info` leaves it out

    def __call__(self, request):
        with self.lock:
            self.running += 1
            self.most = max(self.most, self.running)
        self.released.wait(600)  # only a test that fails waits so long
        with self.lock:
            self.running -= 1
        return None, {"image": request["image"]}


def test_the_server_answers_while_inferences_run_two_at_a_time(client):
    app_instance()._infers["held"] = held = Held()
    answers = {}

    def infer(person):
        answers[person] = client.post(f"/infer/held?image={person}&output=json").json()["image"]

    people = [f"person{n}" for n in range(4)]
    threads = [threading.Thread(target=infer, args=(person,)) for person in people]
    for thread in threads:
        thread.start()
    while held.running < 2:
        assert any(thread.is_alive() for thread in threads)
        time.sleep(0.01)
    for _ in range(20):
        assert client.get("/info/").status_code == 200
    assert held.running == 2, "it answered while they ran"
    held.released.set()
    for thread in threads:
        thread.join()
    assert held.most == 2
    assert all(answers[person].endswith(f"{person}.nii.gz") for person in people)


def test_an_inference_that_takes_too_long_is_given_up(client, monkeypatch):
    monkeypatch.setattr(settings, "MONAI_LABEL_INFER_TIMEOUT", 0.2)
    app_instance()._infers["held"] = held = Held()
    response = client.post("/infer/held?image=person0&output=json")
    assert response.status_code == 504
    assert "took longer than 0.2 s" in response.json()["detail"]
    held.released.set()
