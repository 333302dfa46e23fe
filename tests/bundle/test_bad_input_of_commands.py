"""Bad input of every sub-command ends with one sentence and the status 2."""

import sys

import pytest
from two_organs import CONFIGS, ct, nifti, organs

from protoseg.cli import main, protoseg
from protoseg.data.io.volumes import EXPECTED

SMALL = ["--device", "cpu", "--set", "image_size=64", "--set", "precision=float32", "--set", "component_filter=none"]
LIKE = ["--like", "scan.nii.gz", "labels.nii.gz"]
SEGMENT = ["segment", "scan.nii.gz", *LIKE]
NO_LIST = "Error: {0} cannot be opened. Check the path to the data set's JSON file.".format
REFUSED: list[tuple[list[str], str]] = [
    (["frobnicate"], "Error: No such command 'frobnicate'."),
    (["segment"], "Error: Missing argument 'QUERIES...'."),
    (["segment", "scan.nii.gz"], "Error: Missing option '--like'."),
    (["segment", "scan.nii.gz", "--like", "scan.nii.gz"], "Error: Option '--like' requires 2 arguments."),
    (["segment", "absent.nii.gz", *LIKE, *SMALL], f"Error: absent.nii.gz does not exist. Check the path. {EXPECTED}"),
    (["segment", "scan.nii.gz", "--like", "a", "b", *SMALL], f"Error: a does not exist. Check the path. {EXPECTED}"),
    (
        [*SEGMENT, "--set", "support_selection"],
        "Error: --set support_selection: expected ID=VALUE, such as support_selection=all.",
    ),
    (
        [*SEGMENT, "--set", "choise=all"],
        "Error: --choise: inference.yaml has no entry 'choise'. Check the name of the option.",
    ),
    (
        [*SEGMENT, "--config", "absent.yaml"],
        f"Error: absent.yaml does not exist. Name one of {CONFIGS}, such as refiners/guided.yaml.",
    ),
    (
        [*SEGMENT, "--weights", "absent.pt"],
        "Error: Weights file absent.pt does not exist. Get best.pt of a training run and save it there, or set weights "
        "to where you keep it.",
    ),
    (
        [*SEGMENT, "--slices", "9", *SMALL],
        "Error: support_slices names slice 9, but the support scan has 0..3.",
    ),
    (
        [*SEGMENT, "--slices", "12,"],
        "Error: --slices is '12,'; expected largest, thirds, all, or indices such as 12,15.",
    ),
    (
        [*SEGMENT, "--slices", "some", *SMALL],
        "Error: support_slices is 'some'; expected 'largest', 'thirds', 'all' or a list of slice indices such as "
        "[12, 15], counted from the feet.",
    ),
    (
        [*SEGMENT, "--labels", "liver=x"],
        "Error: --labels is 'liver=x'; expected names, liver,spleen, or values, liver=6,spleen=1, each once.",
    ),
    (
        [*SEGMENT, "-o", "scan.nii.gz", *SMALL],
        "Error: {f}/scan.nii.gz cannot be written: {f}/scan.nii.gz is a file, expected a folder. Choose another "
        "folder.",
    ),
    (
        [*SEGMENT, "--like", "scan.nii.gz", "liver.nii.gz", *SMALL],
        "Error: liver.nii.gz and labels.nii.gz are label maps of one scan, and both have a label_1, as their labels "
        "have no names. Give one label map of all labels, or a folder with a mask a structure, named after it.",
    ),
    (
        [*SEGMENT, "--save", "tiff"],
        "Error: --save tiff: there is no such format. Choose among nrrd, mha, dicom_seg, rtstruct.",
    ),
    (
        ["click", "scan.nii.gz", "--at", "1,2"],
        "Error: A click is at '1,2'; expected three numbers, X,Y,Z, such as 120,96,14, or 120,96,0 on a picture.",
    ),
    (
        ["click", "scan.nii.gz", "--at", "1,2,40", *SMALL],
        "Error: A click is at the voxel 1, 2, 40, outside of the image of 32 x 32 x 4 voxels.",
    ),
    (["evaluate", "--data", "absent", *SMALL[:2]], NO_LIST("absent/dataset.json")),
    (["train", "--data", "absent", *SMALL[:2]], NO_LIST("absent/dataset.json")),
    (["adapt", "--data", "absent", *SMALL[:2]], NO_LIST("absent/dataset.json")),
    (["serve"], "Error: Missing option '--studies'."),
    (
        ["serve", "--studies", "absent"],
        "Error: --studies absent: there is no such folder. Give a folder of scans, or the address of a DICOMweb "
        "server, http://127.0.0.1:8042/dicom-web.",
    ),
    (["info", "extra"], "Error: Got unexpected extra argument (extra)"),
    (["calibrate"], "protoseg calibrate: error: the following arguments are required: runs"),
    (["calibrate", "absent"], "Error: absent has no rows.csv. Give the output_dir of a run of protoseg suite."),
    (["features", "absent.png", "out.png"], f"Error: absent.png does not exist. Check the path. {EXPECTED}"),
    (
        ["fetch", "dinov2_vits14", "--from", "."],
        "Error: dinov2_vits14_pretrain.pth does not exist. Fetch "
        "https://dl.fbaipublicfiles.com/dinov2/dinov2_vits14/dinov2_vits14_pretrain.pth and save it there.",
    ),
    (["join", "absent.pt", "--output", "x.pt"], "Error: 1 file of weights to join; expected at least two."),
    (
        ["join", "absent.pt", "other.pt", "--output", "x.pt"],
        "Error: Weights file absent.pt does not exist. Get best.pt or average.pt of a training run and save it there, "
        "or set weights to where you keep it.",
    ),
    (["average", "absent.pt", "--output", "x.pt"], "Error: 1 file of weights to average; expected at least two."),
    (
        ["average", "absent.pt", "other.pt", "--shares", "1", "--output", "x.pt"],
        "Error: shares are 1; expected 2 numbers above 0, one for each file.",
    ),
    (
        ["export", "onnx", "x.onnx", "--weights", "absent.pt"],
        "Error: Weights file absent.pt does not exist. Get best.pt of a training run and save it there, or set weights "
        "to where you keep it.",
    ),
    (["demo", "--quik"], "protoseg demo: error: unrecognized arguments: --quik"),
    (["prepare", "folder", "absent.json", "out"], NO_LIST("absent.json")),
    (
        ["prepare", "chaos", "absent", "out"],
        "Error: absent: found no scans in Train_Sets/MR, expected Train_Sets/MR/<id>/T2SPIR/DICOM_anon. Give the "
        "folder that holds Train_Sets, or another --sequence.",
    ),
    (
        ["suite", "absent.json", "--output_dir", "out"],
        "Error: absent.json cannot be opened. Give the JSON file that lists the sets.",
    ),
    (
        ["suite", "absent.json", "--output_dir", "out", "--modality"],
        "Error: --modality: expected --id value, an entry of inference.yaml and what it is to be.",
    ),
    (["study", "components", "--dataset_dir", "absent", "--output_dir", "out"], NO_LIST("absent/dataset.json")),
    (["study", "clicks", "--output_dir", "out"], "protoseg study clicks: error: give either --dataset_dir or --index"),
    (
        ["study", "corrections", "--output_dir", "out"],
        "protoseg study corrections: error: give either --dataset_dir or --index",
    ),
    (
        ["synthesize", "out", "--training", "0", "--validation", "0", "--test", "0"],
        "Error: The numbers of scans are {{'training': 0, 'validation': 0, 'test': 0}}; expected at least one scan and "
        "none below 0.",
    ),
    (
        ["synthesize", "out", "--shape", "1", "1", "0"],
        "Error: shape is (1, 1, 0); expected three numbers of voxels, each at least 4.",
    ),
    (["to-dicom", "absent.nii.gz", "out"], f"Error: absent.nii.gz does not exist. Check the path. {EXPECTED}"),
    (
        ["to-dicom", "labels.nii.gz", "scan.nii.gz"],
        "Error: scan.nii.gz/labels/0001.dcm cannot be written: scan.nii.gz is a file, expected a folder. Choose "
        "another folder.",
    ),
]


