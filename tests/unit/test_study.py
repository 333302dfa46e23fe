"""Studies: what they measure, write and remember, and what they compare."""

import csv
import math
from collections import Counter

import numpy as np
import pytest
import torch
from monai.bundle import ConfigParser
from monai.data import MetaTensor

from protoseg.engine.adaptation.episodes import LabelledSlices
from protoseg.engine.adaptation.test_time import Adaptation
from protoseg.engine.prediction import Prediction
from protoseg.engine.support import SliceOrigin, SupportSet
from protoseg.errors import InputError
from protoseg.labels import LabelSet
from protoseg.workflows.studies import clicks as click_study
from protoseg.workflows.studies.clicks import ClickRow, click_rows
from protoseg.workflows.studies.corrupted_adaptation import CORRUPTIONS, CorruptedAdaptation
from protoseg.workflows.studies.label_noise import deform_labels
from protoseg.workflows.studies.plot import draw_study
from protoseg.workflows.studies.study import Study, study_table
from protoseg.workflows.studies.variants import (
    corruption_variants,
    encoder_variants,
    modality_variants,
    refinement_variants,
    shot_variants,
    ttt_variants,
)
from protoseg.workflows.studies.views import view_variants

LABELS = {"liver": 4, "spleen": 1}


def scan(name):
    """A scan of 3 slices with a liver (value 4) of 8 x 8 pixels and no spleen."""
    ground_truth = torch.zeros(1, 16, 16, 3)
    ground_truth[0, 4:12, 4:12] = 4
    affine = torch.diag(torch.tensor([2.0, 2.0, 5.0, 1.0]))
    meta = {"filename_or_obj": f"{name}.nii.gz"}
    return {
        "image": MetaTensor(ground_truth + 1, affine=affine, meta=dict(meta)),
        "label": MetaTensor(ground_truth, affine=affine, meta=dict(meta)),
    }


class CountedMethod:
    """Finds the liver moved by some pixels along x, and counts its calls."""

    def __init__(self, shift):
        self.shift, self.calls = shift, 0

    def __call__(self, volume):
        self.calls += 1
        liver = torch.roll(volume[0].as_tensor() == 5, self.shift, 0)
        return Prediction((4 * liver).permute(2, 1, 0).byte().numpy(), {})


@pytest.fixture
def methods():
    return {"coarse": CountedMethod(4), "+ graph cut": CountedMethod(0)}


@pytest.fixture
def measured(methods, tmp_path):
    """Measure the methods on scans of some names, in a new study each time."""

    def measure(*scans, made_with="x"):
        study = Study("refinement", tmp_path)
        for name, run in methods.items():
            study.measure(name, run, [scan(one) for one in scans], LABELS, made_with=made_with)
        study.write()
        return study.rows

    return measure


def test_rows_hold_the_measures_of_every_method(measured, tmp_path):
    rows = measured("a", "b")
    assert [(row["method"], row["scan"], row["label"]) for row in rows[:4]] == [
        ("coarse", "a", "liver"),
        ("coarse", "a", "spleen"),
        ("coarse", "b", "liver"),
        ("coarse", "b", "spleen"),
    ]
    assert (rows[0]["dice"], rows[0]["hd95_mm"]) == (0.5, 8.0)
    assert rows[0]["surface_dice_3mm"] < 0.8
    assert (rows[4]["dice"], rows[4]["surface_dice_3mm"], rows[4]["hd95_mm"]) == (1.0, 1.0, 0.0)
    assert math.isnan(rows[1]["dice"])  # no spleen, and none was found
    with (tmp_path / "refinement.csv").open() as file:
        written = list(csv.DictReader(file))
    assert len(written) == len(rows) == 8
    assert written[4]["surface_dice_3mm"] == "1.0"
    assert (tmp_path / "refinement.png").read_bytes().startswith(b"\x89PNG")


def test_a_study_goes_on_where_it_was_stopped(measured, methods):
    first = measured("a")
    methods["+ TTT"] = CountedMethod(1)
    rows = measured("a", "b")
    np.testing.assert_equal([row for row in rows if row["scan"] == "a"][:4], first)
    assert [method.calls for method in methods.values()] == [2, 2, 2]
    measured("a", "b")
    assert methods["+ TTT"].calls == 2


def test_what_was_made_otherwise_is_not_used(measured, methods):
    measured("a")
    measured("a", made_with="y")
    assert methods["+ graph cut"].calls == 2


def test_table_has_a_line_for_each_method_and_measure(measured):
    dice, surface, distance, seconds = (table.splitlines() for table in study_table(measured("a")).split("\n\n"))
    assert dice[0].split() == ["Dice", "mean", "liver", "spleen"]
    assert dice[1].split() == ["coarse", "0.500", "0.500", "-"]
    assert dice[2].split() == ["+", "graph", "cut", "1.000", "1.000", "-"]
    assert surface[2].split()[-3:] == ["1.000", "1.000", "-"]
    assert distance[1].split() == ["coarse", "8.0", "8.0", "-"]
    assert [line.split("  ")[0] for line in seconds] == ["seconds a scan", "coarse", "+ graph cut"]


