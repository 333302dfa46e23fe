"""The extension of OHIF as it is served. What it does is shown in a browser, in tests/e2e."""

import re
from urllib.parse import urljoin

import pytest


@pytest.fixture
def http(start):
    return start().http


def modules(http):
    """By address, all modules that the configuration leads to."""
    found = {}
    addresses = re.findall(r"/ohif/protoseg/\w+\.js", http.get("/ohif/protoseg/config.js").text)
    assert addresses
    while addresses:
        address = addresses.pop()
        if address not in found:
            response = http.get(address)
            assert response.status_code == 200 and response.headers["content-type"].startswith("text/javascript")
            found[address] = response.text
            addresses += [urljoin(address, name) for name in re.findall(r"from '([^']+)'", response.text)]
    return found


def test_the_viewer_is_configured_before_it_starts(http):
    page = http.get("/ohif/").text
    assert page.count('<script src="/ohif/protoseg/config.js"></script>') == 1
    assert page.index("app-config.js") < page.index("config.js", page.index("protoseg"))


def test_every_module_and_style_is_served_and_makes_no_html_of_text(http):
    found = modules(http)
    assert "/page/elements.js" in found, "which the panel shares with the server's page"
    for address, text in found.items():
        assert len(text.splitlines()) <= 300, address
        assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(", text), address
    style = http.get("/ohif/protoseg/panel.css")
    assert style.headers["content-type"].startswith("text/css") and "@import" not in style.text


@pytest.mark.parametrize("name", ["ohif.py", "..%2Fohif.py", "../ohif.py", "none.js"])
def test_no_other_file_is_served(http, name):
    assert http.get(f"/ohif/protoseg/{name}").text in (http.get("/ohif/").text, '{"detail":"Not Found"}')
