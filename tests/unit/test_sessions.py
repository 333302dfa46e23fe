"""Prompts of clients, step by step: undo and redo, and the bounds of what is kept."""

import random
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "monailabel_app"))

from lib.sessions import store
from lib.sessions.prompts import MOST_STEPS, PromptHistory, Prompts
from lib.sessions.store import Owner, PromptSessions

ANNA = Owner("anna", "tab1", "person0")
MOVES = st.lists(
    st.tuples(st.sampled_from(["liver", "spleen"]), st.integers(0, 3)) | st.sampled_from(["undo", "redo"]), max_size=30
)


def clicks(label, count):
    return Prompts("oneshot_click_one", label, {"foreground": [[i, i, i] for i in range(count)]} if count else {})


def counts(history):
    return {one.label: len(one.params["foreground"]) for one in history.prompts}


@settings(max_examples=60, deadline=None, derandomize=True, database=None)
@given(MOVES)
def test_undo_and_redo_go_back_and_forth_through_the_states(moves):
    history = PromptHistory()
    states, place = [{}], 0
    for move in moves:
        if move == "undo":
            history, changed = history.undone()
            assert (changed is None) == (place == 0)
            place = max(0, place - 1)
        elif move == "redo":
            history, changed = history.redone()
            assert (changed is None) == (place == len(states) - 1)
            place = min(len(states) - 1, place + 1)
        else:
            history = history.recorded(clicks(*move), "now")
            after = {**states[place], move[0]: move[1]}
            after = {label: count for label, count in after.items() if count}
            if after != states[place]:
                states, place = [*states[: place + 1], after], place + 1
        assert counts(history) == states[place]
        assert (history.done, len(history.steps)) == (place, len(states) - 1)
        assert PromptHistory.of_content(history.content()) == history


def test_the_oldest_steps_are_given_up_and_the_prompts_stay():
    history = PromptHistory().recorded(clicks("spleen", 2), "now")
    for count in range(1, MOST_STEPS + 6):
        history = history.recorded(clicks("liver", count), "now")
    assert (len(history.steps), counts(history)) == (MOST_STEPS, {"spleen": 2, "liver": MOST_STEPS + 5})
    for _ in range(MOST_STEPS):
        history, changed = history.undone()
        assert changed is not None
    assert counts(history) == {"spleen": 2, "liver": 5}
    assert history.undone() == (history, None)


def test_sessions_are_apart_and_survive(tmp_path):
    sessions = PromptSessions(tmp_path)
    sessions.record(ANNA, clicks("liver", 1))
    sessions.record(ANNA, clicks("liver", 2))
    for other in (ANNA._replace(user="bob"), ANNA._replace(client="tab2"), ANNA._replace(image="person1")):
        assert sessions.read(other) == PromptHistory()
        assert sessions.undo(other) == (PromptHistory(), None)
    again = PromptSessions(tmp_path)
    assert counts(again.undo(ANNA)[0]) == {"liver": 1}
    assert counts(PromptSessions(tmp_path).redo(ANNA)[0]) == {"liver": 2}
    (file,) = tmp_path.iterdir()
    file.write_text("{", encoding="utf-8")
    assert again.read(ANNA) == PromptHistory(), "a damaged file is an empty session, no error"
    again.forget(ANNA)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "params",
    [
        {"foreground": [[1, 2, float("nan")]]},
        {"foreground": [[0, 0, 0]] * 10000},
        {"x": [[[[[[[[[1]]]]]]]]]},
        {"x": "\ud800"},
    ],
)
def test_what_cannot_be_answered_is_not_kept(tmp_path, params):
    sessions = PromptSessions(tmp_path)
    sessions.record(ANNA, Prompts("oneshot_click", "", params))
    assert sessions.read(ANNA) == PromptHistory()


def test_large_sessions_are_shortened(tmp_path, monkeypatch):
    monkeypatch.setattr(store, "LARGEST_SESSION", 4000)
    sessions = PromptSessions(tmp_path)
    for count in range(1, 40):
        sessions.record(ANNA, clicks("liver", count))
    (file,) = tmp_path.iterdir()
    assert file.stat().st_size <= 4000
    assert counts(sessions.read(ANNA)) == {"liver": 39}
    assert sessions.undo(ANNA)[1] is not None


def test_a_user_who_makes_sessions_without_end_loses_their_own(tmp_path, monkeypatch):
    monkeypatch.setattr(store, "MOST_SESSIONS", 20)
    sessions = PromptSessions(tmp_path)
    for image in range(5):
        sessions.record(ANNA._replace(image=f"person{image}"), clicks("liver", 1))
    clients = [str(number) for number in range(1000)]
    random.Random(0).shuffle(clients)
    for client in clients[:100]:
        sessions.record(Owner("mallory", client, "person0"), clicks("liver", 1))
    assert len(list(tmp_path.iterdir())) == 20
    assert all(sessions.read(ANNA._replace(image=f"person{image}")).done for image in range(5))
    kept = [client for client in clients[:100] if sessions.read(Owner("mallory", client, "person0")).done]
    assert kept == clients[85:100], "the last ones"
