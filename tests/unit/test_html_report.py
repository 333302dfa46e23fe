"""The report of an evaluation: tables, the page, several evaluations taken together."""

import json
import math
from html.parser import HTMLParser

import numpy as np
import pytest
import torch
from PIL import Image

from protoseg.engine.support import SliceOrigin, SupportSet
from protoseg.errors import InputError
from protoseg.labels import LabelSet
from protoseg.workflows.evaluation.case_tables import COLUMNS, read_rows, write_rows
from protoseg.workflows.evaluation.published_figures import PUBLISHED
from protoseg.workflows.evaluation.report import write_report
from protoseg.workflows.evaluation.summaries import summarise
from protoseg.workflows.reports.case_pictures import EDGE, PREDICTION, case_file, draw_case, draw_support

RUN = {
    "date": "2026-01-02T03:04:05+00:00",
    "command": "python -m monai.bundle run evaluating --dataset_dir data",
    "settings": {"dataset_dir": "data", "seed": "7", "weights": "best.pt"},
    "versions": {"protoseg": "0.1.0", "torch": "2.15.0"},
    "labels": {"liver": 4, "<b>bowel</b>": 11},
    "seconds": {"leak_free": [1.0, 3.0], "legacy": [0.5, 0.5]},
    "support": {
        "leak_free": {"slices": 9, "shown": [{"caption": "anna, slice 3", "file": "support/0.png"}]},
        "legacy": {"slices": 1, "shown": []},
    },
}


def row(scan, dice, *, label="liver", protocol="leak_free", slice_dice=math.nan, slices=None, **measures):
    """A row whose measures are 0 unless they are given."""
    named = {"protocol": protocol, "scan": scan, "label": label, "dice": dice, "estimated_dice": None}
    return {**dict.fromkeys(COLUMNS, 0.0), **named, "slice_dice": slice_dice, "slices": slices, **measures}


ROWS = [
    row("anna", 0.5, volume_error_ml=-4.0, estimated_dice=0.6),
    row("anna", math.nan, label="<b>bowel</b>"),
    row("bert", 0.9, volume_error_ml=2.0, estimated_dice=0.7),
    row("bert", 0.3, label="<b>bowel</b>"),
    row("anna", 0.8, protocol="legacy", slice_dice=0.6, slices=3),
    row("bert", 0.9, protocol="legacy", slice_dice=0.9, slices=1),
]


def evaluation(folder, rows=ROWS):
    """What an evaluation leaves in its folder."""
    folder.mkdir(exist_ok=True)
    write_rows(folder / "metrics.csv", rows)
    (folder / "run.json").write_text(json.dumps(RUN))
    files = [case_file(case["protocol"], case["scan"], case["label"]) for case in rows if case["dice"] >= 0]
    for file in [*files, "support/0.png"]:
        (folder / file).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (4, 4)).save(folder / file)
    return folder


