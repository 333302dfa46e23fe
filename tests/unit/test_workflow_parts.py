"""The parts of the workflows: pictures, reading on, the number format."""

import numpy as np
import pytest
import torch
from ignite.engine import Engine
from monai.data import MetaTensor
from torch.utils.data import DataLoader, Dataset

from protoseg.data.io.prefetch import Prefetch
from protoseg.errors import InputError
from protoseg.ops.precision import autocast, resolve_precision
from protoseg.workflows.handlers.skip_unreadable import SkipUnreadable
from protoseg.workflows.reports.pictures import SaveOverlayd, draw_overlay

LABELS = {"liver": 2, "spleen": 1}


def drawn(image, predicted, ground_truth=None, columns=3):
    figure = draw_overlay(image, predicted, ground_truth, LABELS, title="anna", columns=columns)
    figure.canvas.draw()
    return figure, np.asarray(figure.canvas.buffer_rgba())[..., :3].astype(int)


def colored(pixels):
    """Pixels that are not gray."""
    return int((pixels.max(-1) - pixels.min(-1) > 30).sum())


@pytest.mark.parametrize("shape", [(6, 20, 30), (1, 20, 30, 3)], ids=["volume", "RGB picture"])
def test_overlay_draws_the_labels(shape):
    image = np.broadcast_to(np.linspace(-1, 1, 30)[(None, None, slice(None)) + (None,) * (len(shape) - 3)], shape)
    empty = np.zeros(shape[:3], np.uint8)
    labelled = empty.copy()
    labelled[:, 5:15, 5:20] = 2
    figure, with_labels = drawn(image, labelled)
    _, without_labels = drawn(image, empty)
    assert len(figure.axes) == 2 * min(3, shape[0])
    assert colored(with_labels) > colored(without_labels) + 1000


def test_overlay_shows_slices_spread_over_the_labels_and_the_truth():
    labelled, ground_truth = np.zeros((2, 12, 20, 20), np.uint8)
    labelled[4:7, 5:15, 5:15] = 1
    ground_truth[5:9, 5:15, 5:15] = 1
    figure, _ = drawn(np.random.default_rng(0).random((12, 20, 20)), labelled, ground_truth)
    titles = [axes.get_title() for axes in figure.axes if axes.get_title()]
    assert titles == ["slice 5", "slice 6", "slice 7"]
    names = [text.get_text() for text in figure.legends[0].get_texts()]
    assert names == ["liver", "spleen", "ground truth"]


@pytest.mark.parametrize(("spacing", "aspect"), [((1.0, 1.0), 1.0), ((1.0, 2.0), 2.0), ((4.0, 1.0), 0.25)])
def test_overlay_shows_voxels_in_their_proportions(tmp_path, monkeypatch, spacing, aspect):
    figures = []

    def draw(*args, **kwargs):
        figures.append(draw_overlay(*args, **kwargs))
        return figures[0]

    monkeypatch.setattr("protoseg.workflows.reports.overlay.draw_overlay", draw)
    meta = {"filename_or_obj": "anna.nii.gz", "affine": torch.diag(torch.tensor([-spacing[0], -spacing[1], 5.0, 1.0]))}
    labelled = MetaTensor(torch.full((1, 20, 10, 1), 2), meta=meta)
    SaveOverlayd("pred", LABELS, tmp_path)({"image": MetaTensor(torch.rand(1, 20, 10, 1), meta=meta), "pred": labelled})
    assert [axes.get_aspect() for axes in figures[0].axes] == [aspect, aspect]
    assert (tmp_path / "anna_seg.png").exists()


class SomeBroken(Dataset):
    """Three scans, of which some cannot be read."""

    def __init__(self, *broken):
        self.broken = broken

    def __len__(self):
        return 3

    def __getitem__(self, index):
        if index in self.broken:
            raise InputError(f"Scan {index} is broken.")
        return index


@pytest.mark.parametrize(
    ("broken", "read", "message"),
    [
        ((), [0, 1, 2], None),
        ((0,), [1, 2], "1 of 3 queries could not be segmented:\n  Scan 0 is broken."),
        (
            (0, 2),
            [1],
            "2 of 3 queries could not be segmented:\n  Scan 0 is broken.\n  Scan 2 is broken.",
        ),
    ],
)
def test_what_can_be_read_is_read_once(broken, read, message):
    scans = SkipUnreadable(DataLoader(SomeBroken(*broken)))
    seen = []
    engine = Engine(lambda _, batch: seen.append(int(batch)))
    scans.attach(engine)
    engine.run(Prefetch(scans), epoch_length=3)
    assert seen == read
    if message is None:
        scans.raise_if_failed()
    else:
        with pytest.raises(InputError) as caught:
            scans.raise_if_failed()
        assert str(caught.value) == message


def test_precision_names():
    cpu = torch.device("cpu")
    assert resolve_precision(cpu, "float32") == torch.float32
    assert resolve_precision(cpu, "bfloat16") == torch.bfloat16
    assert resolve_precision(cpu, "float16") == torch.float16
    with pytest.raises(InputError, match=r"^precision is 'half'; choose one of auto, float32, bfloat16, float16.$"):
        resolve_precision(cpu, "half")


@pytest.mark.parametrize(
    ("amx", "avx512", "expected"),
    [(True, False, torch.bfloat16), (False, True, torch.bfloat16), (False, False, torch.float32)],
)
def test_auto_precision_is_bfloat16_where_the_processor_multiplies_it(monkeypatch, amx, avx512, expected):
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: amx)
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: avx512)
    assert resolve_precision(torch.device("cpu"), "auto") == expected
    matrix = torch.eye(2)
    with autocast(torch.device("cpu"), "auto"):
        assert (matrix @ matrix).dtype == expected
