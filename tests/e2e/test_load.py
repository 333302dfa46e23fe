"""Several clients at once: every answer is the right one, the server stays responsive, and its memory flat."""

import json
import os
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256

import psutil
import pytest
import requests

CLIENTS = 8
PATIENCE = 600  # seconds; only a test that fails waits so long
SECONDS = float(os.environ.get("PROTOSEG_LOAD_SECONDS", "15"))  # 300 for a proper look
PLACES = ([100, 80, 20], [60, 70, 22], [110, 90, 26], [70, 60, 16])  # voxels of the synthetic scans


@pytest.fixture(scope="module")
def requests_made(chain):
    """One kind of request a client: models, images and clicks differ, and so must the answers."""
    series = [line.split()[1] for line in (chain.folder / "series.txt").read_text(encoding="utf-8").splitlines()]
    automatic = [("oneshot", image, {"label_prompt": prompt}) for image in series for prompt in ([], [1])]
    clicks = [("oneshot_click", series[2], {"spleen": [place], "background": []}) for place in PLACES[:2]]
    return (automatic + clicks)[:CLIENTS]


def ask(chain, session, model, image, options):
    fixed = {"result_extension": ".nrrd", "result_dtype": "uint8", "result_compress": False}
    address = {"image": image, "output": "image"}
    form = {"params": json.dumps({**fixed, **options})}
    response = session.post(f"{chain.app}/infer/{model}", params=address, data=form, timeout=PATIENCE)
    assert response.status_code == 200, response.text
    return sha256(response.content).hexdigest()


def server_process(chain):
    port = chain.app.rpartition(":")[2]
    return next(p for p in psutil.process_iter(["cmdline"]) if ["--port", port] == _after(p, "--port", 2))


def _after(process, word, count):
    words = process.info["cmdline"] or []
    return words[words.index(word) :][:count] if word in words and "monailabel.main" in words else []


def test_clients_at_once_get_the_answers_that_each_would_get_alone(chain, requests_made):
    with requests.Session() as session:
        alone = [ask(chain, session, *request) for request in requests_made]
    assert len(set(alone)) == CLIENTS
    process = server_process(chain)
    end = time.monotonic() + SECONDS
    waits, memory = [], [process.memory_info().rss]

    def work(number):
        answers = []
        with requests.Session() as session:
            while time.monotonic() < end:
                answers.append(ask(chain, session, *requests_made[number]) == alone[number])
        return answers

    def watch():
        with requests.Session() as session:
            while time.monotonic() < end:
                start = time.perf_counter()
                assert session.get(f"{chain.app}/info/", timeout=PATIENCE).status_code == 200
                waits.append(time.perf_counter() - start)
                memory.append(process.memory_info().rss)
                time.sleep(0.1)

    watcher = threading.Thread(target=watch)
    watcher.start()
    with ThreadPoolExecutor(CLIENTS) as pool:
        answers = list(pool.map(work, range(CLIENTS)))
    watcher.join()
    waits.sort()
    before, after = (m / 2**20 for m in (memory[0], memory[-1]))
    print(
        f"{sum(map(len, answers))} answers in {SECONDS:g} s; /info/ took {waits[len(waits) // 2] * 1000:.0f} ms in the "
        f"median, {waits[-1] * 1000:.0f} ms at most; memory {before:.0f} MB before, {after:.0f} MB after"
    )
    assert all(all(mine) and mine for mine in answers)
    assert waits[len(waits) // 2] < 0.1
    quarter = len(memory) // 4
    assert max(memory[-quarter:]) < 1.15 * max(memory[quarter : 2 * quarter])
