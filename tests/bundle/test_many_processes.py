"""The workflows in several processes, under torchrun or started side by side, some of which are killed."""

import csv
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import torch
import yaml
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from protoseg.data.io.volumes import write_label_map

pytestmark = pytest.mark.slow  # every process imports torch and MONAI

LABELS = {"liver": 4, "bowel": 11}
PROTOCOLS = ("leak_free", "legacy")
ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
TORCHRUN = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2"]
STANDALONE = ("--rdzv_backend=c10d", "--rdzv_endpoint=localhost:0")  # spelled out
FORKED = [sys.executable, str(Path(__file__).with_name("forked_torchrun.py")), *STANDALONE, "--nproc_per_node=2"]
COMMON = {
    "image_size": 64,
    "precision": "float32",
    "encoder_def#channels": 16,
    "encoder_def#widths": [8, 16, 16, 16, 16],
    "label_names": LABELS,
}


@pytest.fixture
def command(configs, tmp_path):
    """The arguments of `python` for a workflow of some config files, with further settings laid over them."""

    def build(run_id, *names, **settings):
        overlay = tmp_path / f"{len(list(tmp_path.glob('*.yaml')))}.yaml"
        overlay.write_text(yaml.safe_dump({**COMMON, **settings}, sort_keys=False))
        files = [*(str(configs / name) for name in names), str(overlay)]
        return ["-m", "monai.bundle", "run", run_id, "--config_file", str(files)]

    return build


def finish(*arguments):
    finished = subprocess.run(arguments, env=ENVIRONMENT, capture_output=True, text=True, encoding="utf-8", check=False)
    assert finished.returncode == 0, finished.stderr
    return finished


def scalars(folder):
    """For each tag the values that TensorBoard shows, by step; and the ids of the processes that wrote them."""
    values, processes = {}, set()
    for file in sorted(folder.glob("events.out.tfevents.*"), key=lambda file: int(file.name.split(".")[3])):
        processes.add(file.name.split(".")[-2])
        events = EventAccumulator(str(file)).Reload()
        for tag in events.Tags()["scalars"]:
            values.setdefault(tag, {}).update({event.step: event.value for event in events.Scalars(tag)})
    return values, processes


def test_training_goes_on_after_a_worker_was_killed_and_equals_that_of_one_process(
    start_training, dataset_dir, command, tmp_path
):
    alone = tmp_path / "alone"
    settings = {"batch_size": 4, "checkpoint_interval": 2, "label_names": LABELS}
    workflow = start_training(alone, **settings)
    workflow.run()
    workflow.finalize()

    dies = (
        "$@train#trainer.add_event_handler(Events.ITERATION_COMPLETED(once=5), "
        "lambda: os.kill(os.getpid(), signal.SIGKILL)) "
        "if os.environ['RANK'] + os.environ['TORCHELASTIC_RESTART_COUNT'] == '10' else None"
    )
    together = tmp_path / "together"
    started = command(
        "training",
        "train.yaml",
        "multi_gpu.yaml",
        **settings,
        **{"workers": 0, "epochs": 2, "epoch_length": 3},
        dataset_dir=str(dataset_dir),
        cache_dir=str(tmp_path / "cache"),
        output_dir=str(together),
        imports=["$import os", "$import signal", "$import torch", "$import monai", "$from ignite.engine import Events"],
        run=[dies, "$@train#checkpoint.run(@train#trainer)"],
    )
    finished = finish(*FORKED, "--max_restarts=1", *started)
    assert "Resuming" in finished.stdout + finished.stderr

    (one, _), (two, writers) = scalars(alone), scalars(together)
    assert set(two["train_loss"]) == set(range(1, 7)) and set(two["mean_dice"]) == {1, 2}
    assert two["train_loss"] == pytest.approx(one["train_loss"], rel=1e-4)
    assert two["mean_dice"] == pytest.approx(one["mean_dice"], abs=1e-3)
    assert len(writers) == 2, "the first process before and after the restart"
    assert sorted(path.name for path in together.glob("*.pt")) == ["best.pt", "last.pt"]
    expected, found = (torch.load(folder / "last.pt", weights_only=True) for folder in (alone, together))
    assert found["iteration"] == 6 and found["network"].keys() == expected["network"].keys()
    for name, tensor in expected["network"].items():
        torch.testing.assert_close(found["network"][name], tensor, rtol=1e-3, atol=1e-4)


def table(folder):
    """The rows of an evaluation: protocol, scan and label of each, and its numbers."""
    with (folder / "metrics.csv").open(newline="") as file:
        rows = [list(row.values()) for row in csv.DictReader(file)]
    return [row[:3] for row in rows], np.array([[float(text or "nan") for text in row[3:]] for row in rows])


