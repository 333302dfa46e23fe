"""The suite: its index, its figures, the comparison of two runs, and the report."""

import json
from dataclasses import make_dataclass
from html.parser import HTMLParser

import numpy as np
import pytest
from PIL import Image
from scored_rows import ROWS, RUN, row
from suite_sets import listed

from protoseg.engine.prediction import LabelFinding
from protoseg.engine.support import SliceOrigin
from protoseg.errors import InputError
from protoseg.workflows.evaluation.bootstrap import mean_interval
from protoseg.workflows.reports.case_pictures import EDGE, draw_case
from protoseg.workflows.suite import rows as suite_rows
from protoseg.workflows.suite.comparison import read_run
from protoseg.workflows.suite.index import read_index
from protoseg.workflows.suite.pictures import picture_file
from protoseg.workflows.suite.report import SuiteReport, write_report
from protoseg.workflows.suite.rows import read_suite_rows, write_suite_rows
from protoseg.workflows.suite.summary import figures_table, summarize, summary_table


@pytest.fixture
def read(tmp_path):
    def write_and_read(content, **options):
        path = tmp_path / "index.json"
        path.write_text(content if isinstance(content, str) else json.dumps(content))
        return read_index(path, **options)

    return write_and_read


def test_figures_by_hand():
    summary = summarize(ROWS)
    ct = summary["sets"]["ct"]
    assert ct["dice"]["mean"] == pytest.approx(0.4), "over the labels of all pairs, not label by label"
    assert ct["dice"]["interval"] == [0.4, 0.4], "in either pair the mean is the same"
    assert (ct["pairs"], ct["scored"], ct["seconds"]) == (2, 3, 4.0)
    assert ct["false_positives"] == {"absent": 1, "found": 1, "mean_ml": 3.0}
    assert summary["dice"] == {"mean": 0.7, "interval": pytest.approx([0.4, 0.9]), "sets": 3}
    assert summary["seconds"] == 12.0
    groups = summary["groups"]["modality"]
    assert {name: (own["dice"]["sets"], own["dice"]["mean"]) for name, own in groups.items()} == {
        "CT": (1, 0.4),
        "MR": (2, 0.85),
    }
    assert list(summary["groups"]["region"]) == ["not given"]
    assert summary["labels"]["ct"]["spleen"]["dice"] == {"mean": 0.6, "interval": None}


def test_the_text_tells_sets_groups_and_labels():
    lines = summary_table(summarize(ROWS)).splitlines()
    assert lines[1].split()[:8] == ["ct", "0.400", "0.400", "-", "0.400", "2", "3", "4.0"]
    assert lines[4].split()[:4] == ["mean", "over", "sets", "0.700"]
    assert lines[5] == "by modality (sets): MR 0.850 (2)"
    assert lines[6] == "ct by label (scored): liver 0.300 (2), spleen 0.600 (1)"
    assert lines[7].startswith("estimated against true Dice, 4 labels: Pearson r ")
    assert lines[7].endswith("mean absolute error 0.275, 1 of the 1 with a Dice below 0.3 estimated above 0.7")


def test_the_estimate_is_judged_on_what_was_scored():
    estimate = summarize(ROWS)["estimate"]
    assert (estimate["labels"], estimate["low"], estimate["low_called_high"]) == (4, 1, 1)
    assert estimate["error"] == pytest.approx((0.6 + 0.1 + 0.3 + 0.1) / 4)
    assert estimate["correlation"] == pytest.approx(
        np.corrcoef([0.8, 0.5, 0.7, 0.9], [0.2, 0.6, 0.4, 0.8])[0, 1], abs=1e-4
    )
    assert estimate["coverage"] is None
    bounds = [(0.1, 0.3), (0.1, 0.3)]
    bounded = [
        row(dice=dice, estimated_dice=0.2, estimated_dice_low=low, estimated_dice_high=high)
        for dice, (low, high) in zip((0.2, 0.4), bounds)
    ]
    assert summarize(bounded)["estimate"]["coverage"] == 0.5


def test_the_table_has_a_line_for_each_set_group_and_label():
    table = figures_table(summarize(ROWS))
    assert [(line["level"], line["name"]) for line in table] == [
        ("all sets", ""),
        ("set", "ct"),
        ("set", "mr"),
        ("set", "mr2"),
        ("modality", "CT"),
        ("modality", "MR"),
        ("region", "not given"),
        ("dim", "3d"),
        ("label", "ct/liver"),
        ("label", "ct/spleen"),
        ("label", "mr/liver"),
        ("label", "mr2/liver"),
    ]
    assert (table[0]["sets"], table[0]["dice"], table[1]["dice_low"]) == (3, 0.7, 0.4)
    assert len({tuple(line) for line in table}) == 1, "the columns of all lines are the same"


def test_a_pooled_interval_weighs_values_and_not_labels():
    table = [[0.0, np.nan], [0.0, np.nan], [0.0, 1.0]]
    low, high = mean_interval(table, pooled=True)
    assert (low, high) == (0.0, 0.5)
    assert mean_interval(table)[1] == 0.5
    assert mean_interval([[0.2, np.nan], [0.4, 0.6]], pooled=True) == (0.2, 0.5)


def test_rows_come_back_from_the_file(tmp_path):
    write_suite_rows(tmp_path / "rows.csv", ROWS)
    assert read_suite_rows(tmp_path / "rows.csv") == ROWS


