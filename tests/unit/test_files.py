"""What a user hears when one cannot be written."""

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest

from protoseg.errors import InputError
from protoseg.files import WriteError, check_output_dir, replacing, write_errors, write_json


def test_a_file_where_a_folder_should_be(tmp_path):
    (tmp_path / "out").write_bytes(b"mine")
    for target in (tmp_path / "out" / "a.json", tmp_path / "out" / "deep" / "a.json"):
        with pytest.raises(InputError) as error:
            write_json(target, {})
        assert str(error.value) == (
            f"{target} cannot be written: {tmp_path / 'out'} is a file, expected a folder. Choose another folder."
        )
    assert (tmp_path / "out").read_bytes() == b"mine"


def test_a_folder_where_a_file_should_be(tmp_path):
    (tmp_path / "a.json").mkdir()
    with pytest.raises(InputError) as error:
        write_json(tmp_path / "a.json", {})
    assert str(error.value) == (
        f"{tmp_path / 'a.json'} cannot be written: it is a folder, expected a file. Move it, or choose another folder."
    )
    assert [path.name for path in tmp_path.iterdir()] == ["a.json"]


@pytest.mark.parametrize(
    ("number", "message"),
    [
        (errno.ENOSPC, "No space left on device. Free some space, or choose another folder."),
        (errno.EACCES, "Permission denied. Choose a folder that you may write to."),
        (errno.EROFS, "Read-only file system. Choose a folder that you may write to."),
    ],
)
@pytest.mark.parametrize("when", ["mkdir", "write", "replace"])
def test_what_the_operating_system_refuses(tmp_path, monkeypatch, number, message, when):
    target = tmp_path / "deep" / "a.txt"

    def refuse(*arguments, **_):
        raise OSError(number, os.strerror(number), str(arguments[0]))

    if when != "write":
        monkeypatch.setattr(Path if when == "mkdir" else os, when, refuse)
    with pytest.raises(InputError) as error, replacing(target) as unfinished:
        unfinished.write_text("half", encoding="utf-8")
        if when == "write":
            raise OSError(number, os.strerror(number))
    monkeypatch.undo()
    assert str(error.value) == f"{target} cannot be written: {message}"
    assert isinstance(error.value, WriteError) and error.value.errno == number
    assert not [path for path in tmp_path.rglob("*") if path.is_file()], "nothing half-written"


def test_an_error_of_reading_another_file_passes(tmp_path):
    with pytest.raises(FileNotFoundError), replacing(tmp_path / "out" / "a.txt"):
        (tmp_path / "source" / "absent").read_bytes()


def test_a_full_disk_is_told_wherever_it_is_noticed(tmp_path):
    """shutil.copy names the file that it reads, too; MONAI wraps what its components raise."""
    full = OSError(errno.EFBIG, os.strerror(errno.EFBIG), "/elsewhere/source", None, str(tmp_path / "deep" / "a.nii"))
    wrapped = RuntimeError("Failed to instantiate component")
    wrapped.__cause__ = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "/elsewhere/events")
    for error in (full, wrapped):
        with pytest.raises(WriteError, match=f"^{tmp_path} cannot be written: ") as told, write_errors(tmp_path):
            raise error
        assert told.value.errno in (errno.EFBIG, errno.ENOSPC)
    refused = RuntimeError("Failed to instantiate component")
    refused.__cause__ = InputError("a scan is damaged: I/O error")
    for error in (refused, refused.__cause__):
        with pytest.raises(type(error)) as passed, write_errors(tmp_path):
            raise error
        assert passed.value is error


def test_a_folder_for_results_is_checked_before_the_work(tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    with pytest.raises(InputError) as error:
        check_output_dir(tmp_path / "file" / "deep" / "out")
    assert str(error.value) == (
        f"{tmp_path / 'file' / 'deep' / 'out'} cannot be written: {tmp_path / 'file'} is a file, expected a folder. "
        "Choose another folder."
    )
    check_output_dir(tmp_path / "absent" / "out")
    assert not (tmp_path / "absent").exists()
    monkeypatch.setattr(os, "access", lambda *_: False)
    with pytest.raises(InputError) as error:
        check_output_dir(tmp_path / "absent")
    assert str(error.value) == (
        f"{tmp_path / 'absent'} cannot be written: Permission denied. Choose a folder that you may write to."
    )


@pytest.mark.parametrize("letter", ["a", "\u00e4"])
def test_names_may_be_as_long_as_the_file_system_takes(tmp_path, letter):
    longest = letter * ((255 - len(".json")) // len(letter.encode())) + ".json"
    write_json(tmp_path / longest, {})
    assert [path.name for path in tmp_path.iterdir()] == [longest]
    too_long = tmp_path / ("b" + longest * 2)
    for write in (lambda: write_json(too_long, {}), lambda: check_output_dir(too_long / "out")):
        with pytest.raises(InputError, match=r"cannot be written: File name too long\. Choose a shorter name\.$"):
            write()


LIMITED = """
import resource, signal, sys
import numpy, SimpleITK, torch
from safetensors.torch import save_file
from protoseg.errors import InputError
from protoseg.files import replacing

noise = numpy.random.default_rng(0).integers(0, 255, (64, 64, 64)).astype(numpy.uint8)
WRITERS = {
    "a.pt": lambda path: torch.save({"a": torch.zeros(100000)}, path),
    "a.safetensors": lambda path: save_file({"a": torch.zeros(100000)}, path),
    "a.nrrd": lambda path: SimpleITK.WriteImage(SimpleITK.GetImageFromArray(noise), str(path)),
    "a.npy": lambda path: numpy.save(path, noise),
}
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))  # stands for a full disk
for name, write in WRITERS.items():
    try:
        with replacing(name) as unfinished:
            write(unfinished)
    except InputError as error:
        print(error)
"""


def test_a_full_disk_is_one_sentence_whoever_writes(tmp_path):
    run = subprocess.run(
        [sys.executable, "-c", LIMITED], cwd=tmp_path, capture_output=True, text=True, encoding="utf-8", check=True
    )
    lines = run.stdout.splitlines()
    assert [line.split(" cannot be written: ")[0] for line in lines] == ["a.pt", "a.safetensors", "a.nrrd", "a.npy"]
    assert all(line.endswith("Free some space, or choose another folder.") for line in lines)
    assert list(tmp_path.iterdir()) == []
