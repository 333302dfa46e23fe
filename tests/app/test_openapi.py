"""Whatever a client sends, within the server's own OpenAPI or as options of a model: an answer, and never a 500."""

import json

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

schemathesis = pytest.importorskip("schemathesis", reason="schemathesis is not installed: pip install -e .[test]")

from monailabel.app import app as server_app  # noqa: E402 - it takes seconds

# /logs/gpu runs nvidia-smi, whether it is there or not; the rest of /logs and /model is MONAI Label's own business.
TESTED = r"^/(infer|batch|train|activelearning|scoring|datastore|sessions?|info|library|status)/"
BOUNDED = settings(
    max_examples=8,
    deadline=None,
    derandomize=True,
    database=None,
    phases=[Phase.generate],
    suppress_health_check=list(HealthCheck),
)
POINTS = st.lists(st.lists(st.integers(-5, 120) | st.floats(), max_size=4), max_size=3)
ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | POINTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)
OPTIONS = (
    "foreground",
    "background",
    "liver",
    "label",
    "label_prompt",
    "support_selection",
    "component_filter",
    "choice",
    "label_info",
    "roi",
)
OPTIONS += ("result_extension", "result_dtype", "result_compress", "client_id", "reset_state", "device", "save_label")


def check_answer(response, sent):
    assert response.status_code < 500, (sent, response.status_code, response.text[:500])
    if response.status_code >= 400 and response.request.method != "HEAD":
        assert response.json()["detail"], sent


def test_requests_that_the_openapi_describes(start, label):
    client = start()
    client.submit("person0", *label(0, ["liver"]))
    schema = schemathesis.openapi.from_dict(server_app.openapi()).include(path_regex=TESTED)
    operations = [result.ok() for result in schema.get_all_operations()]
    assert len(operations) > 20
    for operation in operations:

        @BOUNDED
        @given(operation.as_strategy())
        def send(case):
            response = client.http.request(**case.as_transport_kwargs(base_url="http://testserver"))
            check_answer(response, case.as_curl_command())

        send()
    assert client.http.get("/info/").status_code == 200
    assert client.infer("oneshot", "person1").status_code == 200


@pytest.mark.parametrize("model", ["oneshot", "oneshot_click", "oneshot_click_one", "oneshot_scribbles"])
def test_options_of_the_models(start, label, model):
    client = start()
    client.submit("person0", *label(0, ["liver"]))

    @BOUNDED
    @given(st.dictionaries(st.sampled_from(OPTIONS), ANYTHING, max_size=4))
    def send(options):
        response = client.http.post(f"/infer/{model}?image=person1&output=image", data={"params": json.dumps(options)})
        check_answer(response, options)

    send()
    assert client.http.get("/info/").status_code == 200
