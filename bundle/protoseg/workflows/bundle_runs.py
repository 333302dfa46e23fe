"""The bundle's workflows as `python -m monai.bundle run` runs them, started from a program."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from monai.bundle import ConfigWorkflow

from protoseg.errors import input_errors_unwrapped
from protoseg.files import write_errors
from protoseg.workflows.engine_parts import CONFIGS, chosen_configs

__all__ = ["run_bundle"]

MAIN_CONFIGS = {"inference": "inference.yaml", "training": "train.yaml"}


def run_bundle(
    job: Literal["inference", "training", "evaluating"], overlays: Sequence[str | Path], overrides: Mapping[str, Any]
) -> None:
    """Run a workflow of the bundle.

    Args:
        job: run id in the configs.
        overlays: config files to lay over that of the job, by path or by name in the bundle.
        overrides: values of config entries by id.

    Raises:
        InputError: a file, an entry or a value cannot be used.
    """
    base = {"evaluating": ("train.yaml", "evaluate.yaml")}.get(job) or (MAIN_CONFIGS[job],)
    paths, overrides = chosen_configs((*base, *overlays), overrides)
    logging.getLogger("monai.bundle.workflows").setLevel(logging.ERROR)  # it warns that it does not set logging up
    with input_errors_unwrapped(), write_errors(Path(str(overrides.get("output_dir", ".")))):
        workflow = ConfigWorkflow(
            config_file=[str(path) for path in paths],
            meta_file=str(CONFIGS / "metadata.json"),
            logging_file=False,  # logging is set up by the program
            run_id=job,
            workflow_type="train" if job == "training" else "infer",
            **overrides,
        )
        workflow.initialize()
        workflow.run()
        workflow.finalize()
