"""The benchmarks run, on scans so small that their figures mean nothing, and write their tables into a page."""

import json
import sys
from pathlib import Path

import nibabel
import numpy as np
import pytest
import torch

sys.path.insert(0, str(Path(__file__).parents[2] / "scripts"))

from benchmarks import gpu, peers, report, scan, stages
from benchmarks.engine import _phantom
from benchmarks.published import published_procedure
from benchmarks.report import table, write_section
from benchmarks.stages import SEGMENTATION, Stages
from benchmarks.synthetic_scans import CASES, Files, label_names, write_case
from benchmarks.universeg import UniverSeg

from protoseg.networks.fpn import FPNEncoder

PAGE = Path(__file__).parents[2] / "bundle" / "docs" / "speed.md"


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Files:
    return write_case(tmp_path_factory.mktemp("tiny"), "tiny")


def test_scans_are_of_the_size_that_they_say(files: Files) -> None:
    for path in files:
        assert nibabel.load(path).shape == CASES["tiny"].shape
    assert nibabel.load(files.image).get_data_dtype() == np.int16
    values = np.unique(nibabel.load(files.support_labels).dataobj)
    assert set(label_names(4).values()) < set(values.tolist())
    assert np.any(
        np.asarray(nibabel.load(files.image).dataobj) != np.asarray(nibabel.load(files.support_image).dataobj)
    )


def test_a_stage_is_charged_for_its_own_time_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr(stages.time, "perf_counter", lambda: now[0])
    watch = Stages()

    def spend(seconds: float) -> None:
        now[0] += seconds

    spend(1)
    with watch.within("outer"):
        spend(2)
        with watch.within("inner"):
            spend(4)
        spend(8)
    spend(16)
    assert watch.stop() == {"rest": 17, "outer": 10, "inner": 4}
    watch.start()
    with pytest.raises(ZeroDivisionError), watch.within("outer"):
        spend(1)
        1 / 0  # noqa: B018
    spend(2)
    assert watch.stop() == {"outer": 1, "rest": 2}


def test_every_stage_is_there_to_be_watched(monkeypatch: pytest.MonkeyPatch) -> None:
    """A function that was renamed would be passed over in silence, as one that an older commit does not have."""
    watch, found = Stages(), []
    monkeypatch.setattr(watch, "_watched", lambda stage, function: found.append(stage) or function)
    watch.watch()
    assert found == [stage for stage, *_ in SEGMENTATION]


