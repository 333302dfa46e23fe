"""The command `protoseg`, run in this process."""

import csv
import json
import os
import subprocess
import sys
from pathlib import Path

import nibabel
import numpy as np
import pytest
from two_organs import ct, nifti, organs

from protoseg.cli import main
from protoseg.data.io.volumes import read_labels

SMALL = ["--device", "cpu", "--set", "image_size=64", "--set", "precision=float32", "--set", "component_filter=none"]


@pytest.fixture
def protoseg(tmp_path, monkeypatch, capsys, surroundings):
    """Run the command in a folder with a labelled scan; give its exit status, what it printed, and its complaints."""
    nifti(tmp_path / "scan.nii.gz", ct())
    nifti(tmp_path / "labels.nii.gz", organs())
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", list(sys.argv))

    def run(*arguments: str) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as ended:
            main(arguments)
        printed = capsys.readouterr()
        return ended.value.code, printed.out, printed.err

    return run


LIKE = ["--like", "scan.nii.gz", "labels.nii.gz"]


def dice(file: Path, value: int) -> float:
    found = np.asarray(nibabel.load(file).dataobj) == value
    return 2 * (found & (organs() == value)).sum() / (found.sum() + (organs() == value).sum())


def test_label_one_get_the_rest(protoseg):
    nifti(Path("more/again.nii.gz"), ct())
    named = ["--labels", "liver=1,spleen=2", *SMALL]
    status, printed, _ = protoseg("segment", "scan.nii.gz", "more", *LIKE, "-o", "out", *named)
    assert status == 0
    assert [line.split()[:2] for line in printed.splitlines()[1:-1]] == [
        [query, label] for query in ("scan", "again") for label in ("liver", "spleen")
    ]
    for query in ("scan", "again"):
        assert dice(Path(f"out/{query}_seg.nii.gz"), 1) > 0.7
        assert Path(f"out/{query}_seg.png").exists()


def test_results_as_json_and_a_second_run_that_resumes(protoseg):
    command = ["segment", "scan.nii.gz", *LIKE, "-o", "out", "--json", "--resume", *SMALL]
    status, printed, _ = protoseg(*command)
    [report] = json.loads(printed)
    assert (status, report["query"], list(report["labels"])) == (0, "scan.nii.gz", ["label_1", "label_2"])
    written = Path("out/scan_seg.nii.gz").stat().st_mtime_ns
    assert json.loads(protoseg(*command)[1]) == [report]
    assert Path("out/scan_seg.nii.gz").stat().st_mtime_ns == written
    for setting, told in (
        ("matching#selectivity=1.5", "matching#selectivity was 3.0, now 1.5"),
        ("refiner#smoothness=9.0", "refiner#smoothness was 4.0, now 9.0"),
    ):
        status, _, error = protoseg(*command, "--set", setting)
        assert status == 2 and f"is not of this run: {told}. Resume with" in error


def test_what_changed_or_is_gone_is_done_again(protoseg):
    command = ["segment", "scan.nii.gz", *LIKE, "-o", "out", "--fast", "--resume", *SMALL]
    label_map, report = Path("out/scan_seg.nii.gz"), Path("out/scan_seg.json")
    protoseg(*command)
    label_map.unlink()
    protoseg(*command)
    assert label_map.exists(), "the label map was deleted"
    os.utime(report, ns=(0, 0))  # the scan is newer
    protoseg(*command)
    assert report.stat().st_mtime_ns > 0


def by_hand(file: Path, **_: object) -> None:
    nifti(file, organs())


def corrected(file: Path, **_: object) -> None:
    """As ITK-SNAP saves what it opened: it keeps the description."""
    image = nibabel.load(file)
    voxels = np.asarray(image.dataobj).copy()
    voxels[0, 0, 0] = 1
    nibabel.save(nibabel.Nifti1Image(voxels, image.affine, image.header), file)


