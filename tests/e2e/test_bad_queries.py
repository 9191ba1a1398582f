"""Questions that no reader should ask, to a real collector on Postgres."""

from __future__ import annotations

import json

import pytest
import requests
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from collector.api import parameters

pytestmark = pytest.mark.usefixtures("still_well")
LOGS = "/api/v1/logs"
PLACES = ["/query", "/distinct?field=service", "/distinct/service", "/fields"]
PATHS = ["/trace/job/", "/trace/request/", "/trace/trace/", "/distinct/"]
DIGITS = "9" * 4_000
INJECTIONS = [
    "'; DROP TABLE log_entries; --",
    "x' OR '1'='1",
    "extra->>'k'",
    'service" FROM log_entries; --',
    "%s",
    "%(x)s",
    "$1",
    "\\",
    "{0}",
    "a/b?c#d",
    "a.b[0]",
    "\u2028\ufeff",
    "otlp",
    "promoted",
    "resource_id",
    "timestamp_ns",
]


@pytest.fixture(name="get", scope="module")
def _get(shared):
    """Ask for a path of the API; give the status and the answer."""
    line = {"level": "INFO", "service": "s", "msg": "m", "job_id": 1, "k": "v"}
    requests.post(f"{shared.native}{LOGS}/ingest", json=line, timeout=5)

    def get(path, **params):
        answer = requests.get(f"{shared.native}{LOGS}{path}", params=params, timeout=10)
        return answer.status_code, answer.json()

    return get


def values(answer):
    """What an answer found, of whatever path it is."""
    return answer.get("logs", answer.get("values", answer.get("dynamic")))


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("name", [*parameters.Query.__struct_fields__, "a key of extra"])
def test_parameters(get, place, name):
    """
    A parameter has one of the values it may have, or the answer is 422 and names it.
    """
    wrong = ["\0", DIGITS, f"-{DIGITS}", "9223372036854775808", "1e400", "NaN", "[]", "\u0663"]
    answers = [get(place, **{name: value}) for value in wrong]

    assert {status for status, _ in answers} <= {200, 422}
    assert all(
        name in detail["loc"]
        for status, answer in answers
        if status == 422
        for detail in answer["detail"]
    )
    # where a parameter is not known, it is a key of extra, and its value a text
    assert answers[0][0] == 422 or place == "/fields"


@pytest.mark.parametrize("text", INJECTIONS)
def test_injection(get, text):
    """
    Whatever stands in a name or a value is only compared, and finds nothing.
    """
    statuses = {get(place, **{text: text})[0] for place in PLACES}
    found = [values(get(place, **{text: text})[1]) for place in PLACES[:3]]
    _, as_field = get("/distinct", field=text)
    as_path = [get(path + requests.utils.quote(text, safe="")) for path in PATHS]

    assert {200} == statuses
    assert [[], [], []] == found
    assert [] == as_field["values"]
    assert [(200, [])] * 3 == as_path[:3]
    assert as_path[3][0] == 400
    assert get("/query", service="s")[1]["total"] == 1


@pytest.mark.parametrize(
    ("path", "status"),
    [
        pytest.param("/query?service=%ff%fe", 200, id="no UTF-8"),
        pytest.param("/query?service=%ed%a0%80", 200, id="a surrogate"),
        pytest.param("/query?" + "&".join(f"k{n}=v" for n in range(500)), 422, id="500 keys"),
        pytest.param("/query?search=" + "%25_" * 1_500, 200, id="many wildcards"),
        pytest.param("/query?offset=9223372036854775807", 200, id="the last offset"),
        pytest.param("/query?start_time=0001-01-01T00:00:00%2B14:00", 422, id="before year 1"),
        pytest.param("/query?minutes=1e-300", 200, id="no minutes"),
        pytest.param("/trace/job/%00", 422, id="NUL in a path"),
        pytest.param("/trace/job/" + DIGITS, 422, id="4,000 digits"),
        pytest.param("/trace/request/" + DIGITS, 200, id="4,000 digits of a request"),
        pytest.param("/distinct?field=%00", 422, id="NUL as field"),
        pytest.param("/distinct", 422, id="no field"),
        pytest.param("/distinct?field=", 400, id="empty field"),
    ],
)
def test_paths(get, path, status):
    """
    What a path asks is answered, or refused with the status that the document has.
    """
    assert status == get(path)[0]


def test_long_query(shared):
    """
    A path of 1 MB is refused before it is read.
    """
    url = f"{shared.native}{LOGS}/query?search=" + "a" * 1_000_000

    assert requests.get(url, timeout=10).status_code == 414


@settings(
    max_examples=60,
    derandomize=True,
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],  # it looks after all examples
)
@given(
    place=st.sampled_from(PLACES),
    params=st.dictionaries(
        st.sampled_from([*parameters.Query.__struct_fields__, "x"]) | st.text(min_size=1),
        st.text() | st.integers().map(str) | st.floats().map(str) | st.dates().map(str),
        max_size=4,
    ),
)
def test_any_question(get, place, params):
    """
    Any question is answered, or refused for what is wrong with it.
    """
    status, answer = get(place, **params)

    assert status in {200, 422} or (status == 400 and params["field"].strip() == "")
    assert json.dumps(answer)
