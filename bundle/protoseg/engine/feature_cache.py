"""Features of slices that were encoded before: the second label, the next click and the next support cost nothing.

Keyed by content: the pixels that the encoder sees, the weights, and the number format, so that features of other
weights are never served.
"""

from __future__ import annotations

import logging
import os
from collections import OrderedDict
from collections.abc import Iterator
from pathlib import Path
from threading import Lock

import numpy as np
import torch
from torch import Tensor

from protoseg.files import replacing
from protoseg.maths.alpnet import ALPNet
from protoseg.maths.fingerprint import tensor_digest
from protoseg.maths.precision import resolve_precision

__all__ = ["FeatureCache", "encode_batch"]

logger = logging.getLogger(__name__)


class FeatureCache:
    """Least-recently-used features in memory, bounded in bytes, with an optional second tier on disk.

    Safe between threads, and on disk between processes: a file appears whole or not at all.

    Args:
        max_bytes: bound of the memory tier; 0 keeps nothing.
        folder: of the disk tier, if there is to be one.
        max_folder_bytes: bound of the disk tier; beyond it the files that were used least recently go.
    """

    def __init__(
        self, max_bytes: int = 2**30, *, folder: str | Path | None = None, max_folder_bytes: int = 16 * 2**30
    ) -> None:
        self.max_bytes = max_bytes
        self.folder = None if folder is None else Path(folder)
        self.max_folder_bytes = max_folder_bytes
        self.nbytes = 0
        self.hits = 0
        self.misses = 0
        self._items: OrderedDict[str, Tensor] = OrderedDict()
        self._lock = Lock()
        if self.folder is not None:
            self.folder.mkdir(parents=True, exist_ok=True)

    def encode(self, network: ALPNet, images: Tensor) -> Tensor:
        """Features (B, C, h, w) of network input (B, 3, H, W), on the network's device; only new ones are computed."""
        device = next(network.parameters()).device
        keys = list(self._keys(network, images, device))
        found = {key: features for key in set(keys) if (features := self._find(key)) is not None}
        missing = {key: index for index, key in enumerate(keys) if key not in found}
        with self._lock:
            self.misses += len(missing)
            self.hits += len(keys) - len(missing)
        if missing:
            new = encode_batch(network, images[list(missing.values())].to(device))
            self._keep(dict(zip(missing, new.cpu())))
            if len(missing) == len(keys):
                return new
            found.update(zip(missing, new))
        return torch.stack([found[key].to(device) for key in keys])

    def _keys(self, network: ALPNet, images: Tensor, device: torch.device) -> Iterator[str]:
        dtype = str(resolve_precision(device, network.precision)).removeprefix("torch.")
        setting = f"{network.encoding_fingerprint()}-{dtype}"
        for image in images:
            # Of an image repeated three times, one channel tells as much.
            repeated = bool((image[0] == image[1]).all() and (image[0] == image[2]).all())
            yield f"{setting}-{tensor_digest(image[:1] if repeated else image).hex()}"

    def _find(self, key: str) -> Tensor | None:
        with self._lock:
            if key in self._items:
                self._items.move_to_end(key)
                return self._items[key]
        if self.folder is None:
            return None
        file = self.folder / f"{key}.npy"
        try:
            features = torch.from_numpy(np.load(file))
            os.utime(file)  # used just now
        except (OSError, ValueError, EOFError):  # absent, damaged, or removed by another process meanwhile
            return None
        self._remember(key, features)
        return features

    def _keep(self, new: dict[str, Tensor]) -> None:
        for key, features in new.items():
            self._remember(key, features.clone())  # a view would keep the whole batch alive
        if self.folder is None:
            return
        try:
            for key, features in new.items():
                with replacing(self.folder / f"{key}.npy") as unfinished:
                    np.save(unfinished, features.numpy())
            self._shrink_folder(self.folder)
        except OSError as error:  # a full disk is no reason to lose a segmentation
            logger.warning("Features are not kept in %s: %s", self.folder, error)

    def _remember(self, key: str, features: Tensor) -> None:
        with self._lock:
            if key in self._items or features.nbytes > self.max_bytes:
                return
            self._items[key] = features
            self.nbytes += features.nbytes
            while self.nbytes > self.max_bytes:
                self.nbytes -= self._items.popitem(last=False)[1].nbytes

    def _shrink_folder(self, folder: Path) -> None:
        files = []
        for file in folder.glob("[!.]*.npy"):
            try:
                state = file.stat()
            except FileNotFoundError:  # another process was quicker
                continue
            files.append((state.st_mtime, state.st_size, file))
        excess = sum(size for _, size, _ in files) - self.max_folder_bytes
        for _, size, file in sorted(files):
            if excess <= 0:
                return
            file.unlink(missing_ok=True)
            excess -= size


def encode_batch(network: ALPNet, images: Tensor) -> Tensor:
    """Features (B, C, h, w) of network input (B, 3, H, W), the same bit for bit whatever the batch.

    Convolution kernels for a single image sum in another order than those for several, so none is encoded alone.
    """
    if len(images) == 1:
        return network.encode(images.repeat(2, 1, 1, 1))[:1]
    return network.encode(images)
