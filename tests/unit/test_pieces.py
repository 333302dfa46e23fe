import pytest
import torch

from protoseg.ops import chunking as pieces


@pytest.mark.parametrize(
    ("count", "most", "lengths"), [(10, 4, [4, 3, 3]), (9, 4, [3, 3, 3]), (4, 4, [4]), (2, 4, [2]), (0, 4, [0])]
)
def test_pieces_fit_and_are_alike_in_length(
    count: int, most: int, lengths: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pieces, "STEP_BYTES", most)
    monkeypatch.setattr(torch, "get_num_threads", lambda: 2)
    assert [len(part) for part in pieces.in_pieces(torch.zeros(count, 3), 1)] == lengths
