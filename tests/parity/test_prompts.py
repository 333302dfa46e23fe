"""The published prompts, pixel by pixel (levayz/ProtoSAM, commit 64868c9)."""

from pathlib import Path

import numpy as np
import pytest
import torch

from protoseg.ops.components import connected_components
from protoseg.sam.prompts import component_box, negative_points, positive_points, spread_points

VECTORS = np.load(Path(__file__).parents[1] / "data" / "cca_and_prompts.npz")


@pytest.mark.parametrize("case", ["case0", "case1", "case2", "case3"])
def test_prompts_of_every_component(case):
    background, foreground = torch.from_numpy(VECTORS[f"{case}/logits"])[0].softmax(0).numpy()
    components = connected_components(VECTORS[f"{case}/prediction"] > 0)
    boxes = VECTORS[f"{case}/boxes_xyxy"]
    assert components.max() == len(boxes) > 0
    for index, box in enumerate(boxes):
        component = components == index + 1
        np.testing.assert_array_equal(component_box(component), box)
        for choice, name in (("confident", "conf"), ("centroid", "centroid"), ("both", "both")):
            points = positive_points(component, foreground, choice)
            np.testing.assert_allclose(points, VECTORS[f"{case}/points_{name}"][index], atol=1e-9)
        in_ring = negative_points(component, background)
        anywhere = spread_points(~component, background, 1)
        np.testing.assert_array_equal(np.concatenate([in_ring, anywhere]), VECTORS[f"{case}/negative_points"][index])
