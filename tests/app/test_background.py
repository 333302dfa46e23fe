"""What the server does when clients come and go."""


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
