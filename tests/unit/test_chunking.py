import pytest
import torch

from protoseg.ops import chunking


@pytest.mark.parametrize(
    ("count", "most", "lengths"), [(10, 4, [4, 3, 3]), (9, 4, [3, 3, 3]), (4, 4, [4]), (2, 4, [2]), (0, 4, [0])]
)
def test_pieces_fit_and_are_alike_in_length(
    count: int, most: int, lengths: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(chunking, "STEP_BYTES", most)
    monkeypatch.setattr(torch, "get_num_threads", lambda: 2)
    assert [len(part) for part in chunking.in_chunks(torch.zeros(count, 3), 1)] == lengths
