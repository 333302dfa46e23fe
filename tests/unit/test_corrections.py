"""A simulated user who corrects scan after scan."""

import numpy as np
import pytest
import torch
from shades_of_gray import LABELS, SIZE, network, scan

from protoseg.engine.clicks.segmentation import ClickSegmentation
from protoseg.engine.prediction import Prediction
from protoseg.engine.slice_encoder import SliceEncoder
from protoseg.engine.support import support_from_scan
from protoseg.engine.support_selection import join_supports
from protoseg.workflows.studies import corrections
from protoseg.workflows.studies.correction_figures import correction_figures, correction_table, draw_corrections
from protoseg.workflows.studies.corrections import correct_scan
from protoseg.workflows.studies.series import ScanSeries
from protoseg.workflows.studies.study import Study

ENCODER = SliceEncoder(network(), SIZE)


def volumes(shift=0):
    volume, drawn = scan(shift)
    return volume, torch.from_numpy(drawn).permute(2, 1, 0)[None]


def support_of(shift, name):
    return support_from_scan(*volumes(shift), {"rod": LABELS["rod"]}, image_size=SIZE, scan=name, slices="all")


def test_what_the_library_finds_needs_no_click():
    rod = {"rod": LABELS["rod"]}
    [row], accepted = correct_scan(*volumes(3), rod, ENCODER, support=support_of(0, "a"), scan="b", clicks=4)
    assert (row.label, row.clicks, row.dice) == ("rod", 0, row.dice_before)
    assert row.dice > 0.9
    assert set(accepted.unique().tolist()) == {0, *rod.values()}


def test_without_a_library_labels_are_clicked_on():
    rows, accepted = correct_scan(*volumes(), LABELS, ENCODER, support=None, scan="a", clicks=4)
    assert [row.dice_before for row in rows] == [0, 0]
    assert all(1 <= row.clicks <= 4 and row.dice > 0.5 for row in rows)
    assert {int(value) for value in accepted.unique()} == {0, *LABELS.values()}


def test_a_user_gives_up_and_accepts_what_there_is(monkeypatch):
    class Stubborn(ClickSegmentation):
        def segment(self, clicks, boxes=()):
            return Prediction(np.full((10, SIZE, SIZE), LABELS["rod"], np.uint8), {})

    monkeypatch.setattr(corrections, "ClickSegmentation", Stubborn)
    rows, accepted = correct_scan(*volumes(), LABELS, ENCODER, support=None, scan="a", clicks=3)
    assert [row.clicks for row in rows] == [3, 3]
    assert rows[0].dice == 0 and 0 < rows[1].dice < 0.2
    assert bool((accepted == LABELS["rod"]).all())


def test_a_label_that_the_scan_lacks_has_no_row():
    volume, label_map = volumes()
    label_map[label_map == LABELS["ball"]] = 0
    rows, _ = correct_scan(volume, label_map, LABELS, ENCODER, support=None, scan="a", clicks=1)
    assert [row.label for row in rows] == ["rod"]


def test_supports_are_joined_within_bounds():
    joined = join_supports([support_of(0, "a"), support_of(2, "b"), support_of(4, "c")], ENCODER, limit=6)
    assert len(joined.origins) == 6
    assert {origin.scan for origin in joined.origins} <= {"a", "b", "c"}


def test_each_scan_has_each_position_once():
    orders = ScanSeries("s", LABELS, ("a", "b", "c", "d")).orders(9)
    assert [set(at) for at in zip(*orders)] == [{"a", "b", "c", "d"}] * 4
    assert ScanSeries("s", LABELS, ("a", "b", "c", "d")).orders(2) == [("a", "b", "c", "d"), ("c", "d", "a", "b")]


def row(position, clicks, dice, label="liver", before=0.5, order=1):
    place = {"set": "s", "order": order, "position": position, "scan": "x", "label": label}
    return {**place, "dice_before": before, "clicks": clicks, "dice": dice, "seconds": 1.0}


def test_figures_are_means_by_position():
    rows = [row(1, 10, 0.8), row(1, 4, 0.92), row(2, 2, 0.9), row(2, 0, 0.95), row(3, 1, 0.91), row(3, 0, 0.9)]
    figures = correction_figures(rows)["s"]
    assert figures["clicks"] == [7, 1, 0.5]
    assert figures["reached90"] == [0.5, 1, 1]
    assert figures["dice"][0] == pytest.approx(0.86)
    assert (figures["first"], figures["later"]) == (7, 0.75)
    assert "clicks of the first scan 7.00, of each later one 0.75" in correction_table({"s": figures})
    figure = draw_corrections(rows)
    lines = figure.axes[0].get_lines()
    assert [list(line.get_ydata()) for line in lines] == [[7, 1, 0.5]]
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["s"]


def test_one_scan_has_none_after_it():
    assert correction_figures([row(1, 3, 0.9)])["s"]["later"] is None


def test_rows_whose_file_is_gone_are_measured_anew(tmp_path):
    volume, label_map = volumes()
    volume.meta["filename_or_obj"] = "a.nii.gz"
    sample = {"image": volume, "label": label_map}
    file, calls = tmp_path / "accepted", []

    def measure(*, scan):
        calls.append(scan)
        file.touch()
        return [{"scan": scan, "dice": 1.0}]

    for _ in range(2):
        Study("corrections", tmp_path).keep(sample, "order 1", "x", measure, beside=file)
    assert calls == ["a"]
    file.unlink()
    Study("corrections", tmp_path).keep(sample, "order 1", "x", measure, beside=file)
    assert calls == ["a", "a"]
