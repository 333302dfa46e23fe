"""Guided filter against its definition, and what it is for."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from protoseg.ops.guided_filter import guided_filter


def by_definition(guide, maps, radius, strength):
    """Equations 5, 6 and 8 of the paper, window by window, for one slice (H, W)."""
    height, width = guide.shape
    windows = [
        [
            (
                slice(max(row - radius[0], 0), row + radius[0] + 1),
                slice(max(column - radius[1], 0), column + radius[1] + 1),
            )
            for column in range(width)
        ]
        for row in range(height)
    ]
    slope, offset = torch.zeros_like(guide), torch.zeros_like(guide)
    for row in range(height):
        for column in range(width):
            i, p = guide[windows[row][column]], maps[windows[row][column]]
            slope[row, column] = ((i * p).mean() - i.mean() * p.mean()) / (i.var(correction=0) + strength)
            offset[row, column] = p.mean() - slope[row, column] * i.mean()
    filtered = torch.zeros_like(guide)
    for row in range(height):
        for column in range(width):
            window = windows[row][column]
            filtered[row, column] = slope[window].mean() * guide[row, column] + offset[window].mean()
    return filtered


@settings(deadline=None, max_examples=15)
@given(
    seed=st.integers(0, 1000),
    height=st.integers(1, 7),
    width=st.integers(1, 7),
    radius=st.tuples(st.integers(1, 3), st.integers(1, 3)),
)
def test_equals_the_definition(seed, height, width, radius):
    generator = torch.Generator().manual_seed(seed)
    guide, maps = torch.randn(2, 2, 1, height, width, generator=generator)
    filtered = guided_filter(guide, maps, radius=radius, strength=0.1)
    for one, i, p in zip(filtered, guide, maps):
        torch.testing.assert_close(one[0], by_definition(i[0], p[0], radius, 0.1), atol=1e-4, rtol=1e-4)


def test_constant_maps_stay():
    guide = torch.randn(1, 1, 9, 11, generator=torch.Generator().manual_seed(0))
    maps = torch.tensor([2.0, -3.0])[None, :, None, None].expand(1, 2, 9, 11)
    torch.testing.assert_close(guided_filter(guide, maps, radius=(2, 3), strength=0.1), maps, atol=1e-4, rtol=0)


def test_a_blurred_border_becomes_sharp_where_the_guide_is():
    guide = (torch.arange(16) >= 8).float().expand(1, 1, 5, 16)
    blurred = ((torch.arange(16) - 4.5) / 7).clamp(0, 1).expand(1, 1, 5, 16)
    filtered = guided_filter(guide, blurred, radius=(4, 4), strength=1e-3)[0, 0, 2]
    assert blurred[0, 0, 2].diff().max() < 0.15
    assert filtered.diff().argmax() == 7
    assert float(filtered[8] - filtered[7]) > 0.3


def test_a_flat_guide_only_smooths():
    spike = torch.zeros(1, 1, 7, 7)
    spike[0, 0, 3, 3] = 1
    filtered = guided_filter(torch.zeros_like(spike), spike, radius=(1, 1), strength=0.1)
    assert float(filtered[0, 0, 3, 3]) == pytest.approx(1 / 9)  # 9 windows hold it, of mean 1/9 each
    assert float(filtered[0, 0, 1, 1]) == pytest.approx(1 / 81)
