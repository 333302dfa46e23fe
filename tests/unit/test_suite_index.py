"""The list of sets that a suite is run on."""

import json

import pytest
from suite_sets import listed, scan

from protoseg.errors import InputError
from protoseg.workflows.suite.index import read_index


@pytest.fixture
def read(tmp_path):
    def write_and_read(content, **options):
        path = tmp_path / "index.json"
        path.write_text(content if isinstance(content, str) else json.dumps(content))
        return read_index(path, **options)

    return write_and_read


def names(one):
    return [(pair.support_name, pair.query.name) for pair in one.pairs]


def test_pairs_are_those_to_do(read, tmp_path):
    (one,) = read(
        listed(todo=[[scan("a"), scan("b")], [[scan("a"), scan("b")], scan("c", read_as="mr")]], read_as="ct")
    )
    assert names(one) == [
        ("images/a.nii.gz", "images/b.nii.gz"),
        ("images/a.nii.gz; images/b.nii.gz", "images/c.nii.gz"),
    ]
    first, second = one.pairs
    assert first.query.label == tmp_path / "labels/b.nii.gz"
    assert first.labels == {"kidney": 2}
    assert (second.supports[1].read_as, second.query.read_as) == ("ct", "mr")
    assert first.file.parent == second.file.parent and first.file != second.file


def test_without_a_list_every_two_subjects_are_paired(read):
    scans = [scan("a1", subject="a"), scan("a2", subject="a"), scan("b", subject="b")]
    (one,) = read(listed(pairs=scans))
    assert {(support[7:9], query[7:9]) for support, query in names(one)} == {
        ("a1", "b."),
        ("a2", "b."),
        ("b.", "a1"),
        ("b.", "a2"),
    }


def test_scans_of_one_file_name_have_results_of_their_own(read):
    pairs = [{"image": f"{person}/image.nii", "label": f"{person}/label.nii"} for person in "abc"]
    (one,) = read(listed(pairs=pairs))
    assert len({pair.file for pair in one.pairs}) == 6


def test_sets_are_chosen_by_name_and_pairs_by_number(read):
    content = [*listed(), {**listed()[0], "name": "kidneys_mr"}, {**listed()[0], "name": "livers"}]
    assert [one.name for one in read(content, only=["kidneys"])] == ["kidneys"]
    assert [one.name for one in read(content, only=["kid*", "livers"])] == ["kidneys", "kidneys_mr", "livers"]
    assert names(read(content, limit=2)[0]) == [names(read(content)[0])[place] for place in (0, 3)]


@pytest.mark.parametrize(
    ("content", "options", "told"),
    [
        ("[{", {}, "is not a JSON file"),
        ({"name": "a"}, {}, 'found {"name": "a"}, expected a list of sets'),
        ([{"labels": {}}], {}, "set 0 has no name"),
        (listed(labels={}), {}, "kidneys: labels: found {}, expected a mapping"),
        (listed() * 2, {}, "several sets are named kidneys"),
        (listed(pairs=[scan("a")]), {}, "kidneys: there is nothing to segment"),
        (listed(pairs=["a.nii"]), {}, r'kidneys: pairs\[0\]: found "a.nii", expected {"image"'),
        (listed(todo=[scan("a")]), {}, r"kidneys: todo\[0\]: found .*, expected \[support, query\]"),
        (listed(todo=[[[], scan("a")]]), {}, r"kidneys: todo\[0\]: found .*, expected \[support, query\]"),
        (listed(todo=[[scan("a"), scan("a")]]), {}, "images/a.nii.gz is to be segmented from itself"),
        (listed(todo=[[scan("a"), scan("b")]] * 2), {}, "images/a.nii.gz -> images/b.nii.gz is listed twice"),
        (listed(), {"only": ["liver"]}, "has no set 'liver'; its sets are kidneys. Correct --only"),
        (listed(), {"limit": 0}, "--limit is 0; it must be at least 1 pair"),
    ],
)
def test_an_index_that_cannot_be_used_is_refused(read, content, options, told):
    with pytest.raises(InputError, match=told):
        read(content, **options)


def test_a_missing_index_is_told(tmp_path):
    with pytest.raises(InputError, match=r"none\.json cannot be opened"):
        read_index(tmp_path / "none.json")
