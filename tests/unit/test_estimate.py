import runpy
import sys
from pathlib import Path

import numpy as np
import pytest

from protoseg.engine.estimate import Calibration, estimate_dice
from protoseg.engine.prediction import LabelFinding, findings_from_json, findings_to_json, label_finding
from protoseg.engine.support import SliceOrigin
from protoseg.errors import InputError
from protoseg.workflows.suite.calibration import calibration_source, fit_calibration, left_out_figures
from protoseg.workflows.suite.rows import write_suite_rows

CUES = {"reverse": 0.9, "halves": 0.9, "confidence": 0.8}
WORSE = {"reverse": 0.1, "halves": 0.2, "confidence": 0.4}


def suite_rows(sets=6, labels=60):
    """Labels whose Dice is .1 + .5 reverse + .1 halves + .2 confidence, with noise of .05."""
    random = np.random.default_rng(0)
    texts = dict.fromkeys(("modality", "region", "dim", "support", "query", "label", "warning"), "x")
    rows = []
    for number in range(sets):
        for _ in range(labels):
            cues = {name: float(random.uniform(0, 1)) for name in CUES}
            weighed = 0.5 * cues["reverse"] + 0.1 * cues["halves"] + 0.2 * cues["confidence"]
            dice = 0.1 + weighed + random.normal(0, 0.05)
            told = {"set": f"set{number}", **texts, "dice": float(np.clip(dice, 0, 1)), "estimated_dice": 0.5}
            rows.append(told | {f"cue_{name}": value for name, value in cues.items()})
    return rows


def test_the_shipped_estimate_follows_what_tells():
    value, low, high = estimate_dice(CUES)
    assert 0.75 < value < 0.97
    assert 0 <= low < value < high <= 1
    poor, lowest, highest = estimate_dice(WORSE)
    assert poor < 0.3
    assert 0 <= lowest <= poor < highest <= 1


def test_an_interval_is_within_0_and_1_and_as_wide_as_calibrated():
    narrow, wide = (Calibration(0.5, 0.0, 0.0, 0.0, ends, 2 * ends) for ends in (0.1, 9.0))
    assert narrow.estimate(CUES) == pytest.approx((0.5, 0.5 - 0.055, 0.5 + 0.11))
    assert wide.estimate(CUES) == (0.5, 0.0, 1.0)


def test_a_fit_finds_what_the_dice_depends_on_and_covers_what_it_was_not_fitted_on():
    rows = suite_rows()
    fitted = fit_calibration(rows)
    weights = (fitted.intercept, fitted.reverse, fitted.halves, fitted.confidence)
    assert weights == pytest.approx((0.1, 0.5, 0.1, 0.2), abs=0.03)
    figures = left_out_figures(rows)
    assert figures["labels"] == len(rows)
    assert figures["correlation"] > 0.93
    assert 0.85 <= figures["coverage"] <= 0.95


def test_rows_without_truth_or_cues_are_left_out():
    rows = suite_rows()
    spoiled = [*rows, rows[0] | {"dice": None}, {key: value for key, value in rows[0].items() if "cue" not in key}]
    assert fit_calibration(spoiled) == fit_calibration(rows)


def test_two_sets_are_too_few():
    with pytest.raises(
        InputError, match=r"^The runs have estimates, with the cues .*, of 2 sets; at least 3 are needed\."
    ):
        fit_calibration(suite_rows(sets=2))


def test_the_script_prints_what_to_put_into_the_engine(tmp_path, monkeypatch, capsys):
    rows = suite_rows(sets=3, labels=20)
    write_suite_rows(tmp_path / "rows.csv", rows)
    script = Path(__file__).parents[2] / "bundle" / "protoseg" / "commands" / "calibrate.py"
    monkeypatch.setattr(sys, "argv", [str(script), str(tmp_path)])
    runpy.run_path(str(script), run_name="__main__")
    printed = capsys.readouterr().out
    assert "labels: 60\n" in printed
    source = printed[printed.index("SHIPPED") :]
    assert source.strip() == calibration_source(fit_calibration(rows))
    told = {"Calibration": Calibration}
    exec(source, told)
    assert told["SHIPPED"].reverse == pytest.approx(0.5, abs=0.05)


def test_a_finding_tells_its_interval_and_survives_json():
    origin = SliceOrigin("a.nii", 3)
    findings = {
        "liver": label_finding(0.8, CUES, origin),
        "spleen": label_finding(0.4, WORSE, origin),
        "aorta": label_finding(0.4, None, origin, "a note"),
    }
    assert findings["liver"].warning == ""
    value, low, high = estimate_dice(WORSE)
    assert findings["spleen"].warning == (
        f"may be wrong (estimated Dice {value:.2f}, {low:.2f} to {high:.2f}): check it, or label a slice of this scan"
    )
    assert findings["aorta"] == LabelFinding(0.4, None, origin, "a note")
    assert findings_from_json(findings_to_json(findings)) == findings
