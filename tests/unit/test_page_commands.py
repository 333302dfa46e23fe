"""Every command that a page or a config's head shows is one that the programs of now would take."""

import re
import sys
from importlib import import_module
from pathlib import Path
from pydoc import locate

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "scripts"))

from command_checks import ROOT, WrongError, check
from page_commands import page_blocks, shown_commands

PAGES = sorted(
    [
        *ROOT.glob("*.md"),
        *(ROOT / "bundle" / "docs").glob("*.md"),
        *(ROOT / "bundle" / "configs").rglob("*.yaml"),
        ROOT / "Dockerfile",
        ROOT / "compose.yaml",
    ]
)
BLOCKS_ALONE = {"CHANGELOG.md", "old_names.md", "options.md"}  # sentences name what is gone, or stand for many options


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_commands_would_be_taken(page: Path) -> None:
    wrong = []
    for shown in shown_commands(page):
        if shown.whole or page.name not in BLOCKS_ALONE:
            try:
                check(shown)
            except WrongError as error:
                wrong.append(f"{' '.join(shown.words)}: {error}")
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize(
    ("command", "message"),
    [
        ("protoseg segmnet scan.nii.gz", "there is no segmnet"),
        ("protoseg segment scan.nii.gz --output out", "Missing option '--like'"),
        ("protoseg segment q.nii --like a.nii b.nii --faast", "there is no --faast"),
        ("protoseg segment q.nii --like a.nii b.nii --set choice=all", "choice is called support_selection now"),
        ("protoseg segment q.nii --like a.nii b.nii --set refine=null", "there is no refine"),
        ("protoseg segment q.nii --like a.nii b.nii --config refiners/none.yaml", "there is no refiners/none.yaml"),
        ("protoseg prepare chaos CHAOS data/chaos --sequence flair", "does not take"),
        ("protoseg synthesize data --tests 2", "does not take"),
        ("protoseg suite INDEX.json --output_dir out --refine '$None'", "there is no refine"),
        ("protoseg serve --studies DIR --conf refiner sam_vit_x", "--conf refiner is 'sam_vit_x'"),
        ("python -m monai.bundle run train --config_file bundle/configs/train.yaml", "there is no train"),
        (
            "python -m monai.bundle run training --config_file bundle/configs/trains.yaml",
            "there is no bundle/configs/tra",
        ),
        ("python -m monai.bundle run training --config_file bundle/configs/train.yaml --epoch 1", "there is no epoch"),
        (
            "python -m monai.bundle run training --config_file bundle/configs/train.yaml --train#trainer#x#y 1",
            "train#tra",
        ),
        ("torchrun --nproc_per_node=2 -m monai.bundle run training --dataset_dir D", "there is no --config_file"),
        ("scripts/prepare_data chaos", "there is no scripts/prepare_data"),
        ("scripts/benchmark scan --scans ct100 --quick", "does not take"),
        ("scripts/serve --orthank", "there is no --orthank"),
        ("scripts/test tests/unit/test_nothing.py", "there is no tests/unit/test_nothing.py"),
        ("pip install 'protoseg[servers]'", "there is no servers"),
        ("dask worker tcp://10.0.0.1:8786 --workers 4", "No such option"),
        ("curl -X POST http://127.0.0.1:8000/library/examples/ID", "the server has no POST /library/examples/ID"),
        ("protoseq segment", "no such program"),
    ],
)
def test_what_would_be_refused_is_found(tmp_path: Path, command: str, message: str) -> None:
    page = tmp_path / "page.md"
    page.write_text(f"# Page\n\n```\n{command}\n```\n", encoding="utf-8")
    [shown] = shown_commands(page)
    assert shown.whole
    with pytest.raises(WrongError) as wrong:
        check(shown)
    assert message in str(wrong.value)


def test_commands_are_found_as_a_shell_reads_them(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(
        "Say `--set a=1`, or in a list:\n\n- so\n\n"
        "```\nOMP_NUM_THREADS=1 protoseg train --data D \\\n    --set 'lr_scheduler#t_total=2' # why\ncd x && y\n```\n"
        "```json\n{}\n```\n\n    curl a\n        -X b\n\nEnd.\n",
        encoding="utf-8",
    )
    words = [(" ".join(shown.words), shown.whole) for shown in shown_commands(page)]
    train = "protoseg train --data D --set lr_scheduler#t_total=2"
    assert words == [(train, True), ("cd x", True), ("y", True), ("curl a", True), ("-X b", True), ("--set a=1", False)]


@pytest.mark.parametrize("page", [page for page in PAGES if page.suffix == ".md"], ids=lambda page: page.name)
def test_names_of_the_package_are_there(page: Path) -> None:
    text = "" if page.name in BLOCKS_ALONE else page.read_text(encoding="utf-8")
    for name in set(re.findall(r"`(protoseg(?:\.\w+)+)", text)):
        assert locate(name) is not None, name
    for block in (block.text for block in page_blocks(page) if block.language == "python"):
        compile(block, page.name, "exec")
        for module, names in re.findall(r"(?m)^from (protoseg[\w.]*) import (.*)$", block):
            for name in names.split(", "):
                assert hasattr(import_module(module), name), f"{module}.{name}"