def test_the_legend_fits_the_picture():
    methods = ["coarse", "+ CCA", "+ guided upsampling", "+ graph cut", "+ TTT (slice, 20 steps)"]
    rows = [{"method": method, "label": label, "dice": 0.5} for method in methods for label in ("liver", "spleen")]
    figure = draw_study(rows, {"dice": "Dice"})
    figure.draw_without_rendering()
    box = figure.legends[0].get_window_extent()
    assert box.x0 >= 0 and box.x1 <= figure.bbox.width


def test_a_label_that_is_right_keeps_its_dice(monkeypatch):
    clicked = [
        ClickRow("a", "liver", 1, 0.5, 0.1),
        ClickRow("a", "liver", 2, 1.0, 0.2),
        ClickRow("a", "spleen", 1, 1, 0),
    ]
    monkeypatch.setattr(click_study, "study_clicks", lambda *args, **arguments: iter(clicked))
    rows = list(click_rows(clicks=3))
    assert [(row["label"], row["method"], row["dice"]) for row in rows] == [
        ("liver", "1 click", 0.5),
        ("liver", "2 clicks", 1.0),
        ("liver", "3 clicks", 1.0),
        ("spleen", "1 click", 1),
        ("spleen", "2 clicks", 1),
        ("spleen", "3 clicks", 1),
    ]
    assert math.isnan(rows[2]["seconds"])
    dice, seconds = (table.splitlines() for table in study_table(rows).split("\n\n"))
    assert dice[0].split() == ["Dice", "mean", "liver", "spleen"]
    assert dice[3].split() == ["3", "clicks", "1.000", "1.000", "1.000"]
    assert seconds[2].split() == ["2", "clicks", "0.20"]


def test_label_noise_moves_borders_and_loses_no_label():
    masks = torch.zeros(1, 64, 64, dtype=torch.uint8)
    masks[0, 10:40, 10:40] = 1
    masks[0, 50, 50] = 2
    support = SupportSet(
        LabelSet({"a": 1, "b": 2}), torch.zeros(1, 3, 64, 64), masks, {"a": 1, "b": 1}, (SliceOrigin("s", 0),)
    )
    assert deform_labels(support, 0) is support
    noisy, again = (deform_labels(support, 4).masks for _ in range(2))
    assert torch.equal(noisy, again)
    assert noisy.unique().tolist() == [0, 1, 2]
    changed = ((noisy == 1) != (masks == 1)).sum()
    assert 0 < changed < 400  # of 900; 116 pixels of border, moved by at most some 4
    assert torch.equal(masks, support.masks)


def test_encoders_without_a_checkpoint_are_named(tmp_path):
    file = tmp_path / "vits14.pth"
    file.touch()
    variants, absent = encoder_variants({"dinov2_vits14": str(file)})
    assert list(variants)[:2] == ["fpn", "fpn, untrained"]
    chosen = {"encoder": "dinov2_vits14", "weights": None, "encoder_def#weights": str(file)}
    assert variants["dinov2_vits14"].overrides == chosen
    assert "dinov2_vits14" not in absent
    assert set(absent).isdisjoint(variants)
    with pytest.raises(InputError, match="There is no encoder 'vits'; choose clip_vitb16"):
        encoder_variants({"vits": str(file)})
    with pytest.raises(InputError, match=r"none\.pth of the encoder 'dinov2_vits14' do not exist"):
        encoder_variants({"dinov2_vits14": str(tmp_path / "none.pth")})


def test_every_number_of_shots_leaves_the_same_queries(tmp_path):
    for number in range(5):
        (tmp_path / f"{number}.nii.gz").touch()
    cases = ", ".join(f'{{"image": "{number}.nii.gz"}}' for number in range(5))
    (tmp_path / "dataset.json").write_text(f'{{"test": [{cases}]}}')
    variants, too_many = shot_variants(str(tmp_path), "test")
    assert list(variants) == ["1 shot", "2 shots", "3 shots"]
    assert too_many == ["5 shots", "10 shots"]
    assert {variant.overrides["support_scans"] for variant in variants.values()} == {3}


def test_adaptation_is_studied_when_asked_for():
    assert list(refinement_variants())[-1] == "+ graph cut"
    variants = refinement_variants(adaptation=True, slice_steps=5)
    assert list(variants)[-3:] == ["+ support adaptation", "+ TTT (volume)", "+ TTT (slice, 5 steps)"]
    assert variants["+ TTT (slice, 5 steps)"].overrides == {"adaptation#steps": 5}
    assert variants["+ TTT (volume)"].overrides == {"adaptation#seconds": None}


