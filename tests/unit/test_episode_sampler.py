"""Episodes without end, shared by processes."""

import itertools

from hypothesis import given, settings
from hypothesis import strategies as st

from protoseg.data.episodes.sampling import EpisodeSampler


def test_sampler_has_no_end_and_starts_where_told() -> None:
    sampler = EpisodeSampler()
    assert list(itertools.islice(sampler, 4)) == [0, 1, 2, 3]
    sampler.first = 40
    assert list(itertools.islice(sampler, 3)) == [40, 41, 42]


@settings(deadline=None, max_examples=30)
@given(first=st.integers(0, 1000), world_size=st.integers(1, 8), batch=st.integers(1, 4), step=st.integers(0, 5))
def test_processes_together_draw_each_steps_episodes(first: int, world_size: int, batch: int, step: int) -> None:
    drawn = []
    for rank in range(world_size):
        stream = iter(EpisodeSampler(first, rank=rank, world_size=world_size))
        drawn += list(itertools.islice(stream, step * batch, (step + 1) * batch))
    whole = world_size * batch
    assert sorted(drawn) == list(range(first + step * whole, first + (step + 1) * whole))
