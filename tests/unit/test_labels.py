"""Names, values and positions of labels, told apart in one place."""

import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from protoseg.errors import InputError
from protoseg.labels import LabelSet

ORGANS = LabelSet({"liver": 6, "spleen": 1, "kidney": 2})
label_sets = st.dictionaries(st.text(min_size=1, max_size=3), st.integers(1, 255), max_size=9).filter(
    lambda values: len(set(values.values())) == len(values)
)


def test_names_values_and_positions():
    assert ORGANS == {"liver": 6, "spleen": 1, "kidney": 2}
    assert list(ORGANS) == ["liver", "spleen", "kidney"], "in the order in which they were given"
    assert [ORGANS.position(name) for name in ORGANS] == [1, 2, 3]
    assert ORGANS.name_at(2) == "spleen"
    assert ORGANS.legend() == {"6": "liver", "1": "spleen", "2": "kidney"}
    assert str(ORGANS) == "{'liver': 6, 'spleen': 1, 'kidney': 2}"
    assert eval(repr(ORGANS)) == ORGANS
    assert pickle.loads(pickle.dumps(ORGANS)) == ORGANS


def test_they_do_not_change_when_what_they_were_made_from_does():
    values = {"liver": 6}
    labels = LabelSet(values)
    values["spleen"] = 1
    assert labels == {"liver": 6}
    assert hash(labels) == hash(LabelSet({"liver": 6}))
    with pytest.raises(TypeError):
        labels["spleen"] = 1


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"liver": 0}, "The label 'liver' has the value 0, expected an integer from 1 to 255"),
        ({"liver": 256}, "has the value 256"),
        ({"liver": 1.0}, "has the value 1.0"),
        ({"liver": True}, "has the value True"),
        ({1: 1}, "The label 1 has the value 1"),
        ({"liver": 1, "spleen": 1}, "Two of the labels {'liver': 1, 'spleen': 1} have one value"),
    ],
)
def test_values_that_label_maps_cannot_hold_are_refused(values, message):
    with pytest.raises(InputError, match=message):
        LabelSet(values)


def test_some_of_them():
    assert list(ORGANS.only(["kidney", "liver", "stomach"])) == ["liver", "kidney"]
    assert ORGANS.without("liver") == {"spleen": 1, "kidney": 2}
    assert ORGANS.with_values({"kidney": 4, "liver": 5, "spleen": 9, "stomach": 1}) == {
        "liver": 5,
        "spleen": 9,
        "kidney": 4,
    }


def test_more_of_them_get_the_lowest_free_values():
    assert ORGANS.with_names(["stomach", "liver", "aorta"]) == {**ORGANS, "stomach": 3, "aorta": 4}
    full = LabelSet({f"label_{value}": value for value in range(1, 256)})
    assert full.with_names(["label_7"]) == full
    with pytest.raises(InputError, match="There are 255 labels already"):
        full.with_names(["liver"])


def test_values_give_way_to_those_of_others():
    others = LabelSet({"spleen": 3, "aorta": 6})
    beside = ORGANS.beside(others)
    assert beside == {"liver": 1, "spleen": 3, "kidney": 2}
    assert list(beside) == list(ORGANS)
    assert list(others.merge(beside)) == ["spleen", "aorta", "liver", "kidney"]


@given(label_sets, label_sets)
def test_beside_others_there_is_no_clash(mine, others):
    beside = LabelSet(mine).beside(LabelSet(others))
    assert set(LabelSet(others).merge(beside)) == {*mine, *others}
    for name in mine.keys() - others.keys():
        assert (beside[name] == mine[name]) == (mine[name] not in others.values()), "a value is kept where it can be"


@pytest.mark.parametrize("other", [{"liver": 5}, {"stomach": 6}])
def test_sets_that_disagree_are_not_merged(other):
    with pytest.raises(InputError, match="Supports disagree about label values"):
        ORGANS.merge(LabelSet(other))


def test_masks_are_numbered_by_other_labels():
    others = LabelSet({"aorta": 7, "kidney": 9, "liver": 4})
    assert ORGANS.positions_in(others).tolist() == [0, 3, 0, 2]
    assert ORGANS.positions_in(others, only=["kidney"]).tolist() == [0, 0, 0, 2]


@given(label_sets)
def test_values_come_back_from_positions(values):
    labels = LabelSet(values)
    label_map = np.arange(256, dtype=np.uint8).reshape(16, 16)
    positions = labels.to_positions(label_map)
    assert positions.max(initial=0) == len(labels)
    expected = np.where(np.isin(label_map, list(labels.values())), label_map, 0)
    np.testing.assert_array_equal(labels.to_values(positions), expected)
    assert all((positions[label_map == value] == labels.position(name)).all() for name, value in labels.items())
