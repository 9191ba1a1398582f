"""The running collector against its own OpenAPI document, with requests right and wrong."""

from __future__ import annotations

import requests
import schemathesis
from hypothesis import strategies as st
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from schemathesis.config import SchemathesisConfig
from schemathesis.specs.openapi.checks import negative_data_rejection

from collector.api import cursors, openapi
from collector.search import written
from tests.searching import searches
from tests.unit.collector.test_api_cursors import CURSOR

# What takes records in stores them whatever is wrong with a value: it says so in its answer.
TAKING_IN = ["/api/v1/logs/ingest", "/api/v1/logs/ingest/batch", "/v1/logs"]
CONFIG = SchemathesisConfig.from_dict(
    {
        "generation": {
            "deterministic": True,
            "max-examples": 25,
            "no-shrink": True,
            "allow-x00": False,
        },  # NUL is 422 in every parameter; see test_bad_input
        "operations": [
            {"include-path": path, "checks": {"negative_data_rejection": {"enabled": False}}}
            for path in TAKING_IN
        ],
    }
)
SCHEMA = schemathesis.openapi.from_dict(openapi.document(), config=CONFIG)

schemathesis.openapi.format("pixsim-search", searches.map(written).filter(bool))
schemathesis.openapi.format("pixsim-cursor", st.just(cursors.written(CURSOR)))
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


@SCHEMA.parametrize()
def test_answers_are_as_described(case, shared):
    """
    What the document allows is accepted, what it forbids is refused, and every answer has a
    status and a shape that it names.
    """
    otlp = case.operation.path.startswith("/v1/")
    # An empty parameter counts as absent, of a repeated one the last counts, and null, true and
    # false are sent as these words, which are good texts: no schema can say it.
    lenient = any(
        str(value).lower() in {"", "none", "null", "true", "false"}
        or isinstance(value, list | dict)
        for value in case.query.values()
    )

    case.call_and_validate(
        base_url=shared.otlp if otlp else shared.native,
        excluded_checks=[negative_data_rejection] if lenient else [],
    )


def test_document_is_served(shared):
    """
    The document that is tested here is the one that the collector serves.
    """
    served = requests.get(f"{shared.native}/openapi.json", timeout=5).json()

    assert openapi.document() == served