def test_ttt_crosses_scopes_steps_and_noise():
    variants = ttt_variants(scopes=["slice", "support"], steps=[1, 20], label_noise=[0, 4])
    assert len(variants) == 10
    noisy = variants["support, 20 steps, noise 4 px"]
    assert noisy.overlays == ("adaptation/support.yaml",)
    assert (noisy.overrides["adaptation#steps"], noisy.label_noise) == (20, 4)


def test_masks_are_spoilt_before_they_are_learned_from(monkeypatch):
    given = []
    monkeypatch.setattr(Adaptation, "to_slices", lambda _, network, slices, guard: given.append((slices, guard)))
    masks = torch.zeros(2, 64, 64, dtype=torch.uint8)
    masks[:, 8:24, 10:50] = 2
    for corruption in CORRUPTIONS:
        arguments = {"corruption": corruption, "augmentation": None, "steps": 1, "optimizer": torch.optim.SGD}
        for guarded in (True, False):
            slices = LabelledSlices(torch.zeros(2, 3, 64, 64), masks)
            CorruptedAdaptation(guarded=guarded, **arguments).to_slices(None, slices, "guard")
    assert [guard for _, guard in given] == ["guard", None] * 3
    shifted, half, chance = (slices.masks for slices, _ in given[::2])
    assert torch.equal(shifted[:, 28:44, 30:64], torch.full((2, 16, 34), 2, dtype=torch.uint8))
    assert (shifted > 0).sum() == (masks > 0).sum()
    assert half[:, 8:24, 10:32].all() and not half[:, :, 32:].any()
    assert chance.unique().tolist() == [0, 1, 2]
    assert (chance.unflatten(1, (16, 4)).unflatten(3, (16, 4)).amax((2, 4)) == chance[:, ::4, ::4]).all()
    with pytest.raises(InputError, match="The corruption is 'blurred'; choose one of shifted, half removed, random"):
        CorruptedAdaptation(guarded=True, **(arguments | {"corruption": "blurred"}))


def test_every_corruption_is_tried_with_a_guard_and_without():
    variants = corruption_variants(learning_rate=0.1)
    assert len(variants) == 7
    unguarded = variants["half removed, unguarded"]
    assert unguarded.overlays == ("adaptation/volume.yaml",)
    assert unguarded.overrides["adaptation#guarded"] is False
    assert unguarded.overrides["adaptation#optimizer#lr"] == 0.1


def test_modalities_cross_data_sets():
    variants = modality_variants(["x/ct", "x/mr"])
    assert list(variants) == ["ct to ct", "mr to ct", "ct to mr", "mr to mr"]
    assert Counter(variant.overrides["dataset_dir"] for variant in variants.values()) == {"x/ct": 2, "x/mr": 2}
    with pytest.raises(InputError, match="named ct, ct; give folders with names of their own"):
        modality_variants(["x/ct", "y/ct"])


@pytest.fixture
def marked():
    """A scan of 20 x 20 x 4 voxels with one of them brighter and labelled: patient's right, in front."""
    image = torch.zeros(1, 20, 20, 4)
    image[0, 4, 6] = 3.0
    return {"image": MetaTensor(image), "label": MetaTensor((image > 0).byte())}


def seen(variant, scan):
    config = ConfigParser({"preprocessing": "$lambda scan: scan", "validate": {"dataset": {}}})
    config.update(variant.overrides)
    return config.get_parsed_content("validate#dataset#transform")(scan)


@pytest.mark.parametrize(
    ("name", "shape", "place"),
    [
        ("turned by 45 degrees", (20, 20, 4), None),
        ("turned by 180 degrees", (20, 20, 4), (15, 13)),
        ("mirrored left to right", (20, 20, 4), (15, 6)),
        ("central 80 % of the field of view", (16, 16, 4), (2, 4)),
        ("slices twice as thick", (20, 20, 2), (4, 6)),
        ("gray values inverted", (20, 20, 4), (4, 6)),
    ],
)
def test_views_are_what_their_names_say(name, shape, place, marked):
    result = seen(view_variants()[name], marked)
    assert result["image"].shape[1:] == result["label"].shape[1:] == shape
    if place is not None:
        assert result["label"][0, :, :, 0].nonzero().tolist() == [list(place)]
        expected = -3 if name == "gray values inverted" else 3
        assert result["image"][0, *place, 0] == expected
    else:
        assert result["image"][0, 4, 6, 0] < 1 < result["image"].max()


def test_the_support_is_seen_so_too():
    variants = view_variants()
    assert "validate#support#transform" not in variants["mirrored left to right"].overrides
    shared = variants["mirrored left to right, the support too"].overrides
    assert shared["validate#support#transform"] == shared["validate#dataset#transform"]