@pytest.mark.parametrize("change", [by_hand, corrected])
@pytest.mark.parametrize("command", ["segment", "click"])
def test_what_people_drew_is_not_written_over(protoseg, command, change):
    segment = ["segment", "scan.nii.gz", *LIKE, "-o", ".", "--fast", *SMALL]
    click = ["click", "scan.nii.gz", "--at", "10,12,1", *SMALL]
    label_map = Path("scan_seg.nii.gz")
    for _ in range(2):  # its own results are replaced
        assert protoseg(*{"segment": segment, "click": click}[command])[0] == 0
    change(label_map)
    before = label_map.read_bytes()
    status, _, error = protoseg(*{"segment": segment, "click": click}[command])
    assert status == 2
    assert error.endswith(
        "scan_seg.nii.gz would be written over, and protoseg did not write it, or somebody changed it since. Move it, "
        "or choose another place for the results.\n"
    )
    assert label_map.read_bytes() == before


def test_a_scan_is_not_written_over(protoseg):
    before = Path("scan.nii.gz").read_bytes()
    status, _, error = protoseg("click", "scan.nii.gz", "--at", "10,12,1", "-o", "scan.nii.gz", *SMALL)
    assert (status, error) == (2, "Error: scan.nii.gz is the image itself. Choose another name for its labels.\n")
    assert Path("scan.nii.gz").read_bytes() == before


def test_names_of_files_are_never_evaluated(protoseg):
    names = ["$print(1).nii.gz", "@query.nii.gz", "%scan.nii.gz"]
    for name in names:
        nifti(Path(name), ct())
    like = ["--like", names[0], "labels.nii.gz"]
    status, printed, _ = protoseg("segment", *names, *like, "-o", "$out", "--json", "--fast", *SMALL)
    assert status == 0
    assert [Path(report["query"]).name for report in json.loads(printed)] == names
    assert sorted(file.name for file in Path("$out").glob("*.nii.gz")) == sorted(
        name.replace(".nii.gz", "_seg.nii.gz") for name in names
    )


def test_a_name_of_the_version_before_counts_and_the_new_one_is_told(protoseg, recwarn, caplog):
    old = ["--set", "choice=all", "--config", "encoders/pyramid.yaml"]
    _, printed, _ = protoseg("segment", "scan.nii.gz", *LIKE, "--json", "--fast", *old, *SMALL)
    assert json.loads(printed)[0]["settings"]["support_selection"] == "all"
    # Logged; but pytest takes warnings first where another test has run the command.
    assert {*caplog.messages, *(str(one.message) for one in recwarn)} >= {
        "choice is support_selection now; use that name.",
        "encoders/pyramid.yaml is the option encoder=fpn now; use that name.",
    }


def test_several_labelled_scans_serve_together(protoseg):
    nifti(Path("b.nii.gz"), ct())
    nifti(Path("b_labels.nii.gz"), organs())
    like = [*LIKE, "--like", "b.nii.gz", "b_labels.nii.gz"]
    _, printed, _ = protoseg("segment", "scan.nii.gz", *like, "--json", "--fast", *SMALL)
    [report] = json.loads(printed)
    assert report["settings"]["support"] == ["b", "scan"]
    assert report["settings"]["refiner"] is None
    assert report["labels"]["label_1"]["estimated_dice"] is None
    assert report["doubts"] == {}


def test_labelled_scans_that_conflict_are_told_once(protoseg, caplog):
    nifti(Path("again.nii.gz"), ct())
    nifti(Path("b.nii.gz"), ct())
    nifti(Path("b_labels.nii.gz"), np.array([0, 2, 1], np.uint8)[organs()])  # mixed up
    like = [*LIKE, "--like", "b.nii.gz", "b_labels.nii.gz", "--labels", "liver=1,spleen=2"]
    command = ["segment", "scan.nii.gz", "again.nii.gz", *like, "--json", "--fast", *SMALL]
    reports = json.loads(protoseg(*command)[1])
    told = [message for message in caplog.messages if message.startswith("Check the label ")]
    named = {tuple(message.split(":")[0].split()[3::2]) for message in told}
    assert (len(told), named) == (4, {(label, scan) for label in ("liver", "spleen") for scan in LIKE[1:2] + like[4:5]})
    assert "agrees with the other example by a Dice of 0." in told[0]
    for report in reports:
        assert [doubt.split(",")[0] for doubt in report["doubts"]["liver"]] == [
            f"check its label in {scan}.nii.gz" for scan in ("scan", "b")
        ]
        assert report["labels"]["liver"]["warning"].endswith("; ".join(report["doubts"]["liver"]))
    assert json.loads(protoseg(*command, "--set", "doubts=$None")[1])[0]["doubts"] == {}
    assert sum(message.startswith("Check the label ") for message in caplog.messages) == 4, "none more"


