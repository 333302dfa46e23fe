"""A commit's product in a process of its own, which segments one scan each time that it is told to; see `scan`.

It uses of protoseg what its older commits have, too.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

import torch

from benchmarks.memory import peak_memory_gib
from benchmarks.stages import Stages
from protoseg import Segmenter
from protoseg.data.prepared_scan import prepare_scan
from protoseg.engine.feature_cache import FeatureCache
from protoseg.ops.slices import axial_slices

BATCH = 8  # slices, as the engine takes them
CACHE_BYTES = 2**28  # of features, as inference.yaml has it


class Worker:
    """A segmenter with its support, whose features are cached, as for each scan but the first."""

    def __init__(self, image: str, support_image: str, support_labels: str, labels: dict[str, int]) -> None:
        self.stages = Stages()
        self.stages.watch()
        self.image = Path(image)
        self.segmenter = Segmenter.from_pretrained()
        self.segmenter.add_support(support_image, support_labels, names=labels, slices="thirds")

    def scan(self) -> dict[str, object]:
        """Segment the scan, from its file to the file of its labels."""
        segmenter, support = self.segmenter, self.segmenter.support
        assert support is not None
        segmenter.encoder = segmenter.encoder.with_cache(FeatureCache(CACHE_BYTES))  # which knows no slice of the scan
        segmenter.encoder.of_size(support.images.shape[-1]).encode(support.images)
        self.stages.start()
        start = time.perf_counter()
        found = segmenter.segment(self.image)
        found.save(self.image.with_name(f"labels{''.join(self.image.suffixes)}"))
        seconds = time.perf_counter() - start
        stages = self.stages.stop()
        return {"seconds": seconds, "stages": stages, "peak_memory_gib": peak_memory_gib(torch.device("cpu"))}

    def bare(self) -> dict[str, object]:
        """Encode the slices of the scan, which are ready, and do nothing else."""
        segmenter, support = self.segmenter, self.segmenter.support
        assert support is not None
        prepared = prepare_scan(self.image, segmenter.parts.preprocessing, support.slice_axes)
        slices = axial_slices(prepared.image)
        encoder = segmenter.encoder.of_size(support.images.shape[-1])
        seconds = 0.0
        for first in range(0, len(slices), BATCH):
            images = encoder.network_input(slices, range(first, min(first + BATCH, len(slices))))
            start = time.perf_counter()
            encoder.frozen.encode_alike(images)
            seconds += time.perf_counter() - start
        return {"seconds": seconds}


def main() -> None:
    """Do what each line of the input names, and answer with a line of JSON."""
    worker = Worker(**json.loads(sys.argv[1]))
    works = {"scan": worker.scan, "bare": worker.bare}
    for line in sys.stdin:
        print(json.dumps(works[line.strip()]()), flush=True)


if __name__ == "__main__":
    main()
