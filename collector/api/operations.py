"""Every operation of the collector, as its OpenAPI document describes it."""

from __future__ import annotations

from typing import Any

import msgspec

from collector.access.needs import ADMIN, METRICS, OPEN, READ, READ_ALL, SEND, Needs
from collector.api import alerts_shapes as a
from collector.api import audit, operator, operator_shapes, readiness, session
from collector.api import context as c
from collector.api import forwarders_shapes as f
from collector.api import otlp_shapes as o
from collector.api import parameters as p
from collector.api import saved as v
from collector.api import shapes as s
from collector.api import statistics_shapes as st
from collector.api.formats import Csv, JsonLines
from collector.api.parquet import Parquet
from collector.api.responses import ALERTS, FORWARDERS, PREFIX
from collector.receivers import otlp, pixsim
from storage.entries import Entry
from storage.saved_views import SavedView
from storage.sealing import TextIndex
from storage.silences import Silence

JSON, PROTOBUF = "application/json", "application/x-protobuf"
HTML, TEXT, EVENTS = "text/html", "text/plain", "text/event-stream"
FILES = (JsonLines.media, Csv.media, Parquet.media)
OTLP_ENDPOINT = otlp.Http().endpoint


class Operation(msgspec.Struct, frozen=True, kw_only=True):
    """What the document says of one path."""

    method: str = "get"
    path: str
    summary: str
    answer: Any
    media: tuple[str, ...] = (JSON,)  # of body and answer
    in_path: type[msgspec.Struct] | None = None
    query: type[msgspec.Struct] | None = None
    body: Any = None
    failure: type[msgspec.Struct] = s.Failure
    failures: dict[int, str] = {}
    endpoint: str | None = None  # where not that of the API
    needs: Needs = ADMIN  # what a key must have, where keys are asked for


