"""What a server holds does not grow with each training."""

import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

APP = Path(__file__).parents[2] / "monailabel_app"
WEIGHTS = APP.parent / "bundle" / "models" / "model.pt"


@pytest.fixture(autouse=True)
def app(monkeypatch):
    monkeypatch.syspath_prepend(str(APP))


def test_click_sessions_of_other_weights_are_dropped():
    from lib.click_sessions import ClickSessions

    engine = SimpleNamespace(refiner=None, slice_segmenter=None)
    sessions, scan = ClickSessions(engine), SimpleNamespace(key="scan", image=torch.zeros(1, 8, 8, 2))
    library = SimpleNamespace(key="library", support=None)

    def of_weights(name, client):
        engine.encoder = lambda: SimpleNamespace(fingerprint=lambda: name)
        with sessions.session(client, "person0", scan, labels={}, labelled=library, settings=None) as session:
            return session

    before = of_weights("shipped", "anna")
    assert of_weights("shipped", "bert") is not before
    assert of_weights("shipped", "anna") is before
    adapted = of_weights("adapted", "bert")
    assert [session for session, _ in sessions._sessions.values()] == [adapted]


def test_a_training_that_changes_nothing_leaves_the_network(tmp_path):
    from lib.engine import Engine
    from lib.options import Options

    engine = Engine(Options(), tmp_path)
    network = engine.encoder().network
    engine.adapted_weights.parent.mkdir()
    shutil.copy(WEIGHTS, engine.adapted_weights)
    assert engine.encoder().network is network
