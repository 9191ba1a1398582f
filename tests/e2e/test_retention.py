"""A collector that deletes what its configuration no longer keeps."""

from __future__ import annotations

import time

import psycopg

INSERT = """
INSERT INTO log_entries (timestamp, level, service, msg) VALUES
    (now(), 'DEBUG', 'worker', 'new'),
    (now() - interval '5 days', 'DEBUG', 'worker', 'debug'),
    (now() - interval '5 days', 'INFO', 'worker', 'info'),
    (now() - interval '40 days', 'INFO', 'worker', 'old')
"""


def test_a_collector_deletes_by_itself(database, start):
    """
    What the rules no longer keep goes soon after the start, and the log, the counter and the
    table of deletions say so.
    """
    with psycopg.connect(database) as connection:
        connection.execute(INSERT)
    rules = "[{level: debug, days: 3}]"
    collector = start(f'dsn: "{database}", retention: {{days: 30, rules: {rules}}}')
    end = time.monotonic() + 20
    while "".join(collector.lines).count("records_deleted") < 2 and time.monotonic() < end:
        time.sleep(0.05)
    left = {entry["msg"] for entry in collector.query()}
    counted = {
        dict(labels)["reason"]: value
        for (name, labels), value in collector.counters().items()
        if name == "pixsim_records_deleted_total"
    }
    with psycopg.connect(database) as connection:
        audit = connection.execute("SELECT command, reason, records FROM log_deletions").fetchall()

    assert left == {"new", "info"}
    assert counted == {"level: debug, older than 3 days": 1, "all others, older than 30 days": 1}
    assert sorted(("serve", reason, 1) for reason in counted) == sorted(audit)
