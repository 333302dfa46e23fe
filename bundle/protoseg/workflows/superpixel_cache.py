"""Superpixels made ahead of training, exactly as training would make them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from monai.bundle import ConfigParser

from protoseg.data.episodes.prepared_scans import ScanPreparation, prepare_scans
from protoseg.data.io.datalists import load_datalist, section_names

__all__ = ["cache_superpixels"]


def cache_superpixels(dataset_json: Path, config_files: Sequence[Path], *, image_size: int, workers: int = 0) -> Path:
    """Cache slices, superpixels and class maps of every scan of a data set, and return the folder of the cache.

    Training finds them there when it runs with the same files and `image_size`. All sections are cached: scans
    tested on in one fold are trained on in another.

    Args:
        dataset_json: path of the data set's list, in its folder.
        config_files: train.yaml and files to lay over it, which set `cache_dir`.
        image_size: edge of the network's input in pixels.
        workers: number of processes to share the work; 0 to work in this one.

    Raises:
        InputError: a scan cannot be used.
    """
    config = ConfigParser()
    config.read_config([str(file) for file in config_files])
    config.update({"dataset_dir": str(dataset_json.parent), "image_size": image_size})
    listed = [case for section in section_names(dataset_json) for case in load_datalist(dataset_json, section)]
    cases = list({case["image"]: case for case in listed}.values())
    folder = Path(config.get_parsed_content("cache_dir"))
    preparation = ScanPreparation(
        config.get_parsed_content("train#preprocessing"),
        folder=folder,
        image_size=image_size,
        threshold=config.get_parsed_content("threshold"),
        with_labels=all("label" in case for case in cases),
    )
    prepare_scans(cases, preparation, workers=workers)
    return folder
