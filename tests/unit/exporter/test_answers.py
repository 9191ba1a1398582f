"""What a receiver's answers say, whatever bytes they are."""

from __future__ import annotations

import pytest
from google.rpc.status_pb2 import Status
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import (
    ExportLogsPartialSuccess,
    ExportLogsServiceResponse,
)
from pixsim_otel import answers
from pixsim_otel.transport import Delivered


def response(**fields):
    made = ExportLogsServiceResponse(partial_success=ExportLogsPartialSuccess(**fields))
    return made.SerializeToString()


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        pytest.param(b"", Delivered(), id="all"),
        pytest.param(response(), Delivered(), id="an empty partial success is none"),
        pytest.param(
            response(rejected_log_records=3, error_message="too old"),
            Delivered(3, "too old"),
            id="some rejected",
        ),
        pytest.param(
            response(error_message="id dropped"), Delivered(0, "id dropped"), id="a warning"
        ),
        pytest.param(
            response(rejected_log_records=5_000), Delivered(0), id="more rejected than sent"
        ),
        pytest.param(response(rejected_log_records=-1), Delivered(0), id="fewer than none"),
        pytest.param(b"{}", Delivered(0, answers.UNREADABLE), id="JSON"),
        pytest.param(b"<html>", Delivered(0, answers.UNREADABLE), id="a page"),
        pytest.param(
            response(error_message="cut")[:-1], Delivered(0, answers.UNREADABLE), id="cut"
        ),
        pytest.param(b"\xba\x3e\x03abc", Delivered(), id="a field of the future"),
    ],
)
def test_success(body, expected):
    """
    A successful answer says how many records were rejected, and why; one that can't be read,
    or contradicts itself, is still a success.
    """
    assert expected == answers.delivered(body, sent=10)


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        pytest.param(
            Status(code=3, message="bad [0]: é").SerializeToString(), "bad [0]: é", id="status"
        ),
        pytest.param(Status(code=3).SerializeToString(), "", id="status without words"),
        pytest.param(b"", "", id="nothing"),
        pytest.param(b"upstream error", "upstream error", id="text of a proxy"),
        pytest.param(b"\x10\x01", "", id="number where words belong"),
    ],
)
def test_failure(body, expected):
    """
    A failure's words are found in a Status, and else are the body.
    """
    assert expected == answers.status_message(body)


@given(st.binary(max_size=60))
def test_any_bytes(body):
    """
    No answer makes the reader raise, or say that more was rejected than was sent.
    """
    found = answers.delivered(body, sent=10)

    assert 0 <= found.rejected <= 10
    assert isinstance(answers.status_message(body), str)


@given(
    st.builds(
        ExportLogsPartialSuccess,
        rejected_log_records=st.integers(0, 10),
        error_message=st.text(st.characters(exclude_categories=("Cs",))),
    )
)
def test_equals_the_library(partial):
    """
    Any answer is read as protobuf's own library reads it.
    """
    body = ExportLogsServiceResponse(partial_success=partial).SerializeToString()
    expected = Delivered(partial.rejected_log_records, partial.error_message)

    assert expected == answers.delivered(body, sent=10)
