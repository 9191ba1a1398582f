"""
Every counter the collector keeps, with its labels and its meaning; README shows this table.

Names follow Prometheus; a counter is exposed with the suffix ``_total``.
"""

from __future__ import annotations

from prometheus_client import Counter, Gauge, Histogram

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
in_flight_bytes = Gauge(
    "pixsim_in_flight_bytes",
    "Bytes of requests from their arrival to their answer.",
)
tail_clients = Gauge(
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
