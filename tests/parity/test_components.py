"""The published connected-component rule, voxel by voxel (levayz/ProtoSAM, commit 64868c9)."""

from pathlib import Path

import numpy as np
import pytest
import torch

from protoseg.ops.components import component_confidence, connected_components, keep_most_confident

VECTORS = np.load(Path(__file__).parents[1] / "data" / "cca_and_prompts.npz")


@pytest.mark.parametrize("case", ["case0", "case1", "case2", "case3"])
def test_components(case):
    logits = torch.from_numpy(VECTORS[f"{case}/logits"])
    mask = logits.argmax(1)[0].numpy() > 0
    probability = logits.softmax(1)[0, 1].numpy()
    components = connected_components(mask)
    np.testing.assert_array_equal(components, VECTORS[f"{case}/components"])
    confidence = component_confidence(components, probability)
    np.testing.assert_allclose(confidence, VECTORS[f"{case}/component_confidence"], atol=1e-6)
    kept = keep_most_confident(mask, probability)
    np.testing.assert_array_equal(kept, VECTORS[f"{case}/cca_mask"] > 0)
    assert confidence.max() == pytest.approx(float(VECTORS[f"{case}/cca_confidence"]), abs=1e-6)