_WRONG = {422: "a parameter is not of its type"}
_AWAY = {503: "the database is away, or the query takes too long; try again later"}
_BODY = {
    400: "the body cannot be decoded",
    408: "the body did not come to its end in time",
    413: "the body is too large",
    415: "the body's type or encoding is not one that is read",
    429: "the key has sent more than it may; send the same again later",
    503: "nothing was stored; send the same again later",
}
_ONE = f"{FORWARDERS}/{{name}}"
_NONE = {404: "there is no such destination"} | _WRONG | _AWAY
_OURS = {403: "a page of another site asks"} | _NONE
FORWARDING = (
    Operation(
        path=FORWARDERS,
        summary="Where records are sent on, and how far that has come",
        answer=f.Forwarders,
        failures=_AWAY,
    ),
    Operation(
        path=_ONE,
        summary="One destination, and how far that has come",
        in_path=f.Forwarder,
        answer=f.Status,
        failures=_NONE,
    ),
    Operation(
        method="post",
        path=f"{_ONE}/pause",
        summary="Send nothing more, until it is resumed",
        in_path=f.Forwarder,
        query=f.Pause,
        answer=f.Status,
        failures=_OURS,
    ),
    Operation(
        method="post",
        path=f"{_ONE}/resume",
        summary="Send again, after a pause or a stop",
        in_path=f.Forwarder,
        answer=f.Status,
        failures=_OURS,
    ),
    Operation(
        method="post",
        path=f"{_ONE}/skip",
        summary="Go on from now, a time, or a position, whatever is before it",
        in_path=f.Forwarder,
        query=f.Skip,
        answer=f.Status,
        failures=_OURS,
    ),
    Operation(
        method="post",
        path=f"{_ONE}/replay",
        summary="Send once more what was received in a range of time, beside what is new",
        in_path=f.Forwarder,
        query=f.Range,
        answer=f.Begun,
        failures=_OURS,
    ),
    Operation(
        method="delete",
        path=f"{_ONE}/replays/{{replay}}",
        summary="Send no more of a replay",
        in_path=f.ReplayOf,
        answer=f.Status,
        failures=_OURS,
    ),
    Operation(
        path=f"{_ONE}/dead-letters",
        summary="Records that the destination did not take, the newest first, with the reasons",
        in_path=f.Forwarder,
        query=f.Page,
        answer=f.DeadLetters,
        failures=_NONE,
    ),
    Operation(
        method="post",
        path=f"{_ONE}/dead-letters/retry",
        summary="Send dead letters again",
        in_path=f.Forwarder,
        query=f.Letters,
        answer=f.Number,
        failures=_OURS,
    ),
    Operation(
        method="delete",
        path=f"{_ONE}/dead-letters/{{id}}",
        summary="Delete a dead letter; the record stays",
        in_path=f.LetterOf,
        answer=f.Number,
        failures=_OURS,
    ),
)
OPERATING = (
    Operation(
        path=operator.INTAKE,
        summary="What was committed over time, and from whom",
        query=operator_shapes.IntakeAsked,
        answer=operator_shapes.Intake,
        failures=_WRONG | _AWAY,
    ),
    Operation(
        path=operator.REFUSALS,
        summary="What was refused since the collector started, by reason",
        answer=operator_shapes.Refusals,
    ),
    Operation(
        path=operator.PARTITIONS,
        summary="The tables that hold the records, by day, and their sizes",
        answer=operator_shapes.Partitions,
        failures=_AWAY,
    ),
)
ALERTING = (
    Operation(
        path=ALERTS,
        needs=READ_ALL,
        summary="The rules of alerts, and what is pending or fires",
        answer=a.Alerts,
        failures=_AWAY,
    ),
    Operation(
        path=f"{ALERTS}/history",
        needs=READ_ALL,
        summary="When alerts began and ceased to fire, the newest first",
        query=a.HistoryAsked,
        answer=a.History,
        failures=_WRONG | _AWAY,
    ),
    Operation(
        path=f"{ALERTS}/silences",
        needs=READ_ALL,
        summary="Which alerts nobody is told of, and until when",
        answer=a.Silences,
        failures=_AWAY,
    ),
    Operation(
        method="post",
        path=f"{ALERTS}/silences",
        summary="Have nobody told of alerts with some labels",
        query=a.Silencing,
        answer=Silence,
        failures={
            400: "there are 1,000 silences",
            403: "a page of another site asks",
            409: "its end is over",
        }
        | _WRONG
        | _AWAY,
    ),
    Operation(
        method="delete",
        path=f"{ALERTS}/silences/{{id}}",
        summary="End a silence",
        in_path=a.SilenceOf,
        answer=Silence,
        failures={403: "a page of another site asks", 404: "there is no such silence"}
        | _WRONG
        | _AWAY,
    ),
)
OPERATIONS = (
    Operation(
        method="post",
        path=f"{PREFIX}/ingest",
        needs=SEND,
        summary="Store one record",
        body=s.LogEntry,
        answer=pixsim.Stored,
        failures=_BODY | {422: "a field is missing or not of its type"},
    ),
    Operation(
        method="post",
        path=f"{PREFIX}/ingest/batch",
        needs=SEND,
        summary="Store many records; a bad one never costs a good one",
        body=s.LogBatch,
        answer=pixsim.StoredMany,
        failures=_BODY | {422: "`logs` is no list of objects"},
    ),
    Operation(
        method="post",
        path="/v1/logs",
        needs=SEND,
        summary="Store records sent by OTLP/HTTP, as protobuf or JSON",
        media=(JSON, PROTOBUF),
        body=o.ExportLogsServiceRequest,
        answer=o.ExportLogsServiceResponse,
        failure=o.Status,
        failures=_BODY,
        endpoint=OTLP_ENDPOINT,
    ),
    Operation(
        path=f"{PREFIX}/query",
        needs=READ,
        summary="Find records, newest first",
        query=p.Query,
        answer=s.Found,
        failures=_WRONG | _AWAY,
    ),
    Operation(
        path=f"{PREFIX}/trace/job/{{job_id}}",
        needs=READ,
        summary="All records of a job, oldest first",
        in_path=p.Job,
        query=p.Trace,
        answer=list[Entry],
        failures=_WRONG | _AWAY,
    ),
    Operation(
        path=f"{PREFIX}/trace/request/{{request_id}}",
        needs=READ,
        summary="All records of a request, oldest first",
        in_path=p.Request,
        query=p.Trace,
        answer=list[Entry],
        failures=_WRONG | _AWAY,
    ),
    Operation(
        path=f"{PREFIX}/trace/trace/{{trace_id}}",
        needs=READ,
        summary="All records of a trace, oldest first",
        in_path=p.TraceId,
        answer=list[Entry],
        failures=_WRONG | _AWAY,
    ),
    Operation(
        path=f"{PREFIX}/fields",
        needs=READ,
        summary="The names that a filter may have",
        query=p.Fields,
        answer=s.KnownFields,
        failures=_WRONG | _AWAY,
    ),
    Operation(
        path=f"{PREFIX}/distinct",
        needs=READ,
        summary="The values of a field",
        query=p.Distinct,
        answer=s.FieldValues,
        failures={400: "`field` is empty"} | _WRONG | _AWAY,
    ),
    Operation(
        path=f"{PREFIX}/distinct/{{column}}",
        needs=READ,
        summary="The values of a column that has few",
        in_path=p.Column,
        query=p.DistinctColumn,
        answer=s.ColumnValues,
        failures={400: "`column` is not one of those allowed"} | _WRONG | _AWAY,
    ),
    Operation(
        path=f"{PREFIX}/completion",
        needs=READ,
        summary="What may stand at a place of a search",
        query=p.Completion,
        answer=s.Completions,
        failures=_WRONG | _AWAY,
    ),
    Operation(
        path=f"{PREFIX}/histogram",
        needs=READ,
        summary="How many records there are, by time and the values of a field",
        query=st.Histogram,
        answer=st.Counted,
        failures=_WRONG | _AWAY,
    ),
    Operation(
        path=f"{PREFIX}/facets",
        needs=READ,
        summary="The most frequent values of many fields",
        query=st.Facets,
        answer=st.Faceted,
        failures=_WRONG | _AWAY,
    ),
    Operation(
        path=f"{PREFIX}/stats",
        needs=READ,
        summary="How the numbers of fields are spread, by groups and time",
        query=st.Stats,
        answer=st.Spread,
        failures=_WRONG | _AWAY,
    ),
    Operation(
        path=f"{PREFIX}/context/{{id}}",
        needs=READ,
        summary="The records around one, oldest first",
        in_path=c.Line,
        query=c.Around,
        answer=c.Surroundings,
        failures={404: "there is no such record"} | _WRONG | _AWAY,
    ),
    Operation(
        path=f"{PREFIX}/text-index",
        needs=READ_ALL,
        summary="Which days searches of text go through by an index",
        answer=TextIndex,
        failures=_AWAY,
    ),
    Operation(
        path=f"{PREFIX}/export",
        needs=READ,
        summary="All records of a search as a file, oldest first; the last says it is complete",
        query=p.Export,
        answer=str,
        media=FILES,
        failures={501: "Parquet is not installed"} | _WRONG | _AWAY,
    ),
    Operation(
        path=f"{PREFIX}/tail",
        needs=READ,
        summary="Records of a search as they are stored; also as a WebSocket: docs/following.md",
        query=p.Tail,
        answer=str,
        media=(EVENTS,),
        failures={
            400: "the position is another server's, or the search can't be asked",
            403: "a page of another site asks for a WebSocket",
        }
        | _WRONG
        | _AWAY,
    ),
    *FORWARDING,
    *ALERTING,
    *OPERATING,
    Operation(
        path=v.PATH,
        needs=READ_ALL,
        summary="The saved views of the page",
        answer=v.SavedViews,
        failures=_AWAY,
    ),
    Operation(
        method="put",
        path=f"{v.PATH}/{{name}}",
        needs=READ_ALL,
        summary="Save a view of the page, in the place of the one with its name",
        in_path=v.Named,
        body=v.Wanted,
        answer=SavedView,
        failures=_BODY | {400: "the body is no JSON, or there are 1,000 views"} | _WRONG | _AWAY,
    ),
    Operation(
        method="delete",
        path=f"{v.PATH}/{{name}}",
        needs=READ_ALL,
        summary="Delete a saved view",
        in_path=v.Named,
        answer=SavedView,
        failures={404: "there is no such view"} | _WRONG | _AWAY,
    ),
    Operation(
        path=session.PATH,
        needs=OPEN,
        summary="Who asks, and whether keys are asked for",
        answer=session.Session,
    ),
    Operation(
        method="post",
        path=session.PATH,
        needs=OPEN,
        summary="Begin a session of a browser: a cookie stands for the key from now on",
        body=session.Login,
        answer=session.Session,
        failures=_BODY | {401: "the key is not known", 403: "a page of another site asks"},
    ),
    Operation(
        method="delete",
        path=session.PATH,
        needs=OPEN,
        summary="End the session",
        answer=session.Session,
        failures={403: "a page of another site asks"},
    ),
    Operation(
        path=audit.PATH,
        summary="What was done with the rights of an admin, the newest first",
        query=audit.AuditPage,
        answer=audit.Actions,
        failures=_WRONG | _AWAY,
    ),
    Operation(
        path=f"{PREFIX}/console-fields",
        needs=READ,
        summary="How a console marks the ids in its lines",
        answer=s.ConsoleFields,
    ),
    Operation(path="/health", needs=OPEN, summary="Whether the database answers", answer=s.Health),
    Operation(
        path="/ready",
        needs=OPEN,
        summary="Whether requests can be served",
        answer=readiness.Ready,
        failures={503: "the database is away"},
    ),
    Operation(
        path="/metrics",
        needs=METRICS,
        summary="Counters, for Prometheus",
        answer=str,
        media=(TEXT,),
    ),
    Operation(path="/", needs=OPEN, summary="What this is", answer=str, media=(HTML,)),
    Operation(path="/docs", needs=OPEN, summary="This API, for people", answer=str, media=(HTML,)),
    Operation(path="/openapi.json", needs=OPEN, summary="This document", answer=dict[str, Any]),
)

_NEEDS = {(each.method.upper(), each.path): each.needs for each in OPERATIONS} | {
    ("GET", "/page/{version}/{name}"): OPEN  # the page's files, which the document leaves out
}


def needs(method: str, path: str) -> Needs:
    """Give what a key must have for a route; see `collector.server.Listener`."""
    return _NEEDS.get((method, path), ADMIN)