def test_a_finding_has_a_column_for_each_of_its_numbers():
    columns = suite_rows.finding_columns(LabelFinding(0.5, None, SliceOrigin("a.nii", 3)))
    assert columns == {
        "confidence": 0.5,
        "estimated_dice": None,
        "estimated_dice_low": None,
        "estimated_dice_high": None,
        "warning": "",
    }
    assert suite_rows.finding_columns(None)["warning"] == "not found"
    fields = [("margin", float), ("polarity", str)]
    richer = make_dataclass("Finding", fields, bases=(LabelFinding,), kw_only=True, frozen=True)
    told = {"estimated_dice_interval": (0.6, 0.8), "cues": {"reverse": 0.9}}
    columns = suite_rows.finding_columns(
        richer(0.5, 0.7, SliceOrigin("a.nii", 3), **told, margin=2.0, polarity="negated")
    )
    assert columns == {
        "confidence": 0.5,
        "estimated_dice": 0.7,
        "estimated_dice_low": 0.6,
        "estimated_dice_high": 0.8,
        "cue_reverse": 0.9,
        "margin": 2.0,
        "warning": "",
    }


class Page(HTMLParser):
    """Text of a page, and what it refers to."""

    def __init__(self, text):
        super().__init__()
        self.texts, self.references = [], []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        assert tag not in ("script", "link", "iframe", "object")
        self.references += [value for name, value in attributes if name in ("src", "href", "srcset", "data", "action")]

    def handle_data(self, data):
        self.texts.append(data.strip())


@pytest.fixture
def report(read, tmp_path, capsys):
    """Write the report of some rows of one set of three scans and give the page, and what was printed."""
    (one,) = read(listed(labels={"<b>kidney</b>": 2}))

    def write(dice, against=None, failures=()):
        rows = []
        for pair, value in zip(one.pairs, dice):
            named = {"support": pair.support_name, "query": pair.query.name, "label": "<b>kidney</b>"}
            rows.append({**row("kidneys", dice=value, estimated_dice=0.5), **named})
            picture = tmp_path / picture_file(pair, "<b>kidney</b>")
            picture.parent.mkdir(parents=True, exist_ok=True)
            Image.new("RGB", (4, 4)).save(picture)
        write_report(SuiteReport(rows, RUN, one.pairs, failures), tmp_path, against)
        return Page((tmp_path / "report.html").read_text(encoding="utf-8")), capsys.readouterr().out

    return write


def test_the_page_needs_nothing_else_and_tells_how_it_was_made(report, tmp_path):
    page, printed = report([0.1, 0.5, 0.9], failures=["kidneys: a -> b: b is broken."])
    assert len(page.references) == 5 and all(reference.startswith("data:image/") for reference in page.references)
    text = " ".join(page.texts)
    for said in ("<b>kidney</b>", "kidneys: a -> b: b is broken.", "torch 2.15.0", RUN["command"], "0.500"):
        assert said in text
    ranks = [text.split(":")[0] for text in page.texts if ", images/" in text]
    assert ranks == ["worst", "median", "best"]
    assert printed.splitlines()[1].split()[:5] == ["kidneys", "0.500", "0.100", "-", "0.900"]
    assert json.loads((tmp_path / "summary.json").read_text(encoding="utf-8"))["dice"]["mean"] == 0.5
    assert json.loads((tmp_path / "run.json").read_text(encoding="utf-8")) == RUN
    assert len(read_suite_rows(tmp_path / "rows.csv")) == 3


@pytest.mark.parametrize(("dice", "ranks"), [([0.4], ["only case"]), ([0.4, 0.2, None], ["worst", "best"])])
def test_few_cases_have_fewer_ranks(report, dice, ranks):
    page, _ = report(dice)
    assert [text.split(":")[0] for text in page.texts if ", images/" in text] == ranks


def test_the_comparison_is_written_printed_and_shown(report, tmp_path):
    report([0.1, 0.5, 0.9])
    before = read_run(tmp_path)
    page, printed = report([0.3, 0.7, 0.9], against=before)
    assert "fell by more than 0.02: none" in printed and "rose by more than 0.02: kidneys" in printed
    assert "+0.133" in page.texts
    assert json.loads((tmp_path / "comparison.json").read_text(encoding="utf-8"))["all"]["difference"] == pytest.approx(
        0.1333
    )
    assert (
        (tmp_path / "comparison.csv")
        .read_text(encoding="utf-8")
        .splitlines()[-1]
        .startswith("mean over sets,3,0.5,0.6333,0.1333,")
    )


def test_nothing_to_report_is_told(report):
    with pytest.raises(InputError, match=r"No label of any pair could be scored.*\n  a -> b: broken"):
        report([None], failures=["a -> b: broken"])


def test_a_picture_is_shown_whole_without_its_label_and_with_it():
    image = np.zeros((1, 40, 80))
    image[0, 0, 0] = 1
    mask = np.zeros((1, 40, 80), bool)
    mask[0, 10:20, 10:20] = True
    pixels = np.asarray(draw_case(image, mask, np.zeros_like(mask))).astype(int)
    assert pixels.shape == (EDGE, 3 * EDGE, 3)
    orange = [(tile[..., 0] - tile[..., 2] > 60).mean() for tile in np.split(pixels, 3, axis=1)]
    assert orange[0] == 0
    assert orange[1] == pytest.approx(100 / 80**2, rel=0.2), "the whole picture, on a square"
    assert orange[2] > 0.2
