"""The synthetic pelvis: plausible men and women, exact labels, reproducible."""

import numpy as np
import pytest
from scipy.ndimage import label as number_components

from protoseg.synthesis.anatomy.abdomen.labels import ABDOMEN_LABELS
from protoseg.synthesis.anatomy.canvas import Canvas
from protoseg.synthesis.anatomy.pelvis.person import PELVIS, paint_pelvis
from protoseg.synthesis.anatomy.scan import paint_scan
from protoseg.synthesis.anatomy.tissues import Tissue

SPACING = (4.5, 4.5, 10.0)
MEN, WOMEN = (2,), (3, 21)
LABELS = PELVIS.labels

# Volume in ml of what everyone has.
PLAUSIBLE = {
    "urinary_bladder": (15, 600),
    "rectum": (40, 300),
    "bowel": (250, 2000),
    "right_hip": (160, 450),
    "left_hip": (160, 450),
    "sacrum": (130, 400),
    "vertebrae": (20, 250),
    "right_femur": (80, 350),
    "left_femur": (80, 350),
    "right_gluteus": (400, 1500),
    "left_gluteus": (400, 1500),
    "psoas": (200, 900),
    "iliac_arteries": (8, 60),
    "iliac_veins": (25, 130),
}


@pytest.fixture(scope="module", params=[*MEN, *WOMEN])
def person(request: pytest.FixtureRequest) -> tuple[int, Canvas]:
    canvas, _ = paint_scan(request.param, shape=(86, 68, 24), spacing=SPACING, table=True, region=PELVIS)
    return request.param, canvas


def middle(canvas: Canvas, organ: str) -> np.ndarray:
    """The organ's centre of mass: x to the right, y forwards, z upwards, in mm."""
    voxels = np.nonzero(canvas.labels == LABELS[organ])
    return np.array([axis[at].mean() for axis, at in zip(canvas.axes, voxels)])


def test_names_shared_with_the_abdomen_are_the_same_organs() -> None:
    assert sorted(LABELS.values()) == list(range(1, len(LABELS) + 1))
    assert LABELS.keys() & ABDOMEN_LABELS.keys() == {"bowel", "vertebrae", "psoas", "aorta", "vena_cava"}


def test_organs_have_a_plausible_size(person: tuple[int, Canvas]) -> None:
    _, canvas = person
    for organ, (smallest, largest) in PLAUSIBLE.items():
        volume = (canvas.labels == LABELS[organ]).sum() * np.prod(SPACING) / 1000
        assert smallest < volume < largest, organ


def test_men_have_a_prostate_and_women_a_uterus(person: tuple[int, Canvas]) -> None:
    seed, canvas = person
    prostate, uterus = ((canvas.labels == LABELS[organ]).sum() for organ in ("prostate", "uterus"))
    present, absent = (prostate, uterus) if seed in MEN else (uterus, prostate)
    assert 15 < present * np.prod(SPACING) / 1000 < 180
    assert absent == 0
    glands = {Tissue.PROSTATE, Tissue.PERIPHERAL_PROSTATE} if seed in MEN else {Tissue.UTERUS, Tissue.ENDOMETRIUM}
    assert set(np.unique(canvas.tissue[canvas.labels == LABELS["prostate" if seed in MEN else "uterus"]])) <= glands


def test_organs_lie_where_they_belong(person: tuple[int, Canvas]) -> None:
    seed, canvas = person
    right, front, up = 0, 1, 2
    for bone_or_muscle in ("hip", "femur", "gluteus"):
        assert middle(canvas, f"right_{bone_or_muscle}")[right] > 40
        assert middle(canvas, f"left_{bone_or_muscle}")[right] < -40
    bladder, rectum, sacrum = (middle(canvas, organ) for organ in ("urinary_bladder", "rectum", "sacrum"))
    assert bladder[front] > rectum[front] + 20 > sacrum[front] + 20
    assert middle(canvas, "vertebrae")[up] > sacrum[up] > bladder[up] > middle(canvas, "right_femur")[up]
    assert middle(canvas, "right_gluteus")[front] < middle(canvas, "right_femur")[front] - 30
    if seed in MEN:
        assert middle(canvas, "prostate")[up] < bladder[up] - 15
    else:
        assert rectum[front] < middle(canvas, "uterus")[front] < bladder[front] + 10


@pytest.mark.parametrize("organ", ["urinary_bladder", "prostate", "uterus", "rectum", "right_hip", "left_femur"])
def test_organs_are_one_piece(person: tuple[int, Canvas], organ: str) -> None:
    pieces, count = number_components(person[1].labels == LABELS[organ], np.ones((3, 3, 3)))
    assert count <= 1 or np.bincount(pieces.ravel())[1:].max() > 0.99 * (pieces > 0).sum()


def test_the_legs_part_below_the_perineum() -> None:
    axes = [np.arange(-200, 200, 4), np.arange(-160, 120, 4), np.array([-140, -130, 40])]
    canvas = paint_pelvis(np.random.SeedSequence(21), axes=axes, table=False)
    thighs = np.isin(canvas.tissue, [Tissue.MUSCLE, Tissue.CORTICAL_BONE])
    assert not thighs[48:52, :, 0].any()
    assert thighs[:48, :, 0].any() and thighs[52:, :, 0].any()
    assert number_components(canvas.tissue[:, :, 2] > 0)[1] == 1


def test_a_seed_gives_the_same_person_whatever_the_sampling() -> None:
    axes = [np.arange(-180, 180, 3.6), np.arange(-130, 90, 3.6), np.arange(-40, 80, 10.0)]
    fine, again, coarse = (
        paint_pelvis(np.random.SeedSequence(4), axes=[axis[::step] for axis in axes], table=False) for step in (1, 1, 2)
    )
    assert np.array_equal(fine.labels, again.labels) and np.array_equal(fine.coverage, again.coverage)
    for organ in ("right_hip", "left_femur", "sacrum", "psoas", "right_gluteus", "urinary_bladder"):
        once, twice = (labels == LABELS[organ] for labels in (fine.labels[::2, ::2, ::2], coarse.labels))
        assert 2 * (once & twice).sum() / (once.sum() + twice.sum()) > 0.95, organ
