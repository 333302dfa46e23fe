"""Features of slices that were encoded before: another label, click or support costs no encoding.

Keyed by content: the pixels that the encoder sees, the weights, and the number format, so that features of other
weights are never served.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from threading import Lock
from typing import Any, Protocol

import numpy as np
import torch
from cachetools import LRUCache
from torch import Tensor, nn

from protoseg.files import replacing
from protoseg.ops.fingerprint import tensor_digest
from protoseg.ops.precision import resolve_precision
from protoseg.ops.slices import neighbour_indices, network_input

__all__ = ["FeatureCache", "ImageEncoder"]

logger = logging.getLogger(__name__)

INPUTS_KEPT = 100_000  # digests of network input, some 200 bytes each


class ImageEncoder(Protocol):
    """An encoder of images whose weights do not change: a `FrozenEncoder`, or the image encoder of SAM."""

    precision: str

    def encode_alike(self, slices: Tensor) -> Tensor:
        """Encode slices (B, 3, H, W) to features (B, C, h, w), the same bit for bit in any batch."""
        ...

    def encoding_fingerprint(self) -> str:
        """Give the digits that stand for everything `encode_alike` depends on, except number format and device."""
        ...

    def parameters(self) -> Iterator[nn.Parameter]:
        """Give its weights."""
        ...


class FeatureCache:
    """Least-recently-used features in memory, bounded in bytes, with an optional second tier on disk.

    Safe between threads, and on disk between processes: a file appears whole or not at all.

    Args:
        max_bytes: bound of the memory tier in bytes; 0 keeps nothing.
        folder: folder of the disk tier, if any.
        max_folder_bytes: bound of the disk tier in bytes; beyond it the least recently used files are removed.
    """

    def __init__(
        self, max_bytes: int = 2**30, *, folder: str | Path | None = None, max_folder_bytes: int = 16 * 2**30
    ) -> None:
        self.max_bytes = max_bytes
        self.folder = None if folder is None else Path(folder)
        self.max_folder_bytes = max_folder_bytes
        self.hits = 0
        self.misses = 0
        self._items: LRUCache[str, Tensor] = LRUCache(max_bytes, getsizeof=lambda features: features.nbytes)
        self._inputs: LRUCache[str, str] = LRUCache(INPUTS_KEPT)  # digest of slices -> digest of the input made of them
        self._lock = Lock()
        if self.folder is not None:
            self.folder.mkdir(parents=True, exist_ok=True)

    def __reduce__(self) -> tuple[Any, ...]:
        """Copy the settings alone: in another process it begins empty."""
        return partial(FeatureCache, self.max_bytes, folder=self.folder, max_folder_bytes=self.max_folder_bytes), ()

    @property
    def nbytes(self) -> int:
        """Number of bytes in the memory tier now."""
        return int(self._items.currsize)

    def items(self) -> dict[str, Tensor]:
        """Give the content of the memory tier by key."""
        with self._lock:
            return dict(self._items)

    def update(self, items: Mapping[str, Tensor]) -> None:
        """Put the content of another cache into the memory tier."""
        for key, features in items.items():
            self._remember(key, features)

    def forget(self, network: ImageEncoder) -> None:
        """Drop the features of a network that is not used any more from the memory tier."""
        outdated = f"{network.encoding_fingerprint()}-"
        with self._lock:
            for key in [key for key in self._items if key.startswith(outdated)]:
                del self._items[key]

    def encode(self, network: ImageEncoder, images: Tensor) -> Tensor:
        """Encode network input (B, 3, H, W) to features (B, C, h, w) on the network's device, computing only new
        ones."""
        return self._encode(network, [_input_digest(image) for image in images], lambda missing: images[missing])

    def encode_slices(
        self, network: ImageEncoder, slices: Tensor, indices: Sequence[int], *, size: int, adjacent: bool
    ) -> Tensor:
        """Encode some slices of a volume (S, C, H, W); those seen before are not even resized.

        Args:
            network: encoder.
            slices: (S, C, H, W) slices of the whole volume.
            indices: indices of the slices wanted.
            size: edge of the network's input in pixels.
            adjacent: True for channels that are a slice and its neighbors, see `network_input`.
        """

        around = [neighbour_indices(index, len(slices)) if adjacent else [index] for index in indices]
        needed = sorted({index for group in around for index in group})
        # Gathered at once: slices may be interleaved in a volume's memory, so that each alone would take a whole pass.
        gathered = slices[needed].contiguous()
        digests = {index: tensor_digest(one).hex() for index, one in zip(needed, gathered)}
        sources = [f"{size}-" + "-".join(digests[index] for index in group) for group in around]
        with self._lock:
            known = [self._inputs.get(source) for source in sources]

        def make(positions: list[int]) -> Tensor:
            wanted = [indices[position] for position in positions]
            if adjacent:  # from the whole volume: neighbors repeat at its ends
                return network_input(slices, wanted, size=size, adjacent=True)
            return network_input(gathered, [needed.index(index) for index in wanted], size=size, adjacent=False)

        new = [position for position, digest in enumerate(known) if digest is None]
        images = dict(zip(new, make(new))) if new else {}
        inputs = [digest or _input_digest(images[position]) for position, digest in enumerate(known)]
        with self._lock:
            self._inputs.update(zip(sources, inputs))

        def of(missing: list[int]) -> Tensor:
            made = all(position in images for position in missing)
            return torch.stack([images[position] for position in missing]) if made else make(missing)

        return self._encode(network, inputs, of)

    def _encode(self, network: ImageEncoder, digests: list[str], images: Callable[[list[int]], Tensor]) -> Tensor:
        """Encode inputs known by their digests; `images` makes the inputs at given positions."""
        device = next(network.parameters()).device
        dtype = str(resolve_precision(device, network.precision)).removeprefix("torch.")
        setting = f"{network.encoding_fingerprint()}-{dtype}"
        keys = [f"{setting}-{digest}" for digest in digests]
        found = {key: features for key in set(keys) if (features := self._find(key)) is not None}
        missing = {key: position for position, key in enumerate(keys) if key not in found}
        with self._lock:
            self.misses += len(missing)
            self.hits += len(keys) - len(missing)
        if missing:
            new = network.encode_alike(images(list(missing.values())).to(device))
            fetched = dict(zip(missing, new.cpu()))
            self._keep(fetched)
            if len(missing) == len(keys):
                return new
            found.update(fetched)
        return torch.stack([found[key] for key in keys]).to(device)

    def _find(self, key: str) -> Tensor | None:
        with self._lock:
            if key in self._items:
                return self._items[key]
        if self.folder is None:
            return None
        file = self.folder / f"{key}.npy"
        try:
            features = torch.from_numpy(np.load(file))
            os.utime(file)  # marks it as just used
        except (OSError, ValueError, EOFError):  # absent, damaged, or meanwhile removed by another process
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
        with self._lock, suppress(ValueError):  # larger than the bound
            self._items.setdefault(key, features)

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


def _input_digest(image: Tensor) -> str:
    # One channel is enough of an image that is repeated three times.
    repeated = bool((image[0] == image[1]).all() and (image[0] == image[2]).all())
    return tensor_digest(image[:1] if repeated else image).hex()
