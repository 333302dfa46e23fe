"""A server that clients drive for minutes, each of which knows what is right."""

from __future__ import annotations

import tempfile
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from threading import Event, Thread

from psutil import Process
from tqdm import tqdm

from campaigns.app_server import running_server, write_studies
from campaigns.clients import NONE, ROLES, SUBMITTED, Scene, first_labels, put
from campaigns.questions import Finding, Http, RightAnswers, States
from campaigns.vitals import Vitals

__all__ = ["LoadTally", "drive", "learn"]

# So small steps that the weights stay as they are, to the bit: answers stay right while they are trained and replaced.
TRAINING = {"max_epochs": 1, "epoch_length": 50, "learning_rate": 1e-60}
LOOKS_AT_TRAINING = 2.0  # seconds
PAUSE = 1.0  # after what nobody foresaw, such as a server that is gone


@dataclass
class LoadTally:
    """The outcomes of a server under load."""

    clients: int
    training: bool
    seconds: float = 0.0
    rounds: Counter[str] = field(default_factory=Counter)  # of clients, by what they do
    compared: int = 0  # answers, to the right ones
    vitals: Vitals = field(default_factory=Vitals)
    findings: Counter[str] = field(default_factory=Counter)

    def judge(self) -> None:
        """Add growing measurements to the findings."""
        self.findings += Counter(f"{name}: not flat" for name, one in self.vitals.trends().items() if not one.flat)


def drive(minutes: float, clients: int, *, training: bool = False) -> LoadTally:
    """Start the app over synthetic studies, learn its answers by a single client, then let several ask for minutes.

    Args:
        minutes: duration in minutes, without the start and the single client.
        clients: number of clients; the first changes the library, the others ask for answers.
        training: True to let one more client train the network all the time.
    """
    tally = LoadTally(clients, training)
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        studies = write_studies(place)
        with running_server(studies, place) as (address, server):
            scene = Scene.of(studies, place, RightAnswers(States.beginning(NONE)))
            with Http(address) as http:
                first_labels(scene, http, place)
                learn(scene, http, clients)
            _drive_all(tally, scene, address, server, 60 * minutes)
        tally.compared = scene.answers.compared
    tally.judge()
    return tally


def learn(scene: Scene, http: Http, clients: int) -> None:
    """Ask everything in every state of the library, in the first one twice, and take a round of each kind.

    Raises:
        RuntimeError: all states have the same answers, so that a mixed one would not be found.
    """
    states = (NONE, *SUBMITTED)
    asked = dict.fromkeys(question for number in range(clients) for question in scene.questions(number))
    for state in tqdm((*states, NONE), "answers of a single client", unit="state", disable=None):
        put(scene, http, state)
        for question in asked:
            if question.of_library or state == NONE:
                scene.answers.learn(http, question)
    known = scene.answers.digests
    if not any(len({known[one, state] for state in states}) == len(states) for one in asked if one.of_library):
        raise RuntimeError("The answers are the same whatever is labelled.")
    for number, role in enumerate(ROLES[:clients]):
        role(scene, http, number)


def _drive_all(tally: LoadTally, scene: Scene, address: str, server: Process, seconds: float) -> None:
    stop, place = Event(), scene.studies.folder
    folders = {"files of the app": place / ".protoseg", "temporary files": place.parent / "tmp"}
    watcher = Thread(target=tally.vitals.watch, args=(address, server, folders, stop))
    begin = time.monotonic()
    rounds: list[Callable[[Http], None]] = []
    for number in range(tally.clients):
        role = ROLES[number if number < len(ROLES) else 1 + number % (len(ROLES) - 1)]
        rounds.append(partial(role, scene, number=number))
    if tally.training:
        rounds.append(partial(_train, stop=stop))
    watcher.start()
    with ThreadPoolExecutor(len(rounds)) as pool:
        jobs = [pool.submit(_repeat, one, address, stop) for one in rounds]
        with suppress(KeyboardInterrupt):  # ends it, and what was seen until then is told
            _wait(seconds)
        stop.set()
        for job in jobs:
            done, findings = job.result()
            tally.rounds += done
            tally.findings += findings
    watcher.join()
    tally.seconds = time.monotonic() - begin
    tally.findings += Counter(tally.vitals.failures)


def _wait(seconds: float) -> None:
    end = time.monotonic() + seconds
    with tqdm(desc="driving", unit="s", total=round(seconds), disable=None) as bar:
        while (left := end - time.monotonic()) > 0:
            time.sleep(min(1.0, left))
            bar.update()


def _repeat(role: Callable[..., None], address: str, stop: Event) -> tuple[Counter[str], Counter[str]]:
    """Take one round after another; give their number by what they do, and the findings."""
    done: Counter[str] = Counter()
    findings: Counter[str] = Counter()
    name = role.func.__name__.strip("_")  # type: ignore[attr-defined]
    while not stop.is_set():
        with Http(address) as http:
            try:
                role(http=http)
            except Finding as finding:
                findings[f"{name}: {finding}"] += 1
            except Exception as error:  # of the connection, or an answer of another form
                findings[f"{name}: {type(error).__name__}"] += 1
                stop.wait(PAUSE)
        done[name] += 1
    return done, findings


def _train(http: Http, stop: Event) -> None:
    """Train from start to end, or stop when the time is over."""
    http.send("POST", "/train/adapt", json=TRAINING)
    while not stop.wait(LOOKS_AT_TRAINING):
        task = http.send("GET", "/train/").json()
        if task["status"] not in ("SUBMITTED", "RUNNING"):
            stats = http.send("GET", "/info/").json()["train_stats"]["adapt"]
            if task["status"] != "DONE" or stats.get("used") is not True:
                raise Finding(f"{task['status']}, {stats.get('message')}")
            return
    http.send("DELETE", "/train/")
