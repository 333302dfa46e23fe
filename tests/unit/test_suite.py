"""The suite: its index, its figures, the comparison of two runs, and the report."""

import json
from dataclasses import make_dataclass
from html.parser import HTMLParser

import numpy as np
import pytest
from PIL import Image

from protoseg.engine.prediction import LabelFinding
from protoseg.engine.support import SliceOrigin
from protoseg.errors import InputError
from protoseg.workflows.evaluation.bootstrap import mean_interval
from protoseg.workflows.reports.case_pictures import EDGE, draw_case
from protoseg.workflows.suite import rows as suite_rows
from protoseg.workflows.suite.comparison import EarlierRun, compare, comparison_table, read_run
from protoseg.workflows.suite.index import read_index
from protoseg.workflows.suite.pictures import picture_file
from protoseg.workflows.suite.report import SuiteReport, write_report
from protoseg.workflows.suite.rows import read_suite_rows, write_suite_rows
from protoseg.workflows.suite.summary import figures_table, summarize, summary_table

RUN = {
    "date": "2026-01-02T03:04:05+00:00",
    "command": "protoseg suite index.json --output_dir run",
    "index": "index.json",
    "overlays": [],
    "overrides": {"support_selection": "all"},
    "settings": {"support_selection": "all", "refiner": None},
    "versions": {"protoseg": "0.1.0", "torch": "2.15.0"},
}


def scan(name, **fields):
    return {"image": f"images/{name}.nii.gz", "label": f"labels/{name}.nii.gz", **fields}


def listed(**fields):
    """An index of one set of three scans."""
    return [{"name": "kidneys", "labels": {"kidney": 2}, "pairs": [scan("a"), scan("b"), scan("c")], **fields}]


@pytest.fixture
def read(tmp_path):
    def write_and_read(content, **options):
        path = tmp_path / "index.json"
        path.write_text(content if isinstance(content, str) else json.dumps(content))
        return read_index(path, **options)

    return write_and_read


def names(one):
    return [(pair.support_name, pair.query.name) for pair in one.pairs]


def test_pairs_are_those_to_do(read, tmp_path):
    (one,) = read(
        listed(todo=[[scan("a"), scan("b")], [[scan("a"), scan("b")], scan("c", read_as="mr")]], read_as="ct")
    )
    assert names(one) == [
        ("images/a.nii.gz", "images/b.nii.gz"),
        ("images/a.nii.gz; images/b.nii.gz", "images/c.nii.gz"),
    ]
    first, second = one.pairs
    assert first.query.label == tmp_path / "labels/b.nii.gz"
    assert first.labels == {"kidney": 2}
    assert (second.supports[1].read_as, second.query.read_as) == ("ct", "mr")
    assert first.file.parent == second.file.parent and first.file != second.file


def test_without_a_list_every_two_subjects_are_paired(read):
    scans = [scan("a1", subject="a"), scan("a2", subject="a"), scan("b", subject="b")]
    (one,) = read(listed(pairs=scans))
    assert {(support[7:9], query[7:9]) for support, query in names(one)} == {
        ("a1", "b."),
        ("a2", "b."),
        ("b.", "a1"),
        ("b.", "a2"),
    }


def test_scans_of_one_file_name_have_results_of_their_own(read):
    pairs = [{"image": f"{person}/image.nii", "label": f"{person}/label.nii"} for person in "abc"]
    (one,) = read(listed(pairs=pairs))
    assert len({pair.file for pair in one.pairs}) == 6


def test_sets_are_chosen_by_name_and_pairs_by_number(read):
    content = [*listed(), {**listed()[0], "name": "kidneys_mr"}, {**listed()[0], "name": "livers"}]
    assert [one.name for one in read(content, only=["kidneys"])] == ["kidneys"]
    assert [one.name for one in read(content, only=["kid*", "livers"])] == ["kidneys", "kidneys_mr", "livers"]
    assert names(read(content, limit=2)[0]) == [names(read(content)[0])[place] for place in (0, 3)]


