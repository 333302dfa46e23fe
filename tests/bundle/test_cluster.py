"""`protoseg segment` by several processes: the results of one, whoever is killed on the way."""

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import chdir, contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any

import cloudpickle
import numpy as np
import psutil
import pytest
import torch
from dask import config
from distributed import LocalCluster, Worker
from distributed.utils import LoopRunner
from two_organs import ct, nifti, organs

from protoseg.errors import InputError
from protoseg.workflows import cluster, inference
from protoseg.workflows.cluster import open_cluster, share
from protoseg.workflows.engine_parts import open_plain_config
from protoseg.workflows.further_results import write_further_results
from protoseg.workflows.inference import run_inference
from protoseg.workflows.reports.tables import read_reports
from protoseg.workflows.scan_segmenter import ScanSegmenter, SharedSegmenter, segment_scan

NAMES = ("a", "b")
COHORT = {
    **{"device": "cpu", "image_size": 64, "precision": "float32"},
    **{"support_image": "scans/a.nii.gz", "support_label": "labels.nii.gz", "query": "scans"},
}


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with two scans, and in `one` what one process makes of them."""
    folder = tmp_path_factory.mktemp("cohort")
    for number, name in enumerate(NAMES):
        noise = np.random.default_rng(number).normal(0, 5, ct().shape).astype(np.float32)
        nifti(folder / f"scans/{name}.nii.gz", ct() + noise)
    nifti(folder / "labels.nii.gz", organs())
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    with chdir(folder), torch.random.fork_rng():
        run_inference([], {**COHORT, "output_dir": "one"})
    torch.set_num_threads(threads)
    return folder


@pytest.fixture
def cohort(place: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder, in which this process works with one thread."""
    monkeypatch.chdir(place)
    monkeypatch.setenv("OMP_NUM_THREADS", "4")  # but torch has one
    return place


def files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def dies_once(folder: Path) -> Callable[[SharedSegmenter, str], InputError | None]:
    """Segment, but for the first process that is at `b`: it dies while it writes."""

    def segment_or_die(shared: SharedSegmenter, image: str) -> InputError | None:
        if image.endswith("b.nii.gz") and not (folder / "died").exists():
            (folder / "two").mkdir(exist_ok=True)
            (folder / f"two/.{32 * 'a'}.b_seg.nii.gz").write_bytes(b"half of a label map")
            (folder / "died").touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return segment_scan(shared, image)

    return segment_or_die


def dies_at(name: str) -> Callable[[None, str], str]:
    def live_or_die(_: None, item: str) -> str:
        if item == name:
            os.kill(os.getpid(), signal.SIGKILL)
        return os.environ["OMP_NUM_THREADS"]

    return live_or_die


def addresses() -> set[str]:
    """The addresses at which this process and its children listen."""
    me = psutil.Process()
    listening = [
        connection.laddr.ip
        for process in (me, *me.children(recursive=True))
        for connection in process.net_connections()
        if connection.status == psutil.CONN_LISTEN
    ]
    return set(listening)


