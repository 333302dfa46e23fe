"""Endpoints that neither block the server nor answer a client's mistake with 500.

Defects of MONAI Label 0.8.5: every endpoint is `async def` around blocking code, so that one long inference freezes
all others, `GET /info/` too; nothing bounds how many inferences run at once, and none can time out; and whatever an
endpoint raises becomes "500 Internal Server Error" without a message.

FastAPI calls every endpoint through `fastapi.routing.run_endpoint_function`, which is what is replaced here.
"""

import asyncio
import json
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from threading import Event
from typing import Any

import fastapi.routing
import requests
from fastapi import BackgroundTasks, HTTPException, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.dependencies.models import Dependant
from monailabel.config import settings
from monailabel.interfaces.exception import (
    ImageNotFoundException,
    LabelNotFoundException,
    MONAILabelError,
    MONAILabelException,
)

from lib.server.audited import audited
from lib.server.patching import patch
from lib.server.remembered import remembered
from lib.server.request_checks import check_request
from protoseg.errors import InputError

__all__ = ["patch_endpoints"]

SWITCH_INTERVAL_S = 0.0005  # of Python's threads: a short answer asks for its turn many times, each after all others
RUNNING_INFERENCES = 2  # at once, when MONAI_LABEL_INFER_CONCURRENCY says nothing; the others wait
BLOCKING = ("monailabel.endpoints.", "lib.rest.")  # modules of the endpoints that run in threads here
INFERENCES = {"api_run_inference", "api_run_wsi_inference", "api_run_wsi_v2_inference"}


def patch_endpoints() -> None:
    """Run MONAI Label's endpoints in worker threads, inferences in a bounded pool with `settings`' time limit."""
    sys.setswitchinterval(SWITCH_INTERVAL_S)
    limit = settings.MONAI_LABEL_INFER_CONCURRENCY
    pool = ThreadPoolExecutor(limit if limit > 0 else RUNNING_INFERENCES, thread_name_prefix="inference")
    settings.MONAI_LABEL_INFER_CONCURRENCY = -1  # the app's own pool would only be a second queue behind this one
    patch(
        fastapi.routing,
        "run_endpoint_function",
        lambda original: _in_threads(original, pool),
        takes="dependant values is_coroutine",
        defect="an endpoint blocks all others, nothing bounds or times inferences, and mistakes are answered with 500",
    )


def _in_threads(run_endpoint: Callable[..., Any], pool: ThreadPoolExecutor) -> Callable[..., Any]:
    async def run(*, dependant: Dependant, values: dict[str, Any], is_coroutine: bool) -> Any:
        endpoint = dependant.call
        assert endpoint is not None
        if not endpoint.__module__.startswith(BLOCKING):
            return await run_endpoint(dependant=dependant, values=values, is_coroutine=is_coroutine)
        for value in values.values():
            if isinstance(value, Request):
                await value.body()  # is kept in the request; a thread could not wait for the network here
        answer = partial(remembered, partial(_answer, endpoint, values, is_coroutine), endpoint, values)
        call = partial(audited, answer, endpoint, values)
        if endpoint.__name__ not in INFERENCES:
            return await run_in_threadpool(call)
        return await _within_time(pool, call, values["background_tasks"])

    return run


def _answer(endpoint: Callable, values: dict[str, Any], is_coroutine: bool) -> Any:
    """Call an endpoint in this thread; errors that the client can mend become HTTP errors."""
    try:
        check_request(endpoint, values)
        return asyncio.run(endpoint(**values)) if is_coroutine else endpoint(**values)
    except (ImageNotFoundException, LabelNotFoundException) as error:
        raise HTTPException(404, error.msg) from error
    except MONAILabelException as error:
        mistake = error.error in (MONAILabelError.INVALID_INPUT, MONAILabelError.APP_INIT_ERROR)
        raise HTTPException(400 if mistake else 500, error.msg) from error
    except (InputError, json.JSONDecodeError) as error:
        raise HTTPException(400, str(error)) from error
    except requests.Timeout as error:
        raise HTTPException(504, f"The DICOM server did not answer in time: {error}") from error
    except requests.ConnectionError as error:
        raise HTTPException(502, f"The DICOM server cannot be reached: {error}") from error


async def _within_time(pool: ThreadPoolExecutor, call: Callable[[], Any], clean_up: BackgroundTasks) -> Any:
    """Wait for an inference; one that is late is never started, or finishes in its thread for nobody."""
    late = Event()

    def infer() -> Any:
        answer = call()
        if late.is_set():
            asyncio.run(clean_up())  # removes the result, as would have been done after sending it
        return answer

    limit = settings.MONAI_LABEL_INFER_TIMEOUT
    try:
        return await asyncio.wait_for(asyncio.wrap_future(pool.submit(infer)), limit)
    except TimeoutError as error:
        late.set()
        raise HTTPException(504, f"The inference took longer than {limit} s and was given up. Try again.") from error
