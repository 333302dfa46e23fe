"""Builds the engine's parts from the bundle's configs: the one place that opens them outside of MONAI's workflows."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from torch import Tensor

from protoseg import bundle_root
from protoseg.data.preprocessing.steps import ScanTransform
from protoseg.engine.adaptation.test_time import Adaptation
from protoseg.engine.feature_cache import FeatureCache
from protoseg.engine.magnification import Magnification
from protoseg.engine.one_shot import OneShotSettings, segment
from protoseg.engine.prediction import Prediction
from protoseg.engine.refiners.refiner import Refiner
from protoseg.engine.slice_encoder import SliceEncoder
from protoseg.engine.support import SupportSet
from protoseg.errors import InputError, config_errors, input_errors_unwrapped
from protoseg.moved import CONFIG_IDS, encoder_of_file, renamed_ids
from protoseg.networks.alpnet import ALPNet
from protoseg.workflows.plain_config import NotPlain, PlainConfig

if TYPE_CHECKING:
    from monai.bundle import ConfigParser

__all__ = [
    "CONFIGS",
    "EngineParts",
    "chosen_configs",
    "config_files",
    "open_config",
    "open_engine",
    "open_parts",
    "open_plain_config",
]

CONFIGS = Path(bundle_root()) / "configs"
# Ids of a config that are fields of `OneShotSettings`.
SETTINGS = ("support_selection", "contrast", "orientation", "layout", "component_filter")


class Config(Protocol):
    """MONAI's `ConfigParser`, or a `PlainConfig`."""

    def get_parsed_content(self, id: str, /) -> Any:
        """Make the object of an entry."""


@dataclass(frozen=True)
class EngineParts:
    """Network, preprocessing, and settings of the segmentation."""

    network: ALPNet
    preprocessing: ScanTransform
    image_size: int
    magnification: Magnification
    settings: OneShotSettings
    refiner: Refiner | None
    adaptation: Adaptation | None

    def encoder(self, cache: FeatureCache | None = None) -> SliceEncoder:
        """Make an encoder of slices with the network, which keeps features in a cache, by default its own."""
        return SliceEncoder(self.network, self.image_size, cache or FeatureCache())

    def segment(self, volume: Tensor, support: SupportSet, encoder: SliceEncoder) -> Prediction:
        """Segment a prepared volume, see `segment`."""
        return segment(
            volume,
            support,
            encoder,
            self.settings,
            adaptation=self.adaptation,
            refiner=self.refiner,
        )


def open_engine(files: Sequence[str | Path], overrides: Mapping[str, Any], **settings: Any) -> EngineParts:
    """Make the engine's parts from config files with overrides, without MONAI unless they need it.

    Args:
        files: config files, see `config_files`.
        overrides: values of config entries by id.
        **settings: arguments of `OneShotSettings`, beside those of the configs.

    Raises:
        InputError: a file or an entry does not exist, or an entry cannot be used.
    """
    try:
        return open_parts(open_plain_config(files, **overrides), **settings)
    except NotPlain:
        return open_parts(open_config(files, **overrides), **settings)


def open_plain_config(files: Sequence[str | Path], **overrides: Any) -> PlainConfig:
    """Read config files with overrides without MONAI, see `config_files`; `NotPlain` if that is impossible."""
    paths, overrides = chosen_configs(files, overrides)
    config = PlainConfig.read(paths)
    _set(config, overrides)
    return config


def open_config(files: Sequence[str | Path] = ("inference.yaml",), **overrides: Any) -> ConfigParser:
    """Read config files with overrides by MONAI's parser, see `config_files`."""
    from monai.bundle import ConfigParser  # takes seconds, which segmenting does without

    paths, overrides = chosen_configs(files, overrides)
    config = ConfigParser()
    config.read_config([str(path) for path in paths])
    _set(config, overrides)
    return config


def _set(config: ConfigParser | PlainConfig, overrides: Mapping[str, Any]) -> None:
    of_file = renamed_ids({name: config[name] for name in CONFIG_IDS if name in config})  # of a user's config
    for name, value in {**of_file, **overrides}.items():
        with config_errors(name):
            config[name] = value


def chosen_configs(files: Sequence[str | Path], overrides: Mapping[str, Any]) -> tuple[list[Path], dict[str, Any]]:
    """Find config files, and give overrides under the present ids; arguments and errors as for `config_files`.

    A file of an encoder in the previous version becomes an override.
    """
    kept: list[str | Path] = []
    chosen: dict[str, Any] = {}
    for file in files:
        encoder = encoder_of_file(str(file))
        if encoder is None:
            kept.append(file)
        else:
            chosen["encoder"] = encoder
    chosen |= renamed_ids(overrides)
    return config_files(kept, chosen), chosen


def config_files(files: Sequence[str | Path], overrides: Iterable[str] = ()) -> list[Path]:
    """Find config files, which are laid one over the other, and check that they have the overridden entries.

    Args:
        files: paths, or names of files in the bundle's folder of configs.
        overrides: ids of entries to override.

    Raises:
        InputError: a file or an entry does not exist.
    """
    paths = [_config_file(file) for file in files]
    config = PlainConfig.read(paths)
    for name in overrides:
        parent = name.replace("::", "#").rpartition("#")[0] or name
        if parent not in config:
            raise InputError(f"--{name}: {paths[0].name} has no entry '{parent}'. Check the name of the option.")
    return paths


def open_parts(config: Config, **settings: Any) -> EngineParts:
    """Make the engine's parts from a config.

    Args:
        config: config of inference.yaml, or of train.yaml and evaluate.yaml.
        **settings: arguments of `OneShotSettings`, beside those of the config.

    Raises:
        InputError: an entry cannot be used, such as weights that do not fit.
    """

    def make(name: str) -> Any:
        with config_errors(name), input_errors_unwrapped():
            return config.get_parsed_content(name)

    return EngineParts(
        network=make("network").eval(),
        preprocessing=make("preprocessing"),
        image_size=make("image_size"),
        magnification=make("magnification"),
        settings=OneShotSettings(**{name: make(name) for name in SETTINGS}, **settings),
        refiner=make("refiner"),
        adaptation=make("adaptation"),
    )


def _config_file(file: str | Path) -> Path:
    for path in (CONFIGS / file, Path(file)):
        if path.is_file():
            return path
    raise InputError(f"{file} does not exist. Name one of {CONFIGS}, such as refiners/guided.yaml.")
