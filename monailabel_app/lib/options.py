"""The options of `--conf KEY VALUE`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast, get_args

import yaml
from monai.bundle import ConfigParser

from protoseg import bundle_root
from protoseg.engine.support import SliceSelection
from protoseg.errors import InputError
from protoseg.labels import LabelSet
from protoseg.moved import renamed_encoder, renamed_ids
from protoseg.networks.encoder_table import ENCODERS

__all__ = ["Options", "read_options"]

CONFIGS = Path(bundle_root()) / "configs"
SERVER_KEYS = {"server_mode", "remote_access", "host_names", "upload_limit_mb"}  # read elsewhere
OVERRIDE_FILES = {  # options that may be a YAML file of the user, and the names allowed instead
    "encoder": sorted(ENCODERS),
    "refiner": sorted(path.stem for path in (CONFIGS / "refiners").glob("*.yaml")),
}


@dataclass(frozen=True)
class Options:
    """Settings of the app.

    Args:
        labels: names of labels that can be clicked before anything is labelled.
        label_names: label names by value, for label maps that came without names.
        support_slices: slices of each labelled scan that serve, see `choose_slices`.
        max_support_slices: largest number of support slices in all.
        max_label_slices: largest number of slices that a label may choose, by its name.
        feature_cache_mb: bound in MB of the features kept in memory.
        scan_cache_mb: bound in MB of the preprocessed scans kept in memory; of their label maps, a quarter of it.
        user_header: header in which a proxy with a log-in names the user, for the library and the audit log.
        group_header: header in which that proxy lists the user's groups, separated by commas; then roles are in force.
        annotate_groups: groups whose members may submit labels.
        manage_groups: groups whose members may also delete, train, and change the library.
        api_keys: file of keys for programs, each a line NAME ROLE KEY; the environment PROTOSEG_API_KEYS may hold more.
        adapt: True to offer self-supervised training on the studies. With the weights that ship it lowered the Dice of
            other people's scans, see docs/model_card.md.
        files: the bundle's inference config, and the override files laid over it.
        overrides: values of config entries by id.
    """

    labels: tuple[str, ...] = ()
    label_names: Mapping[str, str] | None = None
    support_slices: SliceSelection = "all"
    max_support_slices: int = 16
    max_label_slices: Mapping[str, int] = field(default_factory=dict)
    feature_cache_mb: int = 1024
    scan_cache_mb: int = 1024
    user_header: str = "X-Remote-User"
    group_header: str = ""
    annotate_groups: tuple[str, ...] = ("annotate",)
    manage_groups: tuple[str, ...] = ("manage",)
    api_keys: str = ""
    adapt: bool = False
    files: tuple[str, ...] = (str(CONFIGS / "inference.yaml"),)
    overrides: Mapping[str, Any] = field(default_factory=dict)


def read_options(conf: Mapping[str, str]) -> Options:
    """Read the app's own options; any other key must be an id of the bundle's inference config.

    Raises:
        InputError: a key is neither, a value is of another type, or a file does not exist.
    """
    conf = renamed_ids(conf)
    values = {key: yaml.safe_load(value) if isinstance(value, str) else value for key, value in conf.items()}
    own: dict[str, Any] = {}
    for key in ("max_support_slices", "feature_cache_mb", "scan_cache_mb"):
        if key in values:
            own[key] = _positive(key, values.pop(key))
    for key in ("labels", "annotate_groups", "manage_groups"):
        if key in values:
            own[key] = tuple(name.strip() for name in str(values.pop(key)).split(",") if name.strip())
    if values.get("label_names") is not None:
        own["label_names"] = LabelSet.parse(values.pop("label_names"), "--conf label_names").legend()
    for key in ("user_header", "group_header"):
        if key in values:
            own[key] = _header(key, values.pop(key))
    if "adapt" in values:
        own["adapt"] = _flag("adapt", values.pop("adapt"))
    if "api_keys" in values:
        own["api_keys"] = str(values.pop("api_keys"))
    if "support_slices" in values:
        own["support_slices"] = _selection(values.pop("support_slices"))
    if "max_label_slices" in values:
        own["max_label_slices"] = _limits(values.pop("max_label_slices"))
    files = (str(CONFIGS / "inference.yaml"), *_override_files(values))
    overrides = {key: value for key, value in values.items() if key not in SERVER_KEYS}
    _check_ids(files, overrides)
    return Options(**own, files=files, overrides=overrides)


def _positive(key: str, value: Any) -> int:
    if type(value) is not int or value < 1:
        raise InputError(f"--conf {key} is {value!r}; expected a whole number of at least 1.")
    return value


def _flag(key: str, value: Any) -> bool:
    if type(value) is not bool:
        raise InputError(f"--conf {key} is {value!r}; expected true or false.")
    return value


def _header(key: str, value: Any) -> str:
    if not re.fullmatch(r"[A-Za-z0-9-]{1,64}", str(value)):
        raise InputError(f"--conf {key} is {value!r}; expected a header's name such as X-Remote-User.")
    return str(value)


def _selection(value: Any) -> SliceSelection:
    if value not in get_args(SliceSelection):
        raise InputError(f"--conf support_slices is {value!r}; expected {', '.join(get_args(SliceSelection))}.")
    return cast(SliceSelection, value)


def _limits(value: Any) -> dict[str, int]:
    if not isinstance(value, Mapping):
        raise InputError(f"--conf max_label_slices is {value!r}; expected a mapping such as '{{\"liver\": 3}}'.")
    return {str(name): _positive("max_label_slices", limit) for name, limit in value.items()}


def _override_files(values: dict[str, Any]) -> list[str]:
    """Take the choices that are files out of the values: as paths, or as names of the bundle's."""
    files = []
    for key, names in OVERRIDE_FILES.items():
        if key not in values:
            continue
        chosen = str(values.pop(key))
        if key == "encoder" and (encoder := renamed_encoder(chosen)) in names:
            values[key] = encoder
            continue
        paths = (CONFIGS / f"{key}s" / f"{chosen}.yaml", Path(chosen))
        found = next((str(path) for path in paths if path.is_file()), None)
        if found is None:
            raise InputError(f"--conf {key} is {chosen!r}; expected a YAML file or one of {', '.join(names)}.")
        files.append(found)
    return files


def _check_ids(files: tuple[str, ...], overrides: Mapping[str, Any]) -> None:
    config = ConfigParser.load_config_files(files)
    own = ", ".join(sorted(set(Options.__dataclass_fields__) - {"files", "overrides"} | set(OVERRIDE_FILES)))
    for key in overrides:
        if key.split("#")[0].split("::")[0] not in config:
            raise InputError(f"--conf {key}: there is no such option. There are {own}, and the ids of {files[0]}.")
