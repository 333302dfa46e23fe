"""Label one, get the rest, in 3D Slicer and OHIF: `monailabel start_server --app monailabel_app --studies FOLDER`."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable
from typing import Any

import psutil
import requests
from monailabel.interfaces.app import MONAILabelApp
from monailabel.interfaces.datastore import Datastore
from monailabel.interfaces.tasks.infer_v2 import InferTask
from monailabel.interfaces.tasks.scoring import ScoringMethod
from monailabel.interfaces.tasks.strategy import Strategy
from monailabel.interfaces.tasks.train import TrainTask

from lib.audit import AuditLog
from lib.background import Background, Traffic
from lib.batch import PatientBatchInfer
from lib.click_sessions import ClickSessions
from lib.context import Context
from lib.engine import Engine
from lib.infers.oneshot import OneShot
from lib.infers.oneshot_click import AllLabelsClick, OneLabelClick
from lib.infers.oneshot_scribbles import Scribbles
from lib.library.agreements import Agreements
from lib.library.examples import Examples
from lib.library.importing import remove_incoming
from lib.library.record import RecordFile
from lib.options import read_options
from lib.rest.routes import serve_library
from lib.scoring import Certainty, Novelty
from lib.server import patch_server
from lib.server.folder_datastore import FolderDatastore
from lib.server.keys import read_keys
from lib.server.roles import Access
from lib.sessions.carrying import Carrying
from lib.sessions.store import PromptSessions
from lib.sessions.submits import Submits
from lib.strategies import ByScore
from lib.studies import state_folder
from lib.trainers.adapt import Adapt
from protoseg import __version__
from protoseg.data.support.label_registry import LabelRegistry
from protoseg.data.support.library import SupportLibrary
from protoseg.errors import InputError

logger = logging.getLogger(__name__)

patch_server()
serve_library()


class ProtosegApp(MONAILabelApp):
    """One-shot segmentation: structures labelled in one image are found in the others."""

    def __init__(self, app_dir: str, studies: str, conf: dict[str, str]) -> None:
        self.options = read_options(conf)
        self.access = Access(self.options, read_keys(self.options.api_keys))
        super().__init__(
            app_dir=app_dir,
            studies=studies,
            conf=conf,
            name="protoseg",
            description="Label one slice or scan, get that structure in every slice of every scan",
            version=__version__,
        )
        self._background = Background(self._score, self.context.traffic)

    def init_datastore(self) -> Datastore:
        """Open the studies, and the state kept about them."""
        datastore = super().init_datastore()
        folder = state_folder(datastore)
        engine = Engine(self.options, folder)
        registry = LabelRegistry(folder / "labels.json")
        library = SupportLibrary(
            folder / "supports",
            registry,
            transform=engine.parts.preprocessing,
            image_size=engine.parts.image_size,
            adjacent_slices=engine.encoder().adjacent_slices,
            magnification=engine.parts.magnification,
            slices=self.options.support_slices,
            limit=self.options.max_support_slices,
            limits=self.options.max_label_slices,
        )
        record = RecordFile(folder / "library.json")
        traffic = Traffic()
        agreements = Agreements(library, traffic)
        self.context = Context(self.options, engine, datastore, registry, library, record, traffic, agreements)
        self.examples = Examples(self.context, folder / "removed")
        self.audit = AuditLog(folder / "audit.jsonl", lambda: engine.encoder().fingerprint())
        self.prompts = PromptSessions(folder / "sessions")
        assert isinstance(datastore, FolderDatastore)
        self.submits = Submits(datastore, self.options.label_names)
        self.carrying = Carrying(datastore)
        self.folder = folder
        return datastore

    def init_infers(self) -> dict[str, InferTask]:
        """Make the models."""
        sessions = ClickSessions(self.context.engine)
        return {
            "oneshot": OneShot(self.context),
            "oneshot_click": AllLabelsClick(self.context, sessions),
            "oneshot_click_one": OneLabelClick(self.context, sessions),
            "oneshot_scribbles": Scribbles(self.context),
        }

    def init_trainers(self) -> dict[str, TrainTask]:
        """Make the trainings."""
        return {"adapt": Adapt(self.context, self.folder / "training")} if self.options.adapt else {}

    def init_strategies(self) -> dict[str, Strategy]:
        """Make the strategies that choose the next image."""
        return {
            "least_certain": ByScore(
                "estimated_dice", highest=False, description="The image that is probably segmented worst"
            ),
            "most_different": ByScore(
                "novelty", highest=True, description="The image that looks least like the labelled ones"
            ),
        }

    def init_scoring_methods(self) -> dict[str, ScoringMethod]:
        """Make the scores that the strategies use."""
        return {"estimated_dice": Certainty(self.context), "novelty": Novelty(self.context)}

    def init_batch_infer(self) -> Callable:
        """Make the inference over many images."""
        return PatientBatchInfer()

    def infer(self, request: dict[str, Any], datastore: Datastore | None = None) -> dict[str, Any]:
        """Segment an image, with its name passed to the model."""
        return super().infer({**request, "image_id": request["image"]}, datastore)

    def train(self, request: dict[str, Any]) -> dict[str, Any]:
        """Train, see `Adapt`."""
        self._give_way()
        return super().train(request)

    def batch_infer(self, request: dict[str, Any], datastore: Datastore | None = None) -> dict[str, Any]:
        """Segment many images."""
        self._give_way()
        return super().batch_infer(request, datastore)

    def _give_way(self) -> None:
        """Let the server's clients go first, if this is a process that it started for a job."""
        if not self._server_mode:
            me = psutil.Process()
            me.nice(psutil.BELOW_NORMAL_PRIORITY_CLASS if sys.platform == "win32" else min(me.nice() + 5, 19))

    def on_init_complete(self) -> None:
        """Learn the labels from before the server started."""
        remove_incoming(self.folder)
        try:
            self.context.labelled()
        except (requests.RequestException, InputError) as error:  # the next request tries again, and says so
            logger.warning("The labels on %s are not known yet: %s", self.studies, error)
        super().on_init_complete()

    def on_save_label(self, image_id: str, label_id: str) -> dict[str, Any]:
        """Learn a label that was submitted; tell the labels that can be segmented now, and why this one is unusable, if
        so."""
        state = self.context.labelled()
        if self._auto_update_scoring:
            self.async_scoring(None)
        answer: dict[str, Any] = {"labels": dict(self.context.library.state.labels)}
        if image_id in state.problems:
            answer["warning"] = state.problems[image_id]
        return answer

    def on_library_change(self) -> None:
        """Follow changes of the examples."""
        self.context.labelled()
        if self._auto_update_scoring:
            self.async_scoring(None)

    def async_scoring(self, method: str | None, params: dict[str, Any] | None = None) -> dict[str, Any]:
        """Score when nobody waits. A process that trains or infers for the server scores nothing."""
        if self._server_mode:
            self._background.request()
        return {}

    def close(self) -> None:
        """End the background work."""
        self._background.close()

    def _score(self) -> None:
        self.context.check_examples()
        for method in self._scoring_methods.values():
            method({}, self._datastore)