@pytest.mark.usefixtures("surroundings")
def test_two_processes_of_which_one_is_killed_write_the_files_of_one(
    cohort: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    broken = tmp_path / "broken.nii.gz"
    broken.write_bytes(b"no image")
    monkeypatch.setattr(inference, "segment_scan", dies_once(tmp_path))
    further = {"formats": ["nrrd"], "statistics": True}
    with config.set({"distributed.scheduler.allowed-failures": 1}), open_cluster(2) as client:
        assert client is not None
        assert addresses() == {"127.0.0.1"}
        options = {**COHORT, "query": ["scans", str(broken)], "output_dir": str(tmp_path / "two")}
        with pytest.raises(
            InputError, match=r"1 of 3 queries could not be segmented:\n  .*broken.nii.gz cannot be read"
        ):
            run_inference([], options, client=client)
        assert files(tmp_path / "two") == files(cohort / "one")
        reports = read_reports(cohort / "one", [f"scans/{name}.nii.gz" for name in NAMES])
        write_further_results(tmp_path / "two", reports, **further, client=client)
        names = ("dies", "waits there", "waits", "waits, too")  # at the process that dies, or not: as Dask likes
        found = dict(share(client, dies_at("dies"), {name: name for name in names}, None))
        told = found.pop("dies")
        assert str(told) == "dies: the processes that were at it died, one after the other. Is memory short?"
        assert found == dict.fromkeys(names[1:], "1"), "threads of each process"
    assert (tmp_path / "died").exists()
    assert [text for text in caplog.messages if text.startswith(f"Left out: {broken} cannot be read")]
    shutil.copytree(cohort / "one", tmp_path / "one")
    write_further_results(tmp_path / "one", reports, **further)
    assert files(tmp_path / "two") == files(tmp_path / "one")
    assert len(files(tmp_path / "one")) == 4 * len(NAMES) + 1


def test_labelled_scans_are_held_against_each_other_once_for_all_processes(
    cohort: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    nifti(tmp_path / "mixed_up.nii.gz", np.array([0, 2, 1], np.uint8)[organs()])
    labelled = {
        "support_image": ["scans/a.nii.gz", "scans/b.nii.gz"],
        "support_label": ["labels.nii.gz", str(tmp_path / "mixed_up.nii.gz")],
    }
    config = open_plain_config(("inference.yaml",), **{**COHORT, **labelled, "output_dir": str(tmp_path / "out")})
    segmenter = ScanSegmenter(config)
    monkeypatch.delattr("protoseg.workflows.reports.doubts.leave_one_out")
    there = cloudpickle.loads(cloudpickle.dumps(SharedSegmenter.of(segmenter))).segmenter
    assert there.doubts == segmenter.doubts
    assert there.doubts.keys() == {"label_1", "label_2"}


@contextmanager
def a_scheduler() -> Iterator[tuple[subprocess.Popen, str]]:
    """A scheduler in a process of its own, with one worker that is a thread of this one; gives its address, too."""
    command = [sys.executable, "-m", "distributed.cli.dask_scheduler", "--host", "127.0.0.1", "--port", "0"]
    with subprocess.Popen(
        [*command, "--no-dashboard"], stderr=subprocess.PIPE, text=True, encoding="utf-8"
    ) as scheduler:
        assert scheduler.stderr is not None
        told = next(line for line in scheduler.stderr if "Scheduler at:" in line)
        address = told.split()[-1]
        runner = LoopRunner()
        runner.start()

        async def start() -> Worker:
            return await Worker(address, nthreads=1, host="127.0.0.1", memory_limit=0)

        worker = runner.run_sync(start)
        try:
            yield scheduler, address
        finally:
            scheduler.kill()
            runner.run_sync(worker.close, timeout=1)
            runner.stop()


@pytest.mark.usefixtures("surroundings")
def test_what_was_done_before_the_scheduler_was_killed_stays_and_the_rest_is_resumed(
    cohort: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cluster, "CONNECT", "1s")
    prepare, prepared = ScanSegmenter.prepare, []
    options = {**COHORT, "output_dir": str(tmp_path / "out")}
    with a_scheduler() as (scheduler, address), monkeypatch.context() as patch:

        def kill_at_the_second(segmenter: ScanSegmenter, image: str) -> Any:
            prepared.append(image)
            if len(prepared) == 2:
                scheduler.kill()
                scheduler.wait()
                raise RuntimeError
            return prepare(segmenter, image)

        patch.setattr(ScanSegmenter, "prepare", kill_at_the_second)
        told = "^The scheduler of Dask is gone; [12] of 2 are not done or not known to be"
        with pytest.raises(InputError, match=told), open_cluster(scheduler=address) as client:
            run_inference([], options, client=client)
    [done] = (tmp_path / "out").glob("*_seg.json")
    written = done.stat().st_mtime_ns
    run_inference([], {**options, "resume": True})
    assert done.stat().st_mtime_ns == written
    assert files(tmp_path / "out") == files(cohort / "one")


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ({"workers": 2, "scheduler": "tcp://127.0.0.1:1"}, "--workers 2 starts processes here, --scheduler uses those"),
        ({"dashboard": True}, "--dashboard is of the processes that --workers starts"),
        ({"scheduler": "tcp://127.0.0.1:1"}, "--scheduler tcp://127.0.0.1:1: no scheduler of Dask answers there"),
        ({"scheduler": "nonsense://x"}, "--scheduler nonsense://x: no scheduler of Dask answers there"),
    ],
)
def test_a_cluster_that_is_none_is_refused(
    monkeypatch: pytest.MonkeyPatch, arguments: dict[str, Any], told: str
) -> None:
    monkeypatch.setattr(cluster, "CONNECT", "0.1s")
    with pytest.raises(InputError) as refused, open_cluster(**arguments):
        pass
    assert str(refused.value).startswith(told)


