"""The running collector against its own OpenAPI document, with requests right and wrong."""

from __future__ import annotations

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
CONFIG = SchemathesisConfig.from_dict(
    {
        "generation": {
            "deterministic": True,
            "max-examples": 7,
            "no-shrink": True,
            "allow-x00": False,
        },  # NUL is 422 in every parameter; see test_bad_input
        "operations": [
            {"include-path": path, "checks": {"negative_data_rejection": {"enabled": False}}}
            for path in TAKING_IN
        ],
    }
)
# An answer of the tail has no end, and no shape but that of its events; see test_tail.
PATHS = [path for path in openapi.document()["paths"] if path != "/api/v1/logs/tail"]


def described(*paths):
    """What the document says of these paths."""
    document = openapi.document()
    found = {path: document["paths"][path] for path in paths}
    return schemathesis.openapi.from_dict({**document, "paths": found}, config=CONFIG)


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


def answered(case, collector):
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
        excluded_checks=[negative_data_rejection] if repeated or words else [],
        timeout=TIMEOUT,
    )


@pytest.mark.parametrize("path", PATHS)
def test_answers_are_as_described(path, shared):
    """
    What the document allows is accepted, what it forbids is refused, and every answer has a
    status and a shape that it names.
    """

    def asked(case):
        answered(case, shared)

    # Made here and not when tests are collected, which each process that runs some does for all.
    tests = list(
        get_all_tests(schema=described(path), test_func=asked, settings=None, given_kwargs=None)
    )
    assert tests
    for test in tests:
        _, ask = test.ok()
        ask()


def test_document_is_served(shared):
    """
    The document that is tested here is the one that the collector serves.
    """
    served = requests.get(f"{shared.native}/openapi.json", timeout=5).json()

    assert openapi.document() == served