def test_a_section_is_written_anew_and_the_rest_stays(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(
        "# Mine\n<!-- Written by scripts/benchmark scan --report. -->\nold\n<!-- End of scan. -->\nafter\n", "utf-8"
    )
    write_section("scan", table(["scan", "seconds"], [["a", "1"]]), page)
    write_section("scan", table(["scan", "seconds"], [["a", "2"]]), page)
    assert page.read_text("utf-8") == (
        "# Mine\n<!-- Written by scripts/benchmark scan --report. -->\n\n| scan | seconds |\n| --- | ---: |\n"
        "| a | 2 |\n\n<!-- End of scan. -->\nafter\n"
    )
    with pytest.raises(ValueError, match="does not have the lines"):
        write_section("gpu", "", page)


@pytest.mark.parametrize("name", ["scan", "scan --against", "peers", "gpu"])
def test_the_page_has_a_place_for_every_table(name: str, tmp_path: Path) -> None:
    page = tmp_path / "speed.md"
    page.write_text(PAGE.read_text("utf-8"), "utf-8")
    write_section(name, "measured", page)
    assert page.read_text("utf-8").count("\nmeasured\n") == 1


def test_a_scan_is_measured_by_stage(files: Files, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    page, figures = tmp_path / "speed.md", tmp_path / "figures.json"
    page.write_text(PAGE.read_text("utf-8"), "utf-8")
    monkeypatch.setattr(scan, "written", lambda folder, case: files)
    monkeypatch.setattr(scan, "write_section", lambda name, text: write_section(name, text, page))
    assert scan.main(["--scans", "tiny:4", "--report", "--json", str(figures)]) == 0
    (line,) = json.loads(figures.read_text("utf-8")).values()
    parts = sum(line[name] for name in scan.SHOWN)
    assert parts == pytest.approx(line["seconds"], rel=0.05)
    assert min(line[name] for name in ("read, prepare", "encode", "match", "write", "over_bare")) > 0
    assert 0.1 < line["peak_memory_gib_new"] < 4
    assert "| CT 64 x 64 x 8, 4 labels |" in page.read_text("utf-8")


def test_lines_that_do_not_exist_are_refused(capsys: pytest.CaptureFixture[str]) -> None:
    for line in ("ct100", "ct100:0", "ct100:14", "mr:4"):
        with pytest.raises(SystemExit):
            scan.main(["--scans", line])
        assert f"'{line}' is no scan" in capsys.readouterr().err


def test_universeg_is_as_large_as_published() -> None:
    network = UniverSeg()
    assert sum(one.numel() for one in network.parameters()) == pytest.approx(1.18e6, rel=0.01)
    torch.manual_seed(0)
    target, support = torch.randn(1, 1, 16, 16), torch.randn(1, 3, 1, 16, 16)
    masks = (torch.rand(1, 3, 1, 16, 16) > 0.5).float()
    with torch.no_grad():
        found, turned = network(target, support, masks), network(target, support.flip(1), masks.flip(1))
        assert found.shape == target.shape
        torch.testing.assert_close(found, turned, atol=1e-5, rtol=1e-4)  # the order of the support does not count
        assert not torch.allclose(found, network(target, support, 1 - masks))


def test_a_peer_is_measured(files: Files) -> None:
    seconds, memory = peers.run_peer("universeg_3", files, label_names(4))
    assert seconds > 0
    assert memory > 0.1


def test_peers_are_compared_with_protoseg_round_by_round(
    files: Files, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    page = tmp_path / "speed.md"
    page.write_text(PAGE.read_text("utf-8"), "utf-8")
    ours, theirs = iter([(2.0, 1.0), (4.0, 1.5), (8.0, 0.5)]), iter([(20.0, 3.0), (8.0, 2.0), (24.0, 5.0)])
    monkeypatch.setattr(peers, "written", lambda folder, case: files)
    monkeypatch.setattr(peers, "_protoseg", lambda files, labels: next(ours))
    monkeypatch.setattr(peers, "_apart", lambda name, files, labels: next(theirs))
    monkeypatch.setattr(peers, "write_section", lambda name, text: write_section(name, text, page))
    assert peers.main(["--peers", "sam", "--scan", "tiny", "--rounds", "3", "--report"]) == 0
    written = page.read_text("utf-8")
    assert "| protoseg as shipped, files and everything on | 4.00 | 1.00 | 1.50 |" in written
    assert "| segment-anything ViT-B, a box a label and slice | 20.00 | 3.00 | 5.00 |" in written


def test_the_published_procedure_takes_every_slice_and_label(monkeypatch: pytest.MonkeyPatch) -> None:
    encoded: list[int] = []
    encoder = FPNEncoder().eval()
    encoder.register_forward_pre_hook(lambda module, images: encoded.append(len(images[0])))
    masks = torch.zeros(3, 2, 64, 64)
    masks[:, 1, 16:48, 16:48] = 1
    with torch.no_grad():
        published_procedure(encoder, torch.randn(5, 1, 40, 50), range(2), torch.randn(2, 3, 64, 64), masks)
    assert encoded == [2] * 6
    assert _phantom(1)[1].unique().tolist() == list(range(9))


def test_without_a_gpu_it_is_said(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert gpu.main(["--report"]) == 2
    said = capsys.readouterr()
    assert said.err == "There is no GPU that PyTorch can use here: nothing was measured.\n"
    assert not said.out


def test_what_cannot_be_compiled_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gpu, "ENCODERS", {"fpn": (FPNEncoder, 64)})
    network = gpu._network("fpn", "float32", torch.device("cpu"))
    monkeypatch.setattr(torch, "compile", lambda module, mode: module)
    assert gpu._compiled(network, 64, 1, 1) > 0

    def refuse(module: object, mode: str) -> object:
        raise RuntimeError("no compiler")

    monkeypatch.setattr(torch, "compile", refuse)
    assert gpu._compiled(network, 64, 1, 1) == "RuntimeError"


def test_the_script_for_gpus_runs_on_the_cpu(
    files: Files, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(gpu, "written", lambda folder, case: files)
    monkeypatch.setattr(gpu, "EPISODES", 2)
    monkeypatch.setattr(gpu, "ENCODERS", {"fpn": (FPNEncoder, 64)})
    tiny = ["--device", "cpu", "--encoders", "fpn", "--batches", "1", "--scan", "tiny", "--repeats", "1"]
    assert gpu.main([*tiny, "--without", "sam", "compile"]) == 0
    said = capsys.readouterr().out
    assert "| fpn float32 |" in said
    assert said.rstrip().endswith("| 0 | 1 | yes |"), "the CPU is equal to itself"
    assert report.machine() in said
