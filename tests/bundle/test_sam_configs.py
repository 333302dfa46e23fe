"""The override files that choose SAM or MedSAM as the refiner."""

from pathlib import Path

import pytest
from monai.bundle import ConfigParser

from protoseg.engine.refiners.sam import SamRefiner
from protoseg.engine.refiners.sam_prompts import BOXES_ONLY, PromptSettings
from protoseg.errors import InputError
from protoseg.sam import model as sam_module

CONFIGS = Path(__file__).parents[2] / "bundle" / "configs"
NAMES = ["sam_vit_b", "sam_vit_l", "sam_vit_h", "medsam_vit_b"]


def parse(name: str, **overrides: object) -> ConfigParser:
    files = [str(CONFIGS / "inference.yaml"), str(CONFIGS / "refiners" / f"{name}.yaml")]
    parser = ConfigParser(ConfigParser.load_config_files(files))
    parser.update(overrides)
    return parser


@pytest.mark.parametrize("name", NAMES)
def test_absent_weights_are_asked_for_by_name_and_place(name, tmp_path):
    with pytest.raises(RuntimeError) as caught:  # MONAI wraps what a component raises
        parse(name, bundle_root=str(tmp_path)).get_parsed_content("refiner")
    error: BaseException | None = caught.value
    while error is not None and not isinstance(error, InputError):
        error = error.__cause__
    assert str(error).startswith(f"Weights file {tmp_path}/models/{name}")
    assert f"protoseg fetch {name}" in str(error)


@pytest.mark.parametrize("name", NAMES)
def test_the_refiner_is_built(name, monkeypatch):
    class LoadedSam:
        def __init__(self, path, variant, *, device, precision):
            assert variant == name
            self.boxes_only = variant.startswith("medsam")

    monkeypatch.setattr(sam_module, "load_sam", LoadedSam)
    refiner = parse(name, device="cpu").get_parsed_content("refiner")
    assert isinstance(refiner, SamRefiner)
    assert refiner.prompts == (BOXES_ONLY if name.startswith("medsam") else PromptSettings())


def test_prompts_are_one_override_away(monkeypatch):
    monkeypatch.setattr(sam_module, "load_sam", lambda **_: type("Sam", (), {"boxes_only": False}))
    changed = {"refiner#prompts#points": "both", "refiner#prompts#negatives": 0, "refiner#min_dice": 0.7}
    refiner = parse("sam_vit_b", device="cpu", **changed).get_parsed_content("refiner")
    assert (refiner.prompts.points, refiner.prompts.negatives, refiner.min_dice) == ("both", 0, 0.7)
