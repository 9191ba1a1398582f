"""Every operation of the collector, as its OpenAPI document describes it."""

from __future__ import annotations

from typing import Any

from collector.access.needs import ADMIN, METRICS, OPEN, READ, READ_ALL, SEND, Needs
from collector.api import audit, readiness, session
from collector.api import context as c
from collector.api import otlp_shapes as o
from collector.api import parameters as p
from collector.api import saved as v
from collector.api import shapes as s
from collector.api import statistics_shapes as st
from collector.api.formats import Csv, JsonLines
from collector.api.operation import AWAY, JSON, PROTOBUF, WRONG, Operation
from collector.api.operators_operations import ALERTING, FORWARDING, OPERATING
from collector.api.parquet import Parquet
from collector.api.responses import PREFIX
from collector.receivers import otlp, pixsim
from storage.entries import Entry
from storage.saved_views import SavedView
from storage.sealing import TextIndex

HTML, TEXT, EVENTS = "text/html", "text/plain", "text/event-stream"
FILES = (JsonLines.media, Csv.media, Parquet.media)
OTLP_ENDPOINT = otlp.Http().endpoint


_BODY = {
    400: "the body cannot be decoded",
    408: "the body did not come to its end in time",
    413: "the body is too large",
    415: "the body's type or encoding is not one that is read",
    429: "the key has sent more than it may; send the same again later",
    503: "nothing was stored; send the same again later",
}
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
        failures=WRONG | AWAY,
    ),
    Operation(
        path=f"{PREFIX}/trace/job/{{job_id}}",
        needs=READ,
        summary="All records of a job, oldest first",
        in_path=p.Job,
        query=p.Trace,
        answer=list[Entry],
        failures=WRONG | AWAY,
    ),
    Operation(
        path=f"{PREFIX}/trace/request/{{request_id}}",
        needs=READ,
        summary="All records of a request, oldest first",
        in_path=p.Request,
        query=p.Trace,
        answer=list[Entry],
        failures=WRONG | AWAY,
    ),
    Operation(
        path=f"{PREFIX}/trace/trace/{{trace_id}}",
        needs=READ,
        summary="All records of a trace, oldest first",
        in_path=p.TraceId,
        answer=list[Entry],
        failures=WRONG | AWAY,
    ),
    Operation(
        path=f"{PREFIX}/fields",
        needs=READ,
        summary="The names that a filter may have",
        query=p.Fields,
        answer=s.KnownFields,
        failures=WRONG | AWAY,
    ),
    Operation(
        path=f"{PREFIX}/distinct",
        needs=READ,
        summary="The values of a field",
        query=p.Distinct,
        answer=s.FieldValues,
        failures={400: "`field` is empty"} | WRONG | AWAY,
    ),
    Operation(
        path=f"{PREFIX}/distinct/{{column}}",
        needs=READ,
        summary="The values of a column that has few",
        in_path=p.Column,
        query=p.DistinctColumn,
        answer=s.ColumnValues,
        failures={400: "`column` is not one of those allowed"} | WRONG | AWAY,
    ),
    Operation(
        path=f"{PREFIX}/completion",
        needs=READ,
        summary="What may stand at a place of a search",
        query=p.Completion,
        answer=s.Completions,
        failures=WRONG | AWAY,
    ),
    Operation(
        path=f"{PREFIX}/histogram",
        needs=READ,
        summary="How many records there are, by time and the values of a field",
        query=st.Histogram,
        answer=st.Counted,
        failures=WRONG | AWAY,
    ),
    Operation(
        path=f"{PREFIX}/facets",
        needs=READ,
        summary="The most frequent values of many fields",
        query=st.Facets,
        answer=st.Faceted,
        failures=WRONG | AWAY,
    ),
    Operation(
        path=f"{PREFIX}/stats",
        needs=READ,
        summary="How the numbers of fields are spread, by groups and time",
        query=st.Stats,
        answer=st.Spread,
        failures=WRONG | AWAY,
    ),
    Operation(
        path=f"{PREFIX}/context/{{id}}",
        needs=READ,
        summary="The records around one, oldest first",
        in_path=c.Line,
        query=c.Around,
        answer=c.Surroundings,
        failures={404: "there is no such record"} | WRONG | AWAY,
    ),
    Operation(
        path=f"{PREFIX}/text-index",
        needs=READ_ALL,
        summary="Which days searches of text go through by an index",
        answer=TextIndex,
        failures=AWAY,
    ),
    Operation(
        path=f"{PREFIX}/export",
        needs=READ,
        summary="All records of a search as a file, oldest first; the last says it is complete",
        query=p.Export,
        answer=str,
        media=FILES,
        failures={501: "Parquet is not installed"} | WRONG | AWAY,
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
        | WRONG
        | AWAY,
    ),
    *FORWARDING,
    *ALERTING,
    *OPERATING,
    Operation(
        path=v.PATH,
        needs=READ_ALL,
        summary="The saved views of the page",
        answer=v.SavedViews,
        failures=AWAY,
    ),
    Operation(
        method="put",
        path=f"{v.PATH}/{{name}}",
        needs=READ_ALL,
        summary="Save a view of the page, in the place of the one with its name",
        in_path=v.Named,
        body=v.Wanted,
        answer=SavedView,
        failures=_BODY | {400: "the body is no JSON, or there are 1,000 views"} | WRONG | AWAY,
    ),
    Operation(
        method="delete",
        path=f"{v.PATH}/{{name}}",
        needs=READ_ALL,
        summary="Delete a saved view",
        in_path=v.Named,
        answer=SavedView,
        failures={404: "there is no such view"} | WRONG | AWAY,
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
        summary="End the session, wherever its cookie is",
        answer=session.Session,
        failures={403: "a page of another site asks"} | AWAY,
    ),
    Operation(
        path=audit.PATH,
        summary="What was done with the rights of an admin, the newest first",
        query=audit.AuditPage,
        answer=audit.Actions,
        failures=WRONG | AWAY,
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
