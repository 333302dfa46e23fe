"""Kinds of series, and the rule by which examples serve a query of a kind."""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from protoseg.data.support.series_kind import TAGS, labels_that_serve, series_kind

KINDS = ["", "CT", "CT portal", "MR", "MR T1", "MR T1 contrast", "MR T1 in phase", "MR T2", "MR DWI"]
EXAMPLES = st.lists(st.tuples(st.sampled_from(KINDS), st.sets(st.sampled_from("abc"), min_size=1)), max_size=6)
QUICK = settings(max_examples=60, deadline=None, derandomize=True, database=None)


@pytest.mark.parametrize(
    ("kind", "tags"),
    [
        ("", {}),
        ("", {"Modality": "", "SeriesDescription": "t2_tse"}),
        ("CT", {"Modality": "CT", "SeriesDescription": "Abdomen 5.0 B30f", "EchoTime": 80}),
        ("CT portal", {"Modality": "CT", "SeriesDescription": "Abd_portalvenous", "ContrastBolusAgent": "Ultravist"}),
        ("CT arterial", {"Modality": "CT", "ProtocolName": "Liver ART 1.0"}),
        ("CT contrast", {"Modality": "CT", "ContrastBolusAgent": "Ultravist"}),
        ("CT native", {"Modality": "CT", "SeriesDescription": "NATIVE 3.0"}),
        ("MR T2", {"Modality": "MR", "SeriesDescription": "t2_haste_tra"}),
        ("MR T2", {"Modality": "MR", "SeriesDescription": "SPIR", "EchoTime": "70"}),
        ("MR T1 in phase", {"Modality": "MR", "SeriesDescription": "T1-DUAL in phase"}),
        ("MR T1 opposed phase", {"Modality": "MR", "SeriesDescription": "t1_fl2d_opp_tra"}),
        ("MR T1", {"Modality": "MR", "SequenceName": "*fl3d1"}),
        ("MR T1 portal", {"Modality": "MR", "ProtocolName": "vibe_fs_tra_PV", "ContrastBolusAgent": "Gadovist"}),
        ("MR T1 contrast", {"Modality": "MR", "SeriesDescription": "T1 ax", "ContrastBolusAgent": "Gadovist"}),
        ("MR T1", {"Modality": "MR", "SeriesDescription": "coronal", "EchoTime": 2.3}),
        ("MR DWI", {"Modality": "MR", "SequenceName": "*ep_b800t", "SeriesDescription": "t2 weighted planar"}),
        ("MR ADC", {"Modality": "MR", "SeriesDescription": "dwi_tra_ADC"}),
        ("MR FLAIR", {"Modality": "MR", "SeriesDescription": "t2_tirm_tra_dark-fluid"}),
        ("MR", {"Modality": "MR", "SeriesDescription": "localizer", "EchoTime": 30}),
        ("US", {"Modality": "us", "SeriesDescription": "t1"}),
    ],
)
def test_tags_tell_the_kind(kind, tags):
    assert series_kind(tags) == kind


@QUICK
@given(st.dictionaries(st.sampled_from(TAGS), st.none() | st.text(max_size=20) | st.floats() | st.binary(max_size=4)))
def test_whatever_tags_hold_the_kind_is_a_short_text(tags):
    kind = series_kind(tags)
    assert len(kind) < 40
    assert kind.isprintable()
    assert kind == kind.strip()


@QUICK
@given(st.sampled_from(KINDS), EXAMPLES, st.randoms(use_true_random=False))
def test_examples_of_the_querys_kind_serve_first_and_no_label_is_lost(kind, examples, order: random.Random):
    serving = labels_that_serve(kind, examples)
    assert all(served <= labels for served, (_, labels) in zip(serving, examples, strict=True))
    assert set().union(*serving) == set().union(*(labels for _, labels in examples)), "no label is lost"
    for label in set().union(*serving):
        of_kind = [i for i, (other, labels) in enumerate(examples) if other == kind and label in labels]
        if kind and of_kind:
            assert [i for i, served in enumerate(serving) if label in served] == of_kind
    if not kind or {other for other, _ in examples} <= {kind}:
        assert serving == [labels for _, labels in examples], "as if there were no kinds"
    places = list(range(len(examples)))
    order.shuffle(places)
    shuffled = labels_that_serve(kind, [examples[i] for i in places])
    assert shuffled == [serving[i] for i in places], "their order does not matter"


def test_others_serve_from_the_nearest_on():
    examples = [("CT", {"a"}), ("", {"a"}), ("MR T2", {"a"}), ("MR T1 contrast", {"a"}), ("CT", {"b"})]
    order = [{3}, {1, 2}, {0}]
    for expected in order:
        serving = labels_that_serve("MR T1", examples)
        assert {i for i, served in enumerate(serving) if "a" in served} == expected
        assert serving[4] == {"b"}, "a label that no nearer example shows"
        examples = [example if i not in expected else (example[0], set()) for i, example in enumerate(examples)]
