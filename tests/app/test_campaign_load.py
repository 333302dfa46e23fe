"""The part of scripts/campaign that drives a server: it finds what is planted; and a round of each client."""

import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "scripts"))

from campaigns.app_server import Studies
from campaigns.clients import NONE, ROLES, Scene, first_labels
from campaigns.load import LoadTally, learn
from campaigns.load_report import load_table
from campaigns.questions import Finding, Http, Question, RightAnswers, States
from campaigns.vitals import Vitals, trend_of

HOUR = np.arange(0, 3600, 2.0)
NOISE = np.random.default_rng(0).normal(0, 20, HOUR.size)


@pytest.mark.parametrize(
    ("values", "flat"),
    [
        (1000 + NOISE, True),
        (1000 + 500 * np.minimum(HOUR / 1000, 1) + NOISE, True),  # caches that fill
        (1000 + HOUR / 12 + NOISE, False),  # 300 in the hour
        (1000 - HOUR / 12 + NOISE, True),
        (1000 + NOISE + 900 * (HOUR % 600 < 60), True),  # what a request takes for a moment
    ],
)
def test_what_grows_to_the_end_is_not_flat(values: np.ndarray, flat: bool) -> None:
    assert trend_of(HOUR, values, least=1.0).flat is flat


def test_counts_of_a_few_are_not_told_from_none() -> None:
    few, many = (10 + (HOUR > 2000) * rise * (HOUR - 2000) / 1600 for rise in (2.0, 9.0))
    assert trend_of(HOUR, few, least=3.0).flat
    assert not trend_of(HOUR, many, least=3.0).flat


class Answers:
    """A client that is given these answers."""

    def __init__(self, *digests: str) -> None:
        self.digests = list(digests)

    def infer(self, question: Question, **_: object) -> str:
        return self.digests.pop(0)


MINE = Question("oneshot", "person2", "{}", of_library=True)
OTHER = Question("oneshot", "person3", "{}", of_library=True)


@pytest.fixture
def answers() -> RightAnswers:
    known = RightAnswers(States.beginning("a"))
    known.learn(Answers("mine of a"), MINE)
    known.learn(Answers("other of a"), OTHER)
    with known.states.change("b"):
        pass
    known.learn(Answers("mine of b"), MINE)
    return known


def test_an_answer_is_that_of_a_state_there_was_meanwhile(answers: RightAnswers) -> None:
    answers.compare(Answers("mine of b"), MINE)
    with pytest.raises(Finding, match="a wrong answer, which is that of oneshot in a"):
        answers.compare(Answers("mine of a"), MINE)
    with answers.states.change("a"):
        answers.compare(Answers("mine of a"), MINE)
        answers.compare(Answers("mine of b"), MINE)
    answers.compare(Answers("mine of a"), MINE)
    with pytest.raises(Finding, match="which is that of oneshot in b"):
        answers.compare(Answers("mine of b"), MINE)
    with pytest.raises(Finding, match="a wrong answer of no question"):
        answers.compare(Answers("noise"), MINE)
    with pytest.raises(Finding, match="which is that of oneshot in a"):
        answers.compare(Answers("other of a"), MINE)
    assert answers.compared == 8


def test_a_server_that_is_of_two_minds_is_found_before_it_is_driven(answers: RightAnswers) -> None:
    with pytest.raises(Finding, match="two answers while nobody else asks"):
        answers.learn(Answers("mine of c"), MINE)


def test_clients_at_once_are_answered_rightly(start, studies, dataset, tmp_path) -> None:
    client = start(image_size="64")
    scene = Scene.of(Studies(studies, dataset / "labels", people=3), tmp_path, RightAnswers(States.beginning(NONE)))
    http = Http("", client.http)
    first_labels(scene, http, tmp_path)
    learn(scene, http, clients=1)
    with ThreadPoolExecutor(len(ROLES)) as pool:
        for done in [pool.submit(role, scene, http, 0) for role in ROLES]:
            done.result()
    assert scene.answers.compared == 10


def test_the_table_tells_what_was_driven_and_found() -> None:
    looks = Vitals(list(HOUR), {"threads": list(1000 + HOUR)}, [0.01] * 10)
    load = LoadTally(8, training=False, seconds=3600, compared=5, vitals=looks)
    load.judge()
    text = load_table("scripts/campaign --server 60", load)
    assert "60.0 minutes, 8 clients" in text
    assert "`/info/` took 10 ms in the median, 10 ms at the 99th percentile of 10." in text
    assert "| threads | 1179 | 3699 | 4598 | +3600.0 | not flat |" in text
    assert "- threads: not flat: 1" in text
