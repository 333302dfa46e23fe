"""Two tiny scans to draw episodes of."""

from pathlib import Path
from typing import Any

import numpy as np
from monai.transforms import LoadImaged

from protoseg.data.episodes.augmentations import episode_augmentation
from protoseg.data.episodes.episodes import SuperpixelEpisodes
from protoseg.data.preprocessing.transforms import Preprocessing

SIZE = 64


SLICES = 6


LOAD = Preprocessing([LoadImaged(["image", "label"], ensure_channel_first=True, allow_missing_keys=True)])


def write_scan(folder: Path, name: str, brightness: float) -> dict[str, str]:
    """Save a body, each slice a little brighter, and its labels: 1 in slices 0 to 2, 2 in slice 3."""
    volume = np.zeros((SIZE, 48, SLICES), dtype=np.float32)  # X Y Z
    volume[6:58, 6:42] = brightness
    volume[12:30, 12:36] = brightness + 60
    volume[36:52, 12:30] = brightness + 120
    volume += np.where(volume > 0, np.arange(SLICES, dtype=np.float32), 0)
    volume[0, 0] = 255  # one scale for every scan
    label = np.zeros(volume.shape, dtype=np.uint8)
    label[12:30, 12:36, :3] = 1
    label[36:52, 12:30, 3] = 2
    np.save(folder / f"{name}.npy", volume)
    np.save(folder / f"{name}_label.npy", label)
    return {"image": str(folder / f"{name}.npy"), "label": str(folder / f"{name}_label.npy")}


def episodes(data: list[dict[str, str]], folder: Path, **changes: Any) -> SuperpixelEpisodes:
    arguments: dict[str, Any] = {
        "transform": LOAD,
        "image_size": SIZE,
        "augmentation": episode_augmentation(),
        "cache_dir": folder / "cache",
        "threshold": 1e-4,
        "min_size": 800,
        "min_superpixel": 1,
    }
    return SuperpixelEpisodes(data, **{**arguments, **changes})
