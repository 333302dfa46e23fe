"""Feature pictures: alike patches have alike colors, and what is not shown is black."""

from pathlib import Path

import nibabel as nib
import numpy as np
import torch

from protoseg.networks.fpn import FPNEncoder
from protoseg.workflows.studies.feature_pictures import draw_features, principal_colors


def test_alike_cells_have_alike_colors_in_every_slice() -> None:
    torch.manual_seed(0)
    kinds = torch.randint(0, 4, (2, 6, 6))
    features = torch.eye(4)[kinds].movedim(3, 1) + 0.01 * torch.randn(2, 4, 6, 6)
    shown = torch.ones(2, 6, 6, dtype=torch.bool)
    shown[:, 0] = False
    colors = principal_colors(features, shown)
    assert (colors[:, 0] == 0).all()
    means = torch.stack([colors[shown & (kinds == kind)].mean(0) for kind in range(4)])
    assert all(colors[shown & (kinds == kind)].std(0).max() < 0.05 for kind in range(4))
    assert torch.pdist(means).min() > 0.5


def test_scans_are_drawn_in_two_rows_each(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for name in ("one", "two"):
        volume = rng.normal(0, 100, (24, 20, 6)).astype(np.float32)
        nib.save(nib.Nifti1Image(volume, np.diag([8.0, 8.0, 5.0, 1.0])), tmp_path / f"{name}.nii.gz")
    encoder = {"_target_": f"{FPNEncoder.__module__}.FPNEncoder", "channels": 16}
    overrides = {"weights": None, "encoder_def": encoder, "image_size": 32, "modality": "ct", "device": "cpu"}
    figure = draw_features([tmp_path / "one.nii.gz", tmp_path / "two.nii.gz"], overrides=overrides, columns=3)
    assert len(figure.axes) == 12
    assert [axis.get_title(loc="left") for axis in figure.axes if axis.get_title(loc="left")] == ["one", "two"]