def test_more_formats_and_statistics(protoseg):
    more = ["--labels", "liver=1", "--save", "nrrd", "--statistics", "--fast"]
    status, printed, _ = protoseg("segment", "scan.nii.gz", *LIKE, "-o", "out", *more, *SMALL)
    assert (status, printed.splitlines()[-2:]) == (0, ["out/scan_seg.nrrd", "out/statistics.csv"])
    found = np.asarray(nibabel.load("out/scan_seg.nii.gz").dataobj) == 1
    with Path("out/statistics.csv").open(encoding="utf-8", newline="") as file:
        [row] = csv.DictReader(file)
    assert (row["query"], row["label"], int(row["voxels"])) == ("scan", "liver", found.sum())
    assert float(row["mean"]) == pytest.approx(ct()[found].mean(), rel=1e-4)


def test_a_dicom_series_gets_dicom(protoseg, tmp_path):
    assert protoseg("to-dicom", "scan.nii.gz", "series")[0] == 0
    save = ["--save", "dicom_seg,rtstruct", "--labels", "liver=1,spleen=2"]
    status, _, _ = protoseg("segment", "series/scan", *LIKE, "-o", "out", *save, *SMALL)
    assert status == 0
    found = np.asarray(nibabel.load("out/scan_seg.nii.gz").dataobj)
    for ending in ("seg.dcm", "rtstruct.dcm"):
        again = read_labels(tmp_path / f"out/scan_seg.{ending}", tmp_path / "series/scan")
        assert again.meta["label_names"] == {"liver": 1, "spleen": 2}
        assert (np.asarray(again[0]) > 0).sum() == (found > 0).sum()


def test_clicks(protoseg):
    command = ["click", "scan.nii.gz", "--at", "10,12,1", "--not", "22,12,1", "--label", "liver", "-o", "organ.nii.gz"]
    status, printed, _ = protoseg(*command, *SMALL)
    found = np.asarray(nibabel.load("organ.nii.gz").dataobj)
    assert (status, found[10, 12, 1], found[22, 12, 1]) == (0, 1, 0)
    assert "liver: " in printed
    assert printed.splitlines()[-1] == "organ.nii.gz"


def test_info_as_json(protoseg):
    status, printed, _ = protoseg("info", "--json")
    assert (status, set(json.loads(printed))) == (0, {"versions", "devices", "weights", "licenses"})


@pytest.mark.parametrize(
    "command",
    [
        "demo",
        "prepare",
        "suite",
        "calibrate",
        "study",
        "join",
        "average",
        "export",
        "fetch",
        "synthesize",
        "features",
        "to-dicom",
    ],
)
def test_sub_commands_with_arguments_of_their_own_tell_them(protoseg, command):
    status, printed, _ = protoseg(command, "--help")
    assert status == 0
    assert printed.startswith(f"usage: protoseg {command} ")


def test_help_does_not_import_the_engine():
    command = "import sys; from protoseg.cli import main\ntry: main(['--help'])\nexcept SystemExit: print(*sys.modules)"
    run = subprocess.run([sys.executable, "-c", command], capture_output=True, text=True, encoding="utf-8", check=True)
    assert not {"torch", "monai", "numpy"} & set(run.stdout.split())


def test_python_runs_the_package_as_the_command(tmp_path):
    command = [sys.executable, "-m", "protoseg", "segment", "none.nii", "--like", "none.nii", "none.nii", "-o", "out"]
    run = subprocess.run(command, capture_output=True, text=True, encoding="utf-8", check=False, cwd=tmp_path)
    assert run.returncode == 2
    assert "none.nii does not exist" in run.stderr.splitlines()[-1]