@pytest.fixture
def folder(tmp_path, monkeypatch, surroundings):
    """Folder with a scan and its labels, in which the command runs."""
    nifti(tmp_path / "scan.nii.gz", ct())
    nifti(tmp_path / "labels.nii.gz", organs())
    nifti(tmp_path / "liver.nii.gz", organs() // 2)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", list(sys.argv))
    return tmp_path


def refusal(arguments, capsys) -> str:
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    printed = capsys.readouterr()
    assert (ended.value.code, printed.out) == (2, "")
    assert "Traceback" not in printed.err
    return printed.err.splitlines()[-1]


@pytest.mark.parametrize(("arguments", "message"), REFUSED, ids=[" ".join(words[:3]) for words, _ in REFUSED])
def test_bad_input_is_one_sentence_and_the_status_2(folder, capsys, arguments, message):
    assert refusal(arguments, capsys) == message.format(f=folder)
    assert sorted(path.name for path in folder.iterdir() if not path.is_dir() or any(path.iterdir())) == [
        "labels.nii.gz",
        "liver.nii.gz",
        "scan.nii.gz",
    ]


def test_a_device_that_is_not_there(folder, capsys):
    message = refusal([*SEGMENT, "--device", "tpu"], capsys)
    assert message.startswith("Error: The device 'tpu' is not there; choose 'auto' or one of cpu")  # or more, if there


def test_the_table_has_every_sub_command():
    assert {arguments[0] for arguments, _ in REFUSED} == {"frobnicate", *protoseg.commands}
