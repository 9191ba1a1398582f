"""
Every counter the collector keeps, with its labels and its meaning; README shows this table.

Names follow Prometheus; a counter is exposed with the suffix ``_total``. Where there are
several worker processes, each keeps its counters in files of its place in a folder, and what is
exposed is their sum; a worker that takes another's place goes on with its files.
"""

from __future__ import annotations

import datetime as dt
import functools
import os
from typing import TYPE_CHECKING

from prometheus_client import (
    REGISTRY,
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    generate_latest,
    multiprocess,
    values,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from prometheus_client import Metric

FOLDER = "PROMETHEUS_MULTIPROC_DIR"  # the library's own variable
PLACE = "PIXSIM_COLLECTOR_PLACE"
STARTING = "PIXSIM_COLLECTOR_STARTED"
# When counting began: workers have it from who started them.
STARTED = dt.datetime.fromisoformat(
    os.environ.get(STARTING) or dt.datetime.now(dt.UTC).isoformat(timespec="seconds")
)
if place := os.environ.get(PLACE):  # before any counter is made
    values.ValueClass = values.MultiProcessValue(lambda: place)  # type: ignore[no-untyped-call]
gauge = functools.partial(Gauge, multiprocess_mode="livesum")  # of the processes that run

requests = Counter(
    "pixsim_requests",
    "Requests answered, by method, route and status.",
    ("method", "route", "status"),
)
records_stored = Counter(
    "pixsim_records_stored",
    "Log records committed.",
    ("receiver",),
)
records_repeated = Counter(
    "pixsim_records_repeated",
    "Log records sent again, which were stored before and are not stored twice.",
    ("receiver",),
)
records_refused = Counter(
    "pixsim_records_refused",
    "Log records not stored, each told to its sender, by reason.",
    ("receiver", "reason"),
)
requests_refused = Counter(
    "pixsim_requests_refused",
    "Requests refused whole, each told to its sender, by route and reason.",
    ("route", "reason"),
)
records_changed = Counter(
    "pixsim_records_changed",
    "Log records stored with a value changed (such as a NUL replaced), by reason.",
    ("receiver", "reason"),
)
values_redacted = Counter(
    "pixsim_values_redacted",
    "Values that processor redaction has taken out before they were stored, by what told them.",
    ("rule",),
)
records_spooled = Counter(
    "pixsim_records_spooled",
    "Log records put into the spool, for the database was away; they are stored later.",
    ("receiver",),
)
records_drained = Counter(
    "pixsim_records_drained",
    "Log records that came out of the spool, by what became of them: stored, repeated or refused.",
    ("receiver", "outcome"),
)
spool_records = gauge(
    "pixsim_spool_records",
    "Log records that wait in the spool.",
)
spool_bytes = gauge(
    "pixsim_spool_bytes",
    "Bytes of the spool that are in use.",
)
spool_age_seconds = gauge(
    "pixsim_spool_age_seconds",
    "Age of the oldest request in the spool.",
)
senders = Counter(
    "pixsim_sender_records",
    "Log records accepted, by receiver and the product name of the sender's User-Agent.",
    ("receiver", "sender"),
)
records_deleted = Counter(
    "pixsim_records_deleted",
    "Log records deleted by housekeeping, by the rule or limit; table log_deletions has all.",
    ("reason",),
)
retention_held = gauge(
    "pixsim_retention_held",
    "1 while the clock has jumped ahead, and retention counts from before; of who keeps house.",
)
forwarded = Counter(
    "pixsim_forwarded_records",
    "Log records on their way to a destination: sent, or retried, rejected, skipped, gone or dead.",
    ("destination", "outcome"),
)
forwarding_running = gauge(
    "pixsim_forwarding_running",
    "1 while a destination is sent to, 0 while it is paused or stopped; of who sends alone.",
    ("destination",),
)
forwarding_lag_records = gauge(
    "pixsim_forwarding_lag_records",
    "Log records that wait for a destination; of who sends alone, as the next two.",
    ("destination",),
)
forwarding_lag_bytes = gauge(
    "pixsim_forwarding_lag_bytes",
    "Bytes that these have, estimated.",
    ("destination",),
)
forwarding_lag_seconds = gauge(
    "pixsim_forwarding_lag_seconds",
    "Age of the oldest commit that waits for a destination.",
    ("destination",),
)
in_flight_bytes = gauge(
    "pixsim_in_flight_bytes",
    "Bytes of requests from their arrival to their answer.",
)
connections = gauge(
    "pixsim_connections",
    "Connections that are open.",
)
connections_closed = Counter(
    "pixsim_connections_closed",
    "Connections that were closed while they were idle, because others needed their place.",
)
tail_clients = gauge(
    "pixsim_tail_clients",
    "Readers that follow the records live.",
)
tail_records = Counter(
    "pixsim_tail_records",
    "Log records sent to who follows them live, each time counted.",
)
tail_behind = Counter(
    "pixsim_tail_behind",
    "Times that who follows live took less than was stored, and had to read alone.",
)
commit_seconds = Histogram(
    "pixsim_commit_seconds",
    "Seconds from the first record copied to the commit.",
    buckets=(0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5),
)
commit_records = Histogram(
    "pixsim_commit_records",
    "Log records a commit.",
    buckets=(1, 10, 100, 1_000, 10_000, 100_000),
)
alert_evaluations = Counter(
    "pixsim_alert_evaluations",
    "Evaluations of a rule of alerts: done, or failed.",
    ("rule", "outcome"),
)
alert_groups_left_out = Counter(
    "pixsim_alert_groups_left_out",
    "Groups that met a rule of alerts beyond its limit, at each evaluation.",
    ("rule",),
)
alerts_firing = gauge(
    "pixsim_alerts_firing",
    "Alerts of a rule that fire, silenced ones too; of who evaluates alone.",
    ("rule",),
)
alert_notifications = Counter(
    "pixsim_alert_notifications",
    "Notifications of alerts: sent, failed and tried again later, or given up.",
    ("notifier", "outcome"),
)
request_seconds = Histogram(
    "http_server_request_duration_seconds",
    "Seconds from a request's head to its answer, by method, route and status.",
    ("http_request_method", "http_route", "http_response_status_code"),
    buckets=(0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10),
)
request_records = Histogram(
    "pixsim_request_records",
    "Log records a request.",
    ("receiver",),
    buckets=(1, 10, 100, 1_000, 10_000, 100_000),
)
pool_connections = gauge(
    "db_client_connection_count",
    "Connections to the database, by what they are for and whether they are in use.",
    ("db_client_connection_pool_name", "db_client_connection_state"),
)
pool_most = gauge(
    "db_client_connection_max",
    "Connections that there may be, by what they are for.",
    ("db_client_connection_pool_name",),
)
event_loop_late = Histogram(
    "pixsim_event_loop_late_seconds",
    "Seconds that what was due each second came late, for something kept the process busy.",
    buckets=(0.001, 0.005, 0.02, 0.1, 0.5, 1, 2, 5),
)
process_cpu = gauge(
    "process_cpu_time_seconds",
    "Seconds of a processor that the processes have used.",
)
process_memory = gauge(
    "process_memory_usage_bytes",
    "Bytes of memory that the processes have.",
)
process_files = gauge(
    "process_unix_file_descriptor_count",
    "Files and connections that the processes have open.",
)
database_up = gauge(
    "pixsim_database_up",
    "1 while the database answers who keeps house, who looks each 15 s; it alone has these.",
)
database_bytes = gauge(
    "pixsim_database_bytes",
    "Bytes of the database.",
)
records_bytes = gauge(
    "pixsim_records_bytes",
    "Bytes of the records, with their indexes and the ledger.",
)
database_connections = gauge(
    "pixsim_database_connections",
    "Connections that the server has, of everybody.",
)
database_most_connections = gauge(
    "pixsim_database_connections_max",
    "Connections that the server may have.",
)
partitions = gauge(
    "pixsim_partitions",
    "Tables that hold the records, one a day.",
)
partitions_ahead = gauge(
    "pixsim_partitions_ahead",
    "Days after today that have a partition.",
)
records_stray = gauge(
    "pixsim_records_stray",
    "Log records of the last week in no day's partition; they are moved within ten minutes.",
)
records_uncounted = gauge(
    "pixsim_records_uncounted",
    "Log records that are not in the counts by minute and hour yet.",
)
newest_commit = gauge(
    "pixsim_newest_commit_timestamp_seconds",
    "Unix time at which the newest records in the ledger were received.",
)
disk_free = gauge(
    "pixsim_disk_free_bytes",
    "Bytes that are free on the disk of a folder.",
    ("folder",),
)
log_lines_suppressed = Counter(
    "pixsim_log_lines_suppressed",
    "Lines of the collector's own log that were left out, for they had been there many times.",
    ("event",),
)
spans = Counter(
    "pixsim_spans",
    "Spans of the collector's own: sent, or dropped; none without service.telemetry.traces.",
    ("outcome",),
)
workers_restarted = Counter(
    "pixsim_workers_restarted",
    "Worker processes that were started in the place of one that died.",
)


def shared(folder: Path, place: int) -> dict[str, str]:
    """Give the environment of a worker that is to keep its counters in *folder*."""
    return {FOLDER: str(folder), PLACE: str(place), STARTING: STARTED.isoformat()}


def ended(folder: Path, place: int) -> None:
    """Forget the gauges of a worker that has ended, not its counters."""
    multiprocess.mark_process_dead(place, str(folder))  # type: ignore[no-untyped-call]


def exposed() -> bytes:
    """Give all counters as Prometheus reads them, of all workers together."""
    return generate_latest(_all())


def families() -> Iterable[Metric]:
    """Give all counters with their samples, of all workers together."""
    return _all().collect()


def totals(counters: Sequence[Counter]) -> list[list[tuple[dict[str, str], int]]]:
    """Give what each of *counters* has by its labels, of all workers together; most first."""
    found: dict[str, list[tuple[dict[str, str], int]]] = {}
    for family in _all().collect():
        for sample in family.samples:
            if sample.name == f"{family.name}_total" and sample.value:
                found.setdefault(family.name, []).append((sample.labels, int(sample.value)))
    names = [metric.name for counter in counters for metric in counter.describe()]
    return [sorted(found.get(name, []), key=lambda each: -each[1]) for name in names]


def _all() -> CollectorRegistry:
    if PLACE not in os.environ:
        return REGISTRY
    registry = CollectorRegistry()
    multiprocess.MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
    return registry
