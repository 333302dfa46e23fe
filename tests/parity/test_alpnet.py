"""The published matching, number by number (levayz/ProtoSAM, commit 64868c9)."""

from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from protoseg.matching.adaptive_prototypes import AdaptivePrototypes
from protoseg.networks.alpnet import alignment_loss

VECTORS = np.load(Path(__file__).parents[1] / "data" / "alpnet.npz")
CASES = sorted({key.split("/")[0] for key in VECTORS.files})


def tensors(case, *names):
    return [torch.from_numpy(VECTORS[f"{case}/{name}"]) for name in names]


def published(case):
    """Matching in the mode of the case, and its support (1, S, C, h, w), query and masks (1, 1, S, H, W)."""
    matching = AdaptivePrototypes(grid=8, validation_window=2)
    matching.train(not VECTORS[f"{case}/is_validation"])
    support, query, masks = tensors(case, "support_features", "query_features", "support_masks")
    return matching, support[None], query[None], masks[None, None].float()


@pytest.mark.parametrize("case", CASES)
def test_logits(case):
    matching, support, query, masks = published(case)
    logits = matching.match(query, matching.build(support, masks))[0]
    resized = F.interpolate(logits, size=masks.shape[-2:], mode="bilinear", align_corners=False)
    torch.testing.assert_close(resized, tensors(case, "logits")[0], atol=1e-4, rtol=0)


@pytest.mark.parametrize("case", [case for case in CASES if f"{case}/align_loss" in VECTORS.files])
def test_alignment_loss(case):
    matching, support, query, masks = published(case)
    logits = matching.match(query, matching.build(support, masks))
    loss = alignment_loss(matching, support, query, logits, masks)
    assert loss.item() == pytest.approx(float(VECTORS[f"{case}/align_loss"]), abs=1e-5)


def test_every_published_case_is_there():
    assert len(CASES) == 7
    assert {int(VECTORS[f"{case}/pool_window"]) for case in CASES} == {2, 4}
