"""Names of the version before are found under their new ones, with a warning."""

import importlib
import re
import sys

import pytest
from monai.bundle import ConfigParser

from protoseg.engine.one_shot import OneShotSettings
from protoseg.errors import InputError
from protoseg.losses.contrastive_pair import ContrastivePairLoss
from protoseg.losses.matching import MatchingLoss
from protoseg.matching.kernel_matching import KernelMatching
from protoseg.moved import CONFIG_IDS, MOVED, NAMES, UNSET, renamed_ids, renamed_settings
from protoseg.workflows.engine_parts import chosen_configs, config_files, open_config
from protoseg.workflows.same_run import check_same_run


@pytest.mark.parametrize(("old", "new"), MOVED.items())
def test_an_old_name_is_the_new_module(old, new):
    sys.modules.pop(old, None)
    with pytest.warns(FutureWarning, match=f"{old} is {new} now; use that name."):
        found = importlib.import_module(old)
    assert found is importlib.import_module(new)
    assert found.__name__ == found.__spec__.name == new


def test_what_never_was_is_not_found():
    with pytest.raises(ModuleNotFoundError):
        importlib.import_module("protoseg.maths.nothing")
    with pytest.raises(AttributeError, match=r"'protoseg\.matching\.kernel_matching' has no attribute 'Nothing'"):
        _ = importlib.import_module("protoseg.matching.kernel_matching").Nothing


@pytest.mark.parametrize(
    ("module", "old", "new"), [(module, *pair) for module, names in NAMES.items() for pair in names.items()]
)
def test_an_old_name_in_a_module_is_the_new_one(module, old, new):
    home, _, own = new.rpartition(".") if "." in new else (module, ".", new)
    with pytest.warns(FutureWarning, match=f"{module}.{old} is {home}.{own} now; use that name."):
        found = getattr(importlib.import_module(module), old)
    assert found is getattr(importlib.import_module(home), own)


def test_an_old_class_path_of_a_config_is_built():
    config = ConfigParser({"matching": {"_target_": "protoseg.maths.voting.CellVoting", "novelty": 0.7}})
    with pytest.warns(FutureWarning, match="CellVoting is protoseg.matching.kernel_matching.KernelMatching now"):
        matching = config.get_parsed_content("matching")
    assert isinstance(matching, KernelMatching)
    assert matching.rejection_threshold == 0.7


@pytest.mark.parametrize(
    ("make", "old", "value", "new"),
    [
        (KernelMatching, "novelty", 0.5, "rejection_threshold"),
        (KernelMatching, "novelty_slope", 1.5, "rejection_slope"),
        (OneShotSettings, "choice", "all", "support_selection"),
        (OneShotSettings, "components", "one", "component_filter"),
    ],
)
def test_an_old_argument_counts(make, old, value, new):
    with pytest.warns(FutureWarning, match=f"The argument {old} of {make.__name__} is {new} now; use that name."):
        assert getattr(make(**{old: value}), new) == value
    with pytest.warns(FutureWarning):
        assert getattr(make(**{old: value, new: getattr(make(), new)}), new) == value
    assert getattr(make(**{old: UNSET, new: value}), new) == value


def test_old_arguments_of_losses_count():
    with pytest.warns(FutureWarning, match="The argument cells of ContrastivePairLoss is patches now"):
        assert ContrastivePairLoss(labels=2, cells=7).patches == 7
    with pytest.warns(FutureWarning, match="The argument novelty of MatchingLoss is rejection_threshold now"):
        assert MatchingLoss(labels=2, novelty=0.6).voting.rejection_threshold == 0.6


def test_old_ids_are_given_as_new_ones():
    with pytest.warns(FutureWarning, match=r"^choice is support_selection now; use that name\.$"):
        assert renamed_ids({"choice": "all", "precision": "auto"}) == {"support_selection": "all", "precision": "auto"}
    with pytest.warns(FutureWarning, match=r"^readable is skip_unreadable now"):
        assert renamed_ids({"readable#loader#num_workers": 2}) == {"skip_unreadable#loader#num_workers": 2}
    with pytest.warns(FutureWarning, match=r"^work_list is sampler now"):
        assert renamed_ids({"work_list::resume": True}) == {"sampler::resume": True}
    assert renamed_ids({"choice": UNSET, "readable": "@skip_unreadable", "novelty": UNSET}) == {}


