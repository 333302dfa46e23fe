"""Work that is spread over processes ends with the process that asked for it."""

import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

SLEEPING = """
import os, sys, time
from pathlib import Path
from protoseg.ops.parallel import map_in_processes

def work(file):
    Path(file).write_text(str(os.getpid()))
    time.sleep(600)

if __name__ == "__main__":
    map_in_processes(work, sys.argv[1:], workers=2, description="sleeping")
"""


def test_processes_end_with_a_killed_parent(tmp_path: Path) -> None:
    (tmp_path / "sleeping.py").write_text(SLEEPING)
    notes = [tmp_path / "first", tmp_path / "second"]
    parent = subprocess.Popen([sys.executable, tmp_path / "sleeping.py", *notes], stderr=subprocess.DEVNULL)
    try:
        wait_until(lambda: all(note.exists() and note.read_text(encoding="utf-8") for note in notes))
    finally:
        parent.kill()
        parent.wait()
    wait_until(lambda: not any(is_running(int(note.read_text(encoding="utf-8"))) for note in notes))


def wait_until(done: Callable[[], bool]) -> None:
    end = time.monotonic() + 600  # only a test that fails waits so long
    while not done():
        assert time.monotonic() < end
        time.sleep(0.05)


def is_running(process: int) -> bool:
    """Tell whether a process is there and has not ended as a zombie, which waits for its parent to ask."""
    status = Path(f"/proc/{process}/stat")
    return status.exists() and status.read_text(encoding="utf-8").rpartition(")")[2].split()[0] != "Z"
