"""The audit log: a line an entry, whoever writes, and no more than is bounded."""

import json
import multiprocessing
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

APP = Path(__file__).parents[2] / "monailabel_app"


@pytest.fixture
def audit(monkeypatch):
    monkeypatch.syspath_prepend(str(APP))
    from lib import audit

    return audit


def entries(folder):
    files = sorted(folder.glob("audit*.jsonl"), key=lambda file: -int(file.suffixes[0][1:]) if file.suffixes[1:] else 0)
    return [json.loads(line) for file in files for line in file.read_text(encoding="ascii").splitlines()]


def write_many(audit, file, who, count):
    log = audit.AuditLog(file, lambda: "weights")
    for number in range(count):
        log.write(who, "infer", f"study {number}", 200)


def test_a_line_tells_who_what_when_and_by_which_weights(audit, tmp_path):
    log = audit.AuditLog(tmp_path / "state" / "audit.jsonl", lambda: "5f1c")
    log.write('eve"}\n{"who": "bob', "submit", "a\r\nb\u2028", 200, tag="final" * 200)
    text = (tmp_path / "state" / "audit.jsonl").read_bytes()
    assert text.count(b"\n") == len(text.splitlines()) == 1
    entry = json.loads(text)
    assert entry.pop("when").endswith("Z")
    assert entry.pop("tag") == ("final" * 200)[:256]
    assert entry == {
        "who": 'eve"}\n{"who": "bob',
        "what": "submit",
        "study": "a\r\nb\u2028",
        "weights": "5f1c",
        "status": 200,
    }


def test_writers_at_once_never_mix_and_files_are_bounded(audit, tmp_path, monkeypatch):
    monkeypatch.setattr(audit, "MOST_BYTES", 2000)
    file = tmp_path / "audit.jsonl"
    fork = multiprocessing.get_context("fork")
    others = [fork.Process(target=write_many, args=(audit, file, f"process {n}", 20)) for n in range(2)]
    for other in others:
        other.start()
    log = audit.AuditLog(file, lambda: "weights")
    with ThreadPoolExecutor(4) as pool:
        for number in range(20):
            pool.submit(log.write, "thread", "infer", f"study {number}", 200)
    for other in others:
        other.join()
    told = entries(tmp_path)
    assert len(told) == 60, "each entry is a line of its own, and none is lost"
    write_many(audit, file, "last", 200)
    sizes = [part.stat().st_size for part in tmp_path.glob("audit*.jsonl")]
    assert len(sizes) <= audit.KEPT_FILES + 1
    assert max(sizes) < 2200
    assert [entry["study"] for entry in entries(tmp_path)][-3:] == ["study 197", "study 198", "study 199"]


def test_a_line_that_was_cut_off_spoils_no_other(audit, tmp_path):
    file = tmp_path / "audit.jsonl"
    file.write_bytes(b'{"who": "an')
    audit.AuditLog(file, lambda: "weights").write("anna", "train", "", 200)
    first, second = file.read_text(encoding="ascii").splitlines()
    assert first == '{"who": "an'
    assert json.loads(second)["who"] == "anna"


def test_what_cannot_be_written_is_warned_of_once(audit, tmp_path, caplog):
    def broken():
        raise RuntimeError("no weights")

    (tmp_path / "file").touch()
    for log in (audit.AuditLog(tmp_path / "file" / "audit.jsonl", str), audit.AuditLog(tmp_path / "a.jsonl", broken)):
        caplog.clear()
        log.write("anna", "train", "", 200)
        log.write("anna", "train", "", 200)
        assert len([record for record in caplog.records if "audit log" in record.message]) == 1
