"""What the server does when clients come and go."""

from concurrent.futures import ThreadPoolExecutor
from threading import Event


def test_freed_memory_is_given_back_now_and_then(monkeypatch):
    from lib import background

    assert background._trim_function()(0) in (0, 1, None)
    given_back = []
    monkeypatch.setattr(background, "_trim_function", lambda: given_back.append)
    traffic = background.Traffic()
    with traffic.client():
        pass
    assert given_back == []
    monkeypatch.setattr(background, "TRIM_INTERVAL_S", -1.0)
    with traffic.client(), traffic.client():
        pass
    assert given_back == [0, 0]


def test_work_is_asked_for_at_once_and_after_the_end():
    from lib import background

    done, traffic = Event(), background.Traffic()
    work = background.Background(done.set, traffic)
    with ThreadPoolExecutor(4) as clients:
        for asked in [clients.submit(work.request) for _ in range(4)]:
            asked.result()
    assert done.wait(60)
    work.close()
    done.clear()
    work.request()
    assert not done.is_set()
