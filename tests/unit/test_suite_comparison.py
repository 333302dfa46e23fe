"""Two runs of the suite compared."""

import pytest
from scored_rows import ROWS, RUN

from protoseg.errors import InputError
from protoseg.workflows.suite.comparison import EarlierRun, compare, comparison_table, read_run


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


def test_what_is_no_run_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"holds no finished run of a suite: rows\.csv or run\.json is missing"):
        read_run(tmp_path)