def test_without_dask_it_is_said_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(InputError, match=r"pip install 'protoseg\[cluster\]'"), open_cluster(2):
        pass
    with open_cluster(1) as client:
        assert client is None


def test_a_config_that_is_left_to_monai_is_refused_on_a_cluster(tmp_path: Path) -> None:
    (tmp_path / "overlay.yaml").write_text("postprocessing: null\n", encoding="utf-8")
    with pytest.raises(InputError, match="The config's entry postprocessing: None is left to MONAI's workflow"):
        run_inference([tmp_path / "overlay.yaml"], {**COHORT, "output_dir": "out"}, client=object())


def test_a_worker_of_another_version_or_without_the_files_is_told(tmp_path: Path) -> None:
    work = {"held": (dies_at(""), None), "folder": str(tmp_path / "absent"), "version": "0.0.0"}
    with pytest.raises(InputError, match=r"has protoseg .*, expected 0.0.0. Install the same there"):
        cluster._work("", **work)
    with pytest.raises(InputError, match=r"cannot enter .*absent .No such file or directory."):
        cluster._work("", **{**work, "version": cluster.__version__})


def test_the_dashboard_is_bound_to_this_machine_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[dict[str, Any]] = []

    class Noted(LocalCluster):
        def __init__(self, **options: Any) -> None:
            asked.append(options)
            raise RuntimeError

    monkeypatch.setattr("distributed.LocalCluster", Noted)
    for dashboard in (True, False):
        with pytest.raises(RuntimeError), open_cluster(2, dashboard=dashboard):
            pass
    assert [options["dashboard_address"] for options in asked] == ["127.0.0.1:8787", "127.0.0.1:0"]
    assert [options["scheduler_kwargs"] for options in asked] == [{"dashboard": True}, {"dashboard": False}]


def test_what_a_cohort_costs_is_reckoned_by_hand(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", [str(Path(__file__).parents[2] / "scripts"), *sys.path])
    figures = {"core_seconds_a_scan": 36.0, "read_mib_a_scan": 20.0, "written_mib_a_scan": 1.0}
    cohort = import_module("benchmarks.cohort")
    found = cohort.reckon({**figures, "shared_mib_a_worker": 16.0}, 1000, 10, 18)
    assert {name: round(value, 6) for name, value in found.items()} == {
        "core_hours_of_the_cohort": 10.0,
        "minutes_on_the_cluster": round(10 / 180 * 60, 6),
        "scans_a_second": 5.0,
        "read_mib_a_second": 100.0,
        "written_mib_a_second": 5.0,
        "tib_read": round(20_000 / 2**20, 6),
        "sent_to_workers_gib": 2.8125,
    }
    told = cohort.cost_table({**figures, **found, "peak_memory_gib": 1.5}, "CT", 1000, 180)
    assert "| 1000 scans, core-hours | scans x core-seconds / 3600 | 10 |" in told
    assert "| MiB/s written, and files/s | x MiB written, three files | 5, 15 |" in told
    assert "<!-- Written by scripts/benchmark cohort --report. -->" in cohort.CLUSTERS.read_text(encoding="utf-8")