class Page(HTMLParser):
    """Text of a page, and what it refers to."""

    def __init__(self, text):
        super().__init__()
        self.texts, self.references, self.tags = [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        self.references += [value for name, value in attributes if name in ("src", "href", "srcset", "data", "action")]

    def handle_data(self, data):
        self.texts.append(data.strip())


@pytest.fixture
def page(tmp_path):
    write_report([evaluation(tmp_path)], tmp_path)
    return Page((tmp_path / "report.html").read_text(encoding="utf-8"))


def test_the_page_needs_nothing_else(page):
    assert page.references and all(reference.startswith("data:image/") for reference in page.references)
    assert not {"script", "link", "iframe", "object"} & set(page.tags)


def test_the_page_names_each_published_method_and_its_source(page):
    text = " ".join(page.texts)
    for method in PUBLISHED:
        assert method.method in text and method.source in text
    assert {"81.56", "75.50", "77.83", "73.45"} <= set(page.texts), "ProtoSAM"


def test_the_page_shows_both_protocols_and_how_it_was_made(page):
    text = " ".join(page.texts)
    assert "Knows the support and the query's image." in text
    assert "from the query's own ground truth which slices hold an organ" in text
    assert "85.00 by scan, 67.50 by slice" in text
    for said in ("best.pt", RUN["command"], "torch 2.15.0", "anna, slice 3", "1 of 9 slices"):
        assert said in text


def test_names_cannot_break_the_page(page):
    assert "<b>bowel</b>" in page.texts
    assert page.texts.count("bowel") == 0


@pytest.mark.parametrize(
    ("dice", "ranks"),
    [
        ([0.4], ["only case: s0, Dice 0.400"]),
        ([0.4, 0.2], ["worst: s1, Dice 0.200", "best: s0, Dice 0.400"]),
        ([0.4, 0.2, 0.9], ["worst: s1, Dice 0.200", "median: s0, Dice 0.400", "best: s2, Dice 0.900"]),
        ([0.4, 0.2, 0.9, 0.5], ["worst: s1, Dice 0.200", "median: s0, Dice 0.400", "best: s2, Dice 0.900"]),
        ([0.4, math.nan], ["only case: s0, Dice 0.400"]),
    ],
)
def test_worst_median_and_best_case(tmp_path, dice, ranks):
    evaluation(tmp_path, [row(f"s{index}", value) for index, value in enumerate(dice)])
    write_report([tmp_path], tmp_path)
    page = Page((tmp_path / "report.html").read_text(encoding="utf-8"))
    assert [text for text in page.texts if text.startswith("leak_free, ")] == [f"leak_free, {rank}" for rank in ranks]


def test_figures_by_hand(tmp_path, capsys):
    write_report([evaluation(tmp_path)], tmp_path)
    figures = json.loads((tmp_path / "metrics.json").read_text(encoding="utf-8"))
    assert figures["mean_dice"] == pytest.approx((0.7 + 0.3) / 2)
    assert figures["labels"] == RUN["labels"]
    assert figures["estimate_correlation"] == 1.0
    leak_free, legacy = figures["protocols"]["leak_free"], figures["protocols"]["legacy"]
    assert (leak_free["scans"], leak_free["labels"]["<b>bowel</b>"]["scans"]) == (2, 1)
    assert leak_free["labels"]["liver"]["dice"] == {"mean": 0.7, "interval": [0.5, 0.9]}
    assert leak_free["labels"]["<b>bowel</b>"]["dice"] == {"mean": 0.3, "interval": None}
    assert leak_free["labels"]["liver"]["volume_error_ml"]["mean"] == 3, "4 too little and 2 too much"
    assert leak_free["mean_slice_dice"] is None
    assert legacy["mean_slice_dice"] == pytest.approx((3 * 0.6 + 1 * 0.9) / 4), "all slices of all scans"
    printed = capsys.readouterr().out.splitlines()
    assert printed[1].split() == ["liver", "0.7000", "0.8500"]
    assert printed[2].split() == ["<b>bowel</b>", "0.3000", "-"]


def test_a_label_without_any_figure_is_said_to_have_none():
    summary = summarise([row("anna", math.nan), row("bert", math.nan)])
    assert summary["labels"]["liver"]["scans"] == 0
    assert summary["means"]["dice"] == {"mean": None, "interval": None}


def test_rows_come_back_from_the_file(tmp_path):
    write_rows(tmp_path / "metrics.csv", ROWS)
    for found, written in zip(read_rows(tmp_path / "metrics.csv"), ROWS, strict=True):
        assert list(found) == COLUMNS
        assert found == pytest.approx(written, nan_ok=True)
    header, first, *_ = (tmp_path / "metrics.csv").read_text(encoding="utf-8").splitlines()
    assert header.startswith("protocol,scan,label,dice,iou,precision,recall,hd95_mm")
    assert first.startswith("leak_free,anna,liver,0.5,0.0") and first.endswith("nan,,0.0,0.6")


def test_evaluations_of_all_folds_give_one_report(tmp_path):
    folds = [evaluation(tmp_path / f"fold_{k}", [row(f"s{k}", dice)]) for k, dice in enumerate((0.4, 0.6, 0.8))]
    write_report([str(folder) for folder in folds], tmp_path / "all")
    figures = json.loads((tmp_path / "all" / "metrics.json").read_text(encoding="utf-8"))
    assert figures["mean_dice"] == pytest.approx(0.6)
    assert figures["protocols"]["leak_free"]["scans"] == 3
    assert [case["scan"] for case in read_rows(tmp_path / "all" / "metrics.csv")] == ["s0", "s1", "s2"]
    page = Page((tmp_path / "all" / "report.html").read_text(encoding="utf-8"))
    assert {"fold_0", "fold_1", "fold_2"} <= set(page.texts)
    assert "leak_free, median: s1, Dice 0.600" in page.texts


def test_evaluations_of_two_label_sets_give_one_report(tmp_path):
    kidneys = evaluation(tmp_path / "set_0", [row("anna", 0.4, label="kidney"), row("bert", 0.6, label="kidney")])
    livers = evaluation(tmp_path / "set_1", [row("anna", 0.9), row("bert", 0.7)])
    write_report([kidneys, livers], tmp_path / "all")
    figures = json.loads((tmp_path / "all" / "metrics.json").read_text(encoding="utf-8"))["protocols"]["leak_free"]
    assert figures["means"]["dice"]["mean"] == pytest.approx(0.65)
    assert figures["means"]["dice"]["interval"] == [0.65, 0.65], "in each scan the two labels balance"


def test_what_cannot_be_reported_is_refused(tmp_path):
    with pytest.raises(InputError) as caught:
        write_report([tmp_path], tmp_path)
    assert str(caught.value) == (
        f"{tmp_path} holds no finished evaluation: metrics.csv or run.json is missing. Give the output_dir of an "
        "evaluation that has ended."
    )
    folder = evaluation(tmp_path / "a")
    with pytest.raises(InputError) as caught:
        write_report([folder, folder], tmp_path / "all")
    assert str(caught.value) == (
        f"{folder}, {folder}: liver of anna is scored twice under the protocol leak_free. Give evaluations of "
        "different folds or label sets."
    )
    assert not (tmp_path / "all").exists()


def box(*slices):
    mask = np.zeros((6, 40, 60), bool)
    mask[slices] = True
    return mask


def is_white(pixels):
    return (pixels == 255).all(-1)


def test_a_case_is_drawn_where_its_label_is():
    image = np.zeros((6, 40, 60))
    image[0, 0, 0] = 1  # white, far away
    predicted, true = box(slice(1, 4), slice(0, 12), slice(46, 60)), box(slice(3, 6), slice(0, 12), slice(46, 60))
    pixels = np.asarray(draw_case(image, predicted, true)).astype(int)
    assert pixels.shape == (EDGE, 3 * EDGE, 3)
    tiles = [pixels[20:, place * EDGE : (place + 1) * EDGE] for place in range(3)]  # without their titles
    orange = [(tile[..., 0] - tile[..., 2] > 60).mean() > 0.1 for tile in tiles]
    outlined = [is_white(tile).any() for tile in tiles]
    assert orange == [True, True, False], "slices 1, 3 and 5"
    assert outlined == [False, True, True]
    assert PREDICTION == (1.0, 0.55, 0.0), "the page's key says orange"


def test_a_color_picture_is_drawn_too():
    image = np.random.default_rng(0).random((1, 40, 60, 3))
    assert draw_case(image, box()[:1], box(0, 5, 5)[:1]).size == (3 * EDGE, EDGE)


def test_the_support_is_drawn_with_its_origin():
    support = SupportSet(
        labels=LabelSet({"liver": 4, "spleen": 1}),
        images=torch.rand(2, 1, 32, 32).expand(-1, 3, -1, -1),
        masks=torch.zeros(2, 32, 32, dtype=torch.uint8).index_fill_(1, torch.arange(8), 2),
        components={"liver": 1, "spleen": 1},
        origins=(SliceOrigin("scans/anna.nii.gz", 3), SliceOrigin("scans/bert.nii.gz", 7)),
    )
    ((caption, picture),) = draw_support(support, [1])
    pixels = np.asarray(picture).astype(int)
    assert caption == "bert, slice 7"
    colorful = (pixels.max(-1) - pixels.min(-1)) > 30
    assert colorful[: EDGE // 4 - 2].all() and not colorful[EDGE // 4 + 2 :].any()