@pytest.mark.parametrize(
    ("content", "options", "told"),
    [
        ("[{", {}, "is not a JSON file"),
        ({"name": "a"}, {}, 'found {"name": "a"}, expected a list of sets'),
        ([{"labels": {}}], {}, "set 0 has no name"),
        (listed(labels={}), {}, "kidneys: labels: found {}, expected a mapping"),
        (listed() * 2, {}, "several sets are named kidneys"),
        (listed(pairs=[scan("a")]), {}, "kidneys: there is nothing to segment"),
        (listed(pairs=["a.nii"]), {}, r'kidneys: pairs\[0\]: found "a.nii", expected {"image"'),
        (listed(todo=[scan("a")]), {}, r"kidneys: todo\[0\]: found .*, expected \[support, query\]"),
        (listed(todo=[[[], scan("a")]]), {}, r"kidneys: todo\[0\]: found .*, expected \[support, query\]"),
        (listed(todo=[[scan("a"), scan("a")]]), {}, "images/a.nii.gz is to be segmented from itself"),
        (listed(todo=[[scan("a"), scan("b")]] * 2), {}, "images/a.nii.gz -> images/b.nii.gz is listed twice"),
        (listed(), {"only": ["liver"]}, "has no set 'liver'; its sets are kidneys. Correct --only"),
        (listed(), {"limit": 0}, "--limit is 0; it must be at least 1 pair"),
    ],
)
def test_an_index_that_cannot_be_used_is_refused(read, content, options, told):
    with pytest.raises(InputError, match=told):
        read(content, **options)


def test_a_missing_index_is_told(tmp_path):
    with pytest.raises(InputError, match=r"none\.json cannot be opened"):
        read_index(tmp_path / "none.json")


def row(one="ct", query="b", label="liver", dice=0.5, **columns):
    facts = {"modality": one.upper()[:2], "region": "", "dim": "3d", "support": "a", "query": query, "label": label}
    figures = {"hd95_mm": 4.0, "volume_ml": 3.0, "seconds": 2.0, "estimated_dice": None, "warning": ""}
    return {"set": one, **facts, "dice": dice, **figures, **columns}


ROWS = [
    row(dice=0.2, estimated_dice=0.8),
    row(label="spleen", dice=0.6, estimated_dice=0.5),
    row(query="c", dice=0.4, estimated_dice=0.7, seconds=6.0),
    row(query="c", label="spleen", dice=None, hd95_mm=None, estimated_dice=0.9, seconds=6.0),
    row("mr", dice=0.8, estimated_dice=0.9),
    row("mr2", dice=0.9),
]


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


def earlier(rows, settings=None):
    return EarlierRun("runs/before", rows, {**RUN, "settings": settings or RUN["settings"]})


def changed(**difference):
    """The rows with other values of Dice, by set."""
    return [
        {**one, "dice": one["dice"] if one["dice"] is None else one["dice"] + difference.get(one["set"], 0)}
        for one in ROWS
    ]


def test_a_comparison_by_hand():
    comparison = compare(
        earlier(ROWS, {"support_selection": "nearest", "refiner": None}),
        changed(ct=0.1, mr=-0.015, mr2=-0.03),
        RUN["settings"],
    )
    differences = {name: own["difference"] for name, own in comparison["sets"].items()}
    assert differences == {"ct": 0.1, "mr": -0.015, "mr2": -0.03}
    assert comparison["sets"]["ct"]["interval"] == [0.1, 0.1]
    assert comparison["sets"]["ct"]["rows"] == 3, "what is not scored is not compared"
    assert comparison["sets"]["mr"]["interval"] is None
    assert comparison["all"]["difference"] == pytest.approx(0.055 / 3, abs=1e-4)
    assert comparison["all"]["interval"] == [-0.03, 0.1]
    assert comparison["fell"] == {"0.02": ["mr2"], "0.01": ["mr", "mr2"]}
    assert comparison["rose"] == {"0.02": ["ct"], "0.01": ["ct"]}
    assert comparison["settings"] == {"support_selection": {"before": "nearest", "now": "all"}}
    assert comparison["seconds"] == {"before": 12.0, "now": 12.0}
    lines = comparison_table(comparison).splitlines()
    assert lines[0] == "against runs/before"
    assert lines[2].split() == ["ct", "0.400", "0.500", "+0.100", "+0.100", "to", "+0.100"]
    assert "fell by more than 0.01: mr, mr2" in lines
    assert 'setting support_selection: "nearest" before, "all" now' in lines


def test_only_what_both_runs_scored_is_compared():
    comparison = compare(earlier(ROWS[1:]), ROWS[:4], RUN["settings"])
    assert list(comparison["sets"]) == ["ct"]
    assert comparison["unpaired"] == {"before": 2, "now": 1}
    assert "2 labels were scored before only, and are left out" in comparison_table(comparison)
    with pytest.raises(InputError, match="runs/before has no pair and label in common with this run"):
        compare(earlier(ROWS[4:]), ROWS[:4], RUN["settings"])


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


def test_what_is_no_run_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"holds no finished run of a suite: rows\.csv or run\.json is missing"):
        read_run(tmp_path)


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
