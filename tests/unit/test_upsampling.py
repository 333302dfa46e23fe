import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from protoseg.ops.slices import unfit_slices
from protoseg.ops.upsampling import BilinearUpsampler, Window, upsampled_argmax

GRIDS = {"height": st.integers(5, 40), "width": st.integers(5, 40), "seed": st.integers(0, 99)}


def scores(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def test_a_window_is_the_pixels_that_a_cell_has_a_part_in():
    patches = torch.zeros(4, 4, dtype=torch.bool)
    patches[0, 2] = True
    # Patches of 4 pixels, centred on 1.5, 5.5, 9.5 and 13.5: the third reaches as far as the centres of its neighbours.
    to_pixels = BilinearUpsampler((4, 4), 16, 16)
    assert to_pixels.window(patches) == Window(slice(0, 6), slice(6, 14))
    assert to_pixels.window(torch.zeros_like(patches)) is None
    # As a corner: the pixels between the centres of the second and the third patch, beside those of the first row.
    corner = torch.nn.functional.pad(patches, (0, 1, 0, 1))
    corners = torch.stack([corner, torch.zeros_like(corner), corner.T])
    expected = [Window(slice(0, 2), slice(6, 10)), None, Window(slice(6, 10), slice(0, 2))]
    assert to_pixels.windows(corners.numpy()) == expected


def test_cells_in_the_padding_have_no_window():
    patches = torch.zeros(4, 4, dtype=torch.bool)
    patches[0] = True
    assert BilinearUpsampler((4, 4), 4, 16).window(patches) is None


@settings(deadline=None, max_examples=30)
@given(**GRIDS)
def test_a_whole_window_is_the_interpolation_of_the_slice(height, width, seed):
    maps = scores(3, 6, 6, seed=seed)
    everything = Window(slice(0, height), slice(0, width))
    torch.testing.assert_close(
        BilinearUpsampler((6, 6), height, width)(maps, everything), unfit_slices(maps[None], height, width)[0]
    )


@settings(deadline=None, max_examples=50)
@given(**GRIDS, patches=st.sampled_from([(6, 6), (1, 1), (1, 5), (7, 4)]), bias=st.floats(-1, 3))
def test_the_winner_is_the_arg_max_of_all_classes(height, width, patches, seed, bias):
    maps = scores(4, *patches, seed=seed)
    maps[0] += bias
    winner, best, windows = upsampled_argmax(maps, BilinearUpsampler(patches, height, width))
    winner, best = torch.from_numpy(winner), torch.from_numpy(best)
    everything = BilinearUpsampler(patches, height, width)(maps, Window(slice(0, height), slice(0, width)))
    value, expected = everything.max(0)
    tied = everything.topk(2, 0).values.diff(dim=0)[0].abs() < 1e-5
    assert torch.equal(winner[~tied].long(), expected[~tied])
    torch.testing.assert_close(best[winner > 0], value[winner > 0])
    for label, window in enumerate(windows, start=1):
        if window is not None:
            torch.testing.assert_close(best[window], value[window])
            winner[window].masked_fill_(winner[window] == label, 0)
    assert not winner.any()


def test_a_label_has_no_window_where_another_beats_it():
    maps = torch.tensor([0.0, 2.0, 1.0])[:, None, None].repeat(1, 6, 6)
    maps[0, :, 3:] = 3.0
    whole = Window(slice(0, 12), slice(0, 7))
    assert upsampled_argmax(maps, BilinearUpsampler((6, 6), 12, 12)).windows == [whole, None]
    maps[2, 0, 0] = 2.5
    assert upsampled_argmax(maps, BilinearUpsampler((6, 6), 12, 12)).windows == [
        whole,
        Window(slice(0, 3), slice(0, 3)),
    ]


def test_where_the_background_wins_everywhere_nothing_is_computed(monkeypatch):
    monkeypatch.setattr(BilinearUpsampler, "__call__", None)
    maps = torch.zeros(3, 6, 6)
    maps[0] = 1.0
    winner, best, windows = upsampled_argmax(maps, BilinearUpsampler((6, 6), 9, 12))
    assert windows == [None, None]
    assert winner.shape == best.shape == (9, 12)
    assert not winner.any()