def test_evaluation_equals_that_of_one_process(start_workflow, dataset_dir, trained, command, tmp_path):
    names = ("test_000", "training_001", "test_001", "validation_000")
    cases = [{"image": f"images/{name}.nii.gz", "label": f"labels/{name}.nii.gz"} for name in names]
    listed = tmp_path / "dataset.json"
    listed.write_text(json.dumps({"labels": {}, "test": cases}))
    settings = {
        "dataset_dir": str(dataset_dir),
        "dataset_json": str(listed),
        "weights": str(trained / "best.pt"),
        "label_names": LABELS,
        "protocol": "both",
    }
    alone, together = tmp_path / "alone", tmp_path / "together"
    start_workflow("eval", "train.yaml", "evaluate.yaml", **settings, output_dir=str(alone)).run()
    files = ("train.yaml", "evaluate.yaml", "multi_gpu.yaml")
    finish(*TORCHRUN, *command("evaluating", *files, **settings, output_dir=str(together)))

    (cases, numbers), (expected_cases, expected_numbers) = table(together), table(alone)
    assert cases == expected_cases
    assert cases == [[protocol, name, label] for protocol in PROTOCOLS for name in names[1:] for label in LABELS]
    np.testing.assert_allclose(numbers, expected_numbers, rtol=1e-4, atol=2e-4)
    figures = [
        json.loads((folder / "metrics.json").read_text(encoding="utf-8"))["mean_dice"] for folder in (alone, together)
    ]
    assert figures[0] == pytest.approx(figures[1], abs=2e-4)
    seconds = json.loads((together / "run.json").read_text(encoding="utf-8"))["seconds"]
    assert [len(times) for times in seconds.values()] == [3, 3]
    written = [{str(file.relative_to(folder)) for file in folder.rglob("*")} for folder in (alone, together)]
    assert written[0] == written[1]


def wait_for(condition):
    while not condition():
        time.sleep(0.1)


def runs(process):
    """Tell whether a process is there and no zombie."""
    try:
        return Path(f"/proc/{process}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_a_cohort_is_segmented_once_though_all_processes_were_killed(
    start_workflow, dataset_dir, trained, command, tmp_path, capfd
):
    queries, out = tmp_path / "queries", tmp_path / "out"
    queries.mkdir()
    names = {f"scan_{number}" for number in range(6)}
    for name in names:
        (queries / f"{name}.nii.gz").symlink_to(dataset_dir / "images" / "test_001.nii.gz")
    settings = {
        "support_image": str(dataset_dir / "images" / "test_000.nii.gz"),
        "support_label": str(dataset_dir / "labels" / "test_000.nii.gz"),
        "query": str(queries),
        "weights": str(trained / "best.pt"),
        "output_dir": str(out),
        "imports": [
            *(f"$import {name}" for name in ("os", "time", "pathlib", "torch", "monai")),
            "$from ignite.engine import Events",
        ],
    }

    def when(event, action):
        return f"$@evaluator.add_event_handler(Events.{event}, lambda engine: {action})"

    held = f"(pathlib.Path({str(tmp_path)!r}, f'held_{{os.getpid()}}').touch(), time.sleep(600))"
    hold = when("ITERATION_STARTED", f"engine.state.iteration == 2 and {held}")
    started = command("inference", "inference.yaml", "multi_gpu.yaml", **settings, run=[hold, "$@evaluator.run()"])
    with subprocess.Popen([*FORKED, *started], env=ENVIRONMENT, start_new_session=True) as group:
        wait_for(lambda: len(list(tmp_path.glob("held_*"))) == 2 or group.poll() is not None)
        workers = [int(file.name.removeprefix("held_")) for file in tmp_path.glob("held_*")]
        os.killpg(group.pid, signal.SIGKILL)
    wait_for(lambda: not any(map(runs, workers)))
    reports = {file.name.removesuffix("_seg.json"): file.stat().st_mtime_ns for file in out.glob("*_seg.json")}
    assert len(reports) == 2
    left = names - reports.keys()
    for name in left:  # as if they had been killed between the label map and the report, or while they wrote a file
        write_label_map(out / f"{name}_seg.nii.gz", np.ones((4, 4, 4)), np.eye(4))
        (out / f".{32 * 'a'}.{name}_seg.nii.gz").write_bytes(b"half of a label map")

    says = when("ITERATION_COMPLETED", "print('DONE', engine.state.batch[0]['image'].meta['filename_or_obj'])")
    settings |= {**COMMON, "resume": True, "run": [says, "$@evaluator.run()"]}
    capfd.readouterr()
    start_workflow("infer", "inference.yaml", **settings).run()
    told = capfd.readouterr().out
    done = [Path(line.split()[1]).name.removesuffix(".nii.gz") for line in told.splitlines() if line[:4] == "DONE"]
    assert sorted(done) == sorted(left)
    assert all((out / f"{name}_seg.json").stat().st_mtime_ns == time for name, time in reports.items())
    written = {f"{name}_seg{suffix}" for name in names for suffix in (".json", ".nii.gz", ".png")}
    assert {file.name for file in out.iterdir()} == written
    label_maps = [np.asarray(nib.load(out / f"{name}_seg.nii.gz").dataobj) for name in sorted(names)]
    for label_map in label_maps[1:]:
        np.testing.assert_array_equal(label_map, label_maps[0])
