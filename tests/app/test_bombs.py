"""Uploads that are small until they are unpacked, and names that are none: refused, and nothing is kept."""

import gzip
import io
import json
import tarfile
import zipfile
from pathlib import Path

import nibabel
import numpy as np
import pytest

MEGABYTES = 3  # that the uploads unpack to, with a limit of one


def zipped(members):
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return content.getvalue()


def tarred(members):
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w:gz") as archive:
        for name, data in members.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return content.getvalue()


def volume(voxels):
    return gzip.compress(nibabel.Nifti1Image(voxels, np.eye(4)).to_bytes())


@pytest.fixture
def client(start):
    return start(upload_limit_mb="1").http


@pytest.mark.parametrize(("name", "pack"), [("a.zip", zipped), ("a.tar.gz", tarred)])
def test_an_archive_that_grows(client, tmp_path, name, pack):
    bomb = pack({"a.dcm": bytes(MEGABYTES * 2**20)})
    assert len(bomb) < 2**14
    answer = client.put("/session/?uncompress=true", files={"files": (name, bomb)})
    assert answer.status_code == 400
    assert answer.json()["detail"] == f"{name} is larger than 1 MB when it is unpacked. See --conf upload_limit_mb."
    assert not [path for path in (tmp_path / "sessions").rglob("*") if path.is_file()]


def test_an_archive_of_very_many_files(client, monkeypatch):
    import lib.server.unpacked_sizes as sizes

    monkeypatch.setattr(sizes, "MOST_FILES", 9)
    bomb = zipped({f"{number}.dcm": b"" for number in range(10)})
    answer = client.put("/session/?uncompress=true", files={"files": ("a.zip", bomb)})
    assert (answer.status_code, answer.json()["detail"][:32]) == (400, "a.zip holds more than 9 files. S")


def test_an_archive_that_names_files_elsewhere(client, tmp_path):
    for name, pack in (("a.zip", zipped), ("a.tar.gz", tarred)):
        answer = client.put("/session/?uncompress=true", files={"files": (name, pack({"../../evil.dcm": b"x"}))})
        assert answer.status_code == 400
    assert not list(tmp_path.rglob("evil*"))


def test_an_archive_is_contained_by_a_python_without_filters(start, tmp_path, monkeypatch):
    """Debian 12 has Python 3.11.2; `tarfile.data_filter` came with 3.11.4."""
    monkeypatch.delattr(tarfile, "data_filter", raising=False)
    monkeypatch.setattr(tarfile.TarFile, "extraction_filter", None, raising=False)
    http = start().http
    answer = http.put("/session/?uncompress=true", files={"files": ("a.tar.gz", tarred({"../../evil.dcm": b"x"}))})
    assert answer.status_code == 400
    assert not list(tmp_path.rglob("evil*"))


@pytest.mark.parametrize(("name", "kind"), [("../a", tarfile.REGTYPE), ("/a", tarfile.REGTYPE), ("a", tarfile.SYMTYPE)])
def test_members_that_lead_elsewhere(tmp_path, name, kind):
    from lib.server.unpacked_sizes import check_unpacked_archive

    member = tarfile.TarInfo(name)
    member.type, member.linkname = kind, "/etc"
    with tarfile.open(tmp_path / "a.tar", "w") as archive:
        archive.addfile(member)
    with pytest.raises(ValueError, match="leads elsewhere"):
        check_unpacked_archive(tmp_path / "a.tar")


def kept(studies: Path) -> list[Path]:
    """What is in a folder of studies, but for locks and the audit log, which a refused request may write."""
    written = {".lock", "audit.jsonl"}
    return sorted(path for path in studies.rglob("*") if path.is_file() and path.name not in written)


def test_a_volume_that_grows(client, studies):
    zeros = volume(np.zeros((128, 128, MEGABYTES * 64), np.uint8))
    assert len(zeros) < 2**14
    before = kept(studies)
    for put, files in (("/datastore/image?image=bomb", "file"), ("/session/", "files")):
        answer = client.put(put, files={files: ("a.nii.gz", zeros)})
        assert answer.status_code == 400
        assert "is larger than 1 MB when it is unpacked" in answer.json()["detail"]
    names = json.dumps({"label_info": [{"name": "liver", "idx": 1}]})
    answer = client.put("/datastore/label?image=person0", data={"params": names}, files={"label": ("l.nii.gz", zeros)})
    assert answer.status_code == 400
    assert "is larger than 1 MB when it is unpacked" in answer.json()["detail"]
    assert kept(studies) == before


def test_names_with_line_breaks_reach_no_header(client):
    """A line break in a name would end a header and begin another."""
    for name in ("a%0d%0aSet-Cookie:%20x=1", "a%00b"):
        for address in (
            f"/datastore/image?image={name}",
            f"/datastore/label?label={name}&tag=final",
            f"/session/{name}",
        ):
            answer = client.get(address)
            assert 400 <= answer.status_code < 500, address
            assert "set-cookie" not in answer.headers
        answer = client.put(f"/datastore/image?image={name}", files={"file": ("a.nii.gz", b"x")})
        assert answer.status_code == 400
