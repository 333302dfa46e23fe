"""What the bundle's configs make of the engine: the one place where they are opened outside of MONAI's workflows."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from monai.bundle import ConfigParser
from monai.data import MetaTensor

from protoseg import bundle_root
from protoseg.data.preprocessing.transforms import Preprocessing
from protoseg.engine.adaptation.test_time import Adaptation, segment_with_adaptation
from protoseg.engine.feature_cache import FeatureCache
from protoseg.engine.one_shot import OneShotSettings
from protoseg.engine.prediction import Prediction
from protoseg.engine.refiners.refiner import Refiner
from protoseg.engine.slice_encoder import SliceEncoder
from protoseg.engine.support import SupportSet
from protoseg.errors import InputError, input_errors_unwrapped
from protoseg.moved import CONFIG_IDS, renamed_file, renamed_ids
from protoseg.networks.alpnet import ALPNet

__all__ = ["CONFIGS", "EngineParts", "config_files", "open_config", "open_parts"]

CONFIGS = Path(bundle_root()) / "configs"
SETTINGS = ("support_selection", "contrast", "component_filter")  # ids of a config that are fields of `OneShotSettings`


@dataclass(frozen=True)
class EngineParts:
    """Network, preprocessing, and how to segment."""

    network: ALPNet
    preprocessing: Preprocessing
    image_size: int
    settings: OneShotSettings
    refiner: Refiner | None
    adaptation: Adaptation | None

    def encoder(self, cache: FeatureCache | None = None) -> SliceEncoder:
        """Make an encoder of slices by the network, which keeps features in a cache, its own when left out."""
        return SliceEncoder(self.network, self.image_size, cache or FeatureCache())

    def segment(self, volume: MetaTensor, support: SupportSet, encoder: SliceEncoder) -> Prediction:
        """Segment a prepared volume, see `segment_with_adaptation`."""
        return segment_with_adaptation(
            volume,
            support,
            encoder,
            self.settings,
            adaptation=self.adaptation,
            refiner=self.refiner,
        )


def open_config(files: Sequence[str | Path] = ("inference.yaml",), **overrides: Any) -> ConfigParser:
    """Read config files with overrides, see `config_files`."""
    overrides = renamed_ids(overrides)
    config = ConfigParser()
    config.read_config([str(path) for path in config_files(files, overrides)])
    config.update(renamed_ids({name: config[name] for name in CONFIG_IDS if name in config}))  # of a user's file
    config.update(overrides)
    return config


def config_files(files: Sequence[str | Path], overrides: Iterable[str] = ()) -> list[Path]:
    """Find config files, which are laid one over the other, and check that overrides are of entries in them.

    Args:
        files: paths, or names of files in the bundle's folder of configs.
        overrides: ids of entries.

    Raises:
        InputError: a file or an entry does not exist.
    """
    paths = [_config_file(file) for file in files]
    config = ConfigParser(ConfigParser.load_config_files([str(path) for path in paths]))
    for name in overrides:
        parent = name.replace("::", "#").rpartition("#")[0] or name
        if parent not in config:
            raise InputError(f"--{name}: {paths[0].name} has no entry '{parent}'. Check the name of the option.")
    return paths


def open_parts(config: ConfigParser, **settings: Any) -> EngineParts:
    """Make the engine's parts as a config says.

    Args:
        config: from inference.yaml, or from train.yaml and evaluate.yaml.
        **settings: of `OneShotSettings`, beside those of the config.

    Raises:
        InputError: an entry cannot be used, such as weights that do not fit.
    """

    def make(name: str) -> Any:
        with input_errors_unwrapped():
            return config.get_parsed_content(name)

    return EngineParts(
        network=make("network").eval(),
        preprocessing=make("preprocessing"),
        image_size=make("image_size"),
        settings=OneShotSettings(**{name: make(name) for name in SETTINGS}, **settings),
        refiner=make("refiner"),
        adaptation=make("adaptation"),
    )


def _config_file(file: str | Path) -> Path:
    for path in (CONFIGS / renamed_file(str(file)), Path(file)):
        if path.is_file():
            return path
    raise InputError(f"{file} does not exist. Name one of {CONFIGS}, such as refiners/guided.yaml.")
