"""`protoseg demo`: one labelled person becomes segmented others, with pictures; then training and evaluation."""

import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import nibabel
import numpy as np
import pytest

from protoseg.cli import main
from protoseg.cli import protoseg as command
from protoseg.commands import demo

COARSE = ("--shape", "48", "48", "10", "--spacing", "8", "8", "24")
SMALL = ("--device", "cpu", "--set", "image_size=96")
LIVER = 4
Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture, surroundings: None
) -> Iterator[Run]:
    """Run the demonstration in an empty folder; give its exit status, what it printed, and its complaints."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", list(sys.argv))

    def run_demo(*arguments: str) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as ended:
            main(["demo", *arguments])
        printed = capsys.readouterr()
        return ended.value.code, printed.out, printed.err

    return run_demo


def labels(file: str) -> np.ndarray:
    return np.asarray(nibabel.load(file).dataobj)


def test_one_labelled_person_becomes_others(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    run_command = demo.run_command

    def on_coarse_scans(words: tuple[str, ...]) -> None:
        if words[0] == "click":  # a place in the liver of the coarse scan
            drawn = labels("demo/data/labels/test_001.nii.gz") == LIVER
            place = np.argwhere(drawn)[drawn.sum() // 2]
            words = tuple(",".join(map(str, place)) if word == demo.CLICK else word for word in words)
        run_command([*words, *(COARSE if words[0] == "synthesize" else SMALL)])

    monkeypatch.setattr(demo, "run_command", on_coarse_scans)
    status, printed, _ = run("--quick")
    assert status == 0
    pictures = [f"demo/results/test_00{number}_seg.png" for number in (1, 2)]
    assert printed.splitlines()[-2:] == pictures
    assert all(Path(picture).stat().st_size > 1000 for picture in pictures)
    for number in (1, 2):
        found, drawn = (labels(f"demo/{kind}_00{number}{end}.nii.gz") == LIVER
                        for kind, end in (("results/test", "_seg"), ("data/labels/test", "")))  # fmt: skip
        assert 2 * (found & drawn).sum() / (found.sum() + drawn.sum()) > 0.5
    assert labels("demo/results/clicked.nii.gz").any()
    assert not Path("demo/training").exists()


def test_the_rest_trains_and_evaluates(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    commands: list[tuple[str, ...]] = []

    def note(words: tuple[str, ...]) -> None:
        commands.append(words)
        if words[0] == "evaluate":
            folder = Path(words[words.index("--output") + 1])
            folder.mkdir(parents=True)
            (folder / "metrics.json").write_text(json.dumps({"mean_dice": len(commands) / 100}), encoding="utf-8")

    monkeypatch.setattr(demo, "run_command", note)
    status, printed, _ = run("-o", "elsewhere")
    assert status == 0
    names = ["synthesize", "segment", "click", "synthesize", "evaluate", "train", "evaluate", "evaluate"]
    assert [words[0] for words in commands] == names
    for name, *words in commands:
        command.commands[name].make_context(name, list(words))  # it knows the options
    assert [line.split()[:2] for line in printed.splitlines() if "report.html" in line] == [
        ["untrained", "0.050"],
        ["trained", "0.070"],
        ["shipped", "0.080"],
    ]
    assert {word for words in commands for word in words if word.startswith("demo")} == set()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--quik"], "protoseg demo: error: unrecognized arguments: --quik"),
        (["--quick", "-o", "file"], "file is a file, expected a folder"),
        (["--quick", "-o", "mine"], "data holds a data set that was not made here. Choose another folder."),
        (["--quick", "-o"], "expected one argument"),
    ],
)
def test_bad_input_ends_it_before_anything_is_written(run: Run, arguments: list[str], message: str) -> None:
    Path("file").write_text("mine", encoding="utf-8")
    Path("mine/data/images").mkdir(parents=True)
    before = sorted(Path().rglob("*"))
    status, _, complaint = run(*arguments)
    assert status == 2
    assert message in complaint
    assert "Traceback" not in complaint
    assert sorted(Path().rglob("*")) == before
