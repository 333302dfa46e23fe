"""The bundle's configs, read without MONAI as MONAI reads them."""

from pathlib import Path
from typing import Any

import pytest
from monai.bundle import ConfigParser

from protoseg.workflows.engine_parts import CONFIGS
from protoseg.workflows.plain_config import NotPlain, PlainConfig

OVERLAYS = sorted(path.relative_to(CONFIGS).as_posix() for path in CONFIGS.rglob("*.yaml"))


def plain(text: str, folder: Path, **overrides: Any) -> PlainConfig:
    (folder / "config.yaml").write_text(text, encoding="utf-8")
    return PlainConfig.read([folder / "config.yaml"], overrides)


def monais(text: str, folder: Path, **overrides: Any) -> ConfigParser:
    (folder / "config.yaml").write_text(text, encoding="utf-8")
    config = ConfigParser()
    config.read_config(str(folder / "config.yaml"))
    config.update(overrides)
    return config


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_files_are_laid_over_each_other_as_by_monai(overlay: str) -> None:
    base = "inference.yaml" if overlay.split("/")[0] in ("refiners", "adaptation") else "train.yaml"
    below = ["pretraining/streamed.yaml"] if overlay == "pretraining/cooldown.yaml" else []
    files = [CONFIGS / name for name in (base, *below, overlay)]
    assert PlainConfig.read(files).content == ConfigParser.load_config_files([str(file) for file in files])


ENTRIES = """
imports:
  - $import os.path as paths
  - $import json
number: 7
twice: "$@number * 2"
nested: {list: [1, "@twice", {deep: "$[@number for _ in range(2)]"}]}
part: "@nested#list#2"
length: "$len(paths.join('a', 'b')) + np.int64(1)"
text: an @address of no entry
keyed: {_target_: collections.OrderedDict, a: "@twice", b: {_target_: fractions.Fraction, numerator: 3, denominator: 4}}
same: "@keyed"
half: {_target_: fractions.Fraction, _mode_: callable, denominator: 2}
bare: {_target_: json.dumps, _mode_: callable}
skipped: {_target_: fractions.Fraction, _disabled_: "$@number == 7", numerator: 1}
without: ["@number", {_target_: fractions.Fraction, _disabled_: true, numerator: 1}, 2]
method: "$@keyed.get('a')"
"""


@pytest.mark.parametrize(
    "name", ["twice", "nested", "part", "length", "text", "keyed", "method", "skipped", "without", "nested#list#1"]
)
@pytest.mark.parametrize("overrides", [{}, {"number": 8, "nested#list#0": "@number"}], ids=["", "overridden"])
def test_entries_are_made_as_by_monai(tmp_path: Path, name: str, overrides: dict[str, Any]) -> None:
    expected = monais(ENTRIES, tmp_path, **overrides).get_parsed_content(name)
    assert plain(ENTRIES, tmp_path, **overrides).get_parsed_content(name) == expected


def test_everything_is_made_once_and_callables_wait(tmp_path: Path) -> None:
    config = plain(ENTRIES, tmp_path)
    assert config.get_parsed_content("same") is config.get_parsed_content("keyed")
    assert config.get_parsed_content("half")(3) == config.get_parsed_content("half")(numerator=3) != 3
    assert config.get_parsed_content("bare")([1]) == "[1]"
    assert config.arguments("keyed#b") == {"numerator": 3, "denominator": 4}


def test_entries_are_found_by_their_ids(tmp_path: Path) -> None:
    config = plain(ENTRIES, tmp_path)
    assert [name in config for name in ("number", "nested#list#2#deep", "nested::list::3", "number#a", "none")] == [
        *(True, True),
        *(False, False, False),
    ]
    with pytest.raises(KeyError, match="none"):
        config.get_parsed_content("none")


@pytest.mark.parametrize(
    "entry",
    [
        '"%number"',
        '{a: 1, b: "@#a"}',
        "{_target_: Compose}",
        "{_target_: fractions.Fraction, _mode_: debug}",
        "{_target_: fractions.Nothing}",
        "{_target_: protoseg.data.preprocessing.transforms.Preprocessing, transforms: [{_target_: Orientationd}]}",
    ],
)
def test_the_rest_is_left_to_monai(tmp_path: Path, entry: str) -> None:
    with pytest.raises(NotPlain):
        plain(f"number: 1\nentry: {entry}\n", tmp_path).get_parsed_content("entry")
