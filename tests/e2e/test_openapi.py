"""The running collector against its own OpenAPI document, with requests right and wrong."""

from __future__ import annotations

import collections
from urllib.parse import urlencode

import jsonschema_rs
import pytest
import requests
import schemathesis
from hypothesis import assume
from hypothesis import strategies as st
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from schemathesis.config import SchemathesisConfig
from schemathesis.pytest.lazy import get_all_tests
from schemathesis.specs.openapi.checks import negative_data_rejection

from collector.api import cursors, openapi
from collector.search import written
from tests.searching import searches
from tests.unit.collector.test_api_cursors import CURSOR

# What takes records in stores them whatever is wrong with a value: it says so in its answer.
TAKING_IN = ["/api/v1/logs/ingest", "/api/v1/logs/ingest/batch", "/v1/logs"]
TIMEOUT = 40  # seconds; a query has 30
LONGEST_QUERY = 8_000  # characters; a longer line is no request to the HTTP parser
# An answer of the tail has no end, and no shape but that of its events; see test_tail.
DESCRIBED = {
    path: operations
    for path, operations in openapi.document()["paths"].items()
    if path != "/api/v1/logs/tail"
}


def parameters(operations):
    """The parameters of a path's operations."""
    return [each for operation in operations.values() for each in operation.get("parameters", ())]


def with_new_parameters():
    """
    What is described, without the parameters that stand before and that a request can do without.

    Eight paths have the 37 parameters of a search, and one type decodes them on all of these: to
    go through the bounds of each again and again were 4,000 requests that find nothing new.
    """
    known: list[object] = []
    found = {}
    for path, operations in DESCRIBED.items():
        found[path] = {
            method: {
                **operation,
                "parameters": [
                    each
                    for each in parameters({method: operation})
                    if each["required"] or each not in known
                ],
            }
            for method, operation in operations.items()
        }
        known += parameters(operations)
    return found


# What each phase of Schemathesis asks about: the one draws values for all parameters at once, and
# the other goes through the values of one after the other.
ASKED = {"fuzzing": DESCRIBED, "coverage": with_new_parameters()}


def schema(phase, path):
    """The document as far as *phase* asks about this path."""
    config = SchemathesisConfig.from_dict(
        {
            "generation": {
                "deterministic": True,
                "max-examples": 7,
                "no-shrink": True,
                "allow-x00": False,
            },  # NUL is 422 in every parameter; see test_bad_input
            "phases": {each: {"enabled": False} for each in ASKED if each != phase},
            "checks": {"negative_data_rejection": {"enabled": path not in TAKING_IN}},
        }
    )
    document = {**openapi.document(), "paths": {path: ASKED[phase][path]}}
    return schemathesis.openapi.from_dict(document, config=config)


schemathesis.openapi.format("pixsim-search", searches.map(written).filter(bool))
schemathesis.openapi.format("pixsim-cursor", st.just(cursors.written(CURSOR)))
schemathesis.openapi.format("pixsim-position", st.integers(0, 2**62).map(str))
schemathesis.openapi.media_type(
    openapi.PROTOBUF,
    st.builds(
        lambda texts: ExportLogsServiceRequest(
            resource_logs=[
                {"scope_logs": [{"log_records": [{"body": {"string_value": t}} for t in texts]}]}
            ]
        ).SerializeToString(),
        st.lists(st.text()),
    ),
)


def is_wrong(schema, value):
    """Whether the document forbids *value*, which is sent as text like all parameters."""
    words = {None: "null", True: "true", False: "false"}
    text = words[value] if value is None or isinstance(value, bool) else str(value)
    return not any(
        jsonschema_rs.is_valid(schema, each, validate_formats=True)
        for each in (value, text, [text])
    )


@pytest.fixture(name="session")
def _session():
    """A connection that is kept; one for each request, and a look for proxies, cost more than most."""
    with requests.Session() as session:
        session.trust_env = False
        yield session


def answered(case, collector, session):
    """Ask *collector*, check that its answer is as the document says, and give it."""
    otlp = case.operation.path.startswith("/v1/")
    given = case.query
    assume(len(urlencode(given, doseq=True)) < LONGEST_QUERY)
    schemas = {each.name: each.definition["schema"] for each in case.operation.query}
    # An empty parameter counts as absent, and of a repeated one the last counts: no schema can
    # say it. Nor that what is no text is sent as one, which may be right.
    repeated = any(value == "" or isinstance(value, list | dict) for value in given.values())
    words = bool(given) and not any(
        is_wrong(schemas[name], value) for name, value in given.items() if name in schemas
    )

    return case.call_and_validate(
        base_url=collector.otlp if otlp else collector.native,
        session=session,
        excluded_checks=[negative_data_rejection] if repeated or words else [],
        timeout=TIMEOUT,
    )


@pytest.mark.parametrize("phase", ASKED)
@pytest.mark.parametrize("path", DESCRIBED)
def test_answers_are_as_described(path, phase, shared, session):
    """
    What the document allows is accepted, what it forbids is refused, and every answer has a
    status and a shape that it names; every operation is asked, and of each of its parameters.
    """
    asked = collections.defaultdict(set)

    def ask(case):
        asked[case.method.lower()].update(case.query, case.path_parameters)
        answered(case, shared, session)

    # Made here and not when tests are collected, which each process that runs some does for all.
    for test in get_all_tests(
        schema=schema(phase, path), test_func=ask, settings=None, given_kwargs=None
    ):
        _, run = test.ok()
        run()

    for method, operation in ASKED[phase][path].items():
        assert method in asked
        if phase == "coverage":
            assert asked[method] >= {
                each["name"]
                for each in parameters({method: operation})
                if each is not openapi.EXTRA  # it has any name
            }


def test_every_parameter_is_gone_through():
    """
    Only the tail's path is left out, and a parameter only where it stands a second time.
    """
    described = openapi.document()["paths"]
    gone_through = [
        each for operations in ASKED["coverage"].values() for each in parameters(operations)
    ]

    assert described.keys() - {"/api/v1/logs/tail"} == DESCRIBED.keys()
    for operations in DESCRIBED.values():
        assert all(each in gone_through for each in parameters(operations))


def test_document_is_served(shared):
    """
    The document that is tested here is the one that the collector serves.
    """
    served = requests.get(f"{shared.native}/openapi.json", timeout=5).json()

    assert openapi.document() == served