@pytest.mark.parametrize(("old", "value"), [("choice", "all"), ("components", "one"), ("novelty", 0.5)])
def test_an_old_id_sets_the_entry_of_a_config(tmp_path, old, value):
    new = CONFIG_IDS[old]
    with pytest.warns(FutureWarning, match=f"^{old} is {new} now"):
        assert open_config(**{old: value}).get_parsed_content(new) == value
    (tmp_path / "mine.yaml").write_text(f"{old}: {value}\n", encoding="utf-8")
    with pytest.warns(FutureWarning, match=f"^{old} is {new} now"):
        assert open_config(["inference.yaml", tmp_path / "mine.yaml"]).get_parsed_content(new) == value


@pytest.mark.parametrize(
    ("file", "place"),
    [("inference.yaml", "inferer"), ("train.yaml", "validate#inferer")],
)
def test_an_old_id_counts_for_monais_own_command(file, place):
    """It sets entries as they are called, and knows nothing of new names."""
    config = ConfigParser(ConfigParser.load_config_files([str(path) for path in config_files([file])]))
    config.update({"choice": "all", "components": "one", "novelty": 0.5, f"{place}#support": None})
    with pytest.warns(FutureWarning) as told:
        matching, inferer = config.get_parsed_content("matching"), config.get_parsed_content(place)
    assert matching.rejection_threshold == 0.5
    assert (inferer.settings.support_selection, inferer.settings.component_filter) == ("all", "one")
    assert {str(one.message).split(" is ")[1] for one in told} == {
        f"{CONFIG_IDS[old]} now; use that name." for old in ("choice", "components", "novelty")
    }


def test_a_new_id_counts_where_no_old_one_is_set(recwarn):
    config = open_config(**{"matching#rejection_threshold": 0.3, "support_selection": "nearest"})
    assert config.get_parsed_content("matching").rejection_threshold == 0.3
    assert config.get_parsed_content("support_selection") == "nearest"
    assert not [one for one in recwarn if issubclass(one.category, FutureWarning)]


@pytest.mark.parametrize(
    ("file", "encoder"),
    [
        ("encoders/pyramid.yaml", "fpn"),
        ("encoders/dinov2_vits14.yaml", "dinov2_vits14"),
        ("bundle/configs/encoders/clip_vitb16.yaml", "clip_vitb16"),
    ],
)
def test_what_was_a_file_chooses_an_encoder(file, encoder):
    with pytest.warns(FutureWarning, match=rf"^{file} is the option encoder={encoder} now"):
        paths, overrides = chosen_configs(["inference.yaml", file, "refiners/guided.yaml"], {"device": "cpu"})
    assert [path.name for path in paths] == ["inference.yaml", "guided.yaml"]
    assert overrides == {"device": "cpu", "encoder": encoder}
    with pytest.warns(FutureWarning):
        assert chosen_configs(["inference.yaml", file], {"encoder": "mae_vitb16"})[1] == {"encoder": "mae_vitb16"}


def test_a_file_that_is_there_is_read_whatever_its_name(tmp_path):
    mine = tmp_path / "encoders" / "mine.yaml"
    mine.parent.mkdir()
    mine.write_text("encoder: dinov2_vits14\n", encoding="utf-8")
    assert chosen_configs(["inference.yaml", mine], {})[0][1] == mine


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("encoder#encoder#channels", "encoder_def#channels"),
        ("encoder::encoder", "encoder_def"),
        ("train#handlers#3#average", "train#checkpoint#average"),
        ("preprocessing#transforms#3#margin", "preprocessing#margin"),
    ],
)
def test_entries_within_others_have_moved(old, new):
    with pytest.warns(FutureWarning, match=r"now; use that name\.$"):
        assert renamed_ids({old: 1}) == {new: 1}
    assert renamed_ids({"encoder#encoders": 1}) == {"encoder#encoders": 1}


def test_results_with_old_settings_are_of_the_same_run(tmp_path):
    old = {"matching": "CellVoting", "choice": "similar", "components": "support", "image_size": 256}
    new = {"matching": "KernelMatching", "support_selection": "similar", "component_filter": "support"}
    assert renamed_settings(old) == {**new, "image_size": 256}
    check_same_run(tmp_path / "a_seg.json", old, {**new, "image_size": 256})
    with pytest.raises(InputError, match=re.escape("support_selection was 'similar', now 'all'")):
        check_same_run(tmp_path / "a_seg.json", old, {**new, "image_size": 256, "support_selection": "all"})


def test_the_configs_old_ids_are_no_settings_of_a_run(tmp_path):
    new = {"support_selection": "similar", "rejection_threshold": 0.76}
    written = {**new, "choice": UNSET, "novelty": "@rejection_threshold"}
    check_same_run(tmp_path / "a_seg.json", written, written)
    check_same_run(tmp_path / "a_seg.json", written, new)
    check_same_run(tmp_path / "a_seg.json", new, written)
