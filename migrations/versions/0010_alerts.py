"""Alerts: what is pending or firing, what was, what is silenced, and what is to be told."""

from __future__ import annotations

from alembic import op

from migrations import reader

revision = "0010"
down_revision = "0009"

NAMES = ("alert_rules", "alerts", "alert_values", "alert_history", "alert_silences")
TABLES = """
CREATE TABLE alert_rules (
    name          text COLLATE "C" PRIMARY KEY,
    definition    text NOT NULL,
    evaluated_at  timestamptz,
    values_until  timestamptz,
    left_out      bigint NOT NULL DEFAULT 0,
    error         text
);

CREATE TABLE alerts (
    rule         text COLLATE "C" NOT NULL REFERENCES alert_rules ON DELETE CASCADE,
    value        text COLLATE "C" NOT NULL,
    id           uuid NOT NULL,
    state        text NOT NULL CHECK (state IN ('pending', 'firing')),
    active_at    timestamptz NOT NULL,
    fired_at     timestamptz,
    notified_at  timestamptz,
    notifiers    text[] NOT NULL,
    records      bigint NOT NULL,
    before       bigint,
    description  text NOT NULL,
    labels       jsonb NOT NULL,
    PRIMARY KEY (rule, value)
);

CREATE TABLE alert_values (
    rule     text COLLATE "C" NOT NULL REFERENCES alert_rules ON DELETE CASCADE,
    value    text COLLATE "C" NOT NULL,
    since    timestamptz NOT NULL,
    last     timestamptz NOT NULL,
    records  bigint NOT NULL,
    PRIMARY KEY (rule, value)
);

CREATE TABLE alert_history (
    id           bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at           timestamptz NOT NULL,
    rule         text COLLATE "C" NOT NULL,
    value        text NOT NULL,
    alert        uuid NOT NULL,
    state        text NOT NULL CHECK (state IN ('firing', 'resolved')),
    records      bigint NOT NULL,
    before       bigint,
    description  text NOT NULL,
    labels       jsonb NOT NULL,
    silenced     boolean NOT NULL
);
CREATE INDEX alert_history_rule ON alert_history (rule, id);
CREATE INDEX alert_history_at ON alert_history (at);

CREATE TABLE alert_silences (
    id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    matchers    jsonb NOT NULL,
    until       timestamptz NOT NULL,
    comment     text NOT NULL,
    author      text NOT NULL,
    created_at  timestamptz NOT NULL
);

CREATE TABLE alert_notifications (
    number      bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    id          uuid NOT NULL,
    notifier    text COLLATE "C" NOT NULL,
    rule        text COLLATE "C" NOT NULL,
    content     jsonb NOT NULL,
    state       text NOT NULL DEFAULT 'waiting' CHECK (state IN ('waiting', 'sent', 'given_up')),
    attempts    integer NOT NULL DEFAULT 0,
    next_at     timestamptz NOT NULL,
    error       text,
    created_at  timestamptz NOT NULL,
    changed_at  timestamptz NOT NULL
);
CREATE INDEX alert_notifications_waiting ON alert_notifications (notifier, rule, number)
    WHERE state = 'waiting';

COMMENT ON TABLE alert_rules IS 'rules of alerts, and when each was evaluated';
COMMENT ON COLUMN alert_rules.values_until IS 'up to where alert_values has all values';
COMMENT ON COLUMN alert_rules.left_out IS 'groups beyond the limit, at the last evaluation';
COMMENT ON TABLE alerts IS 'what is pending or firing; a row a rule and value of its field';
COMMENT ON COLUMN alerts.notifiers IS 'who was told that it fires, and is told when it does not';
COMMENT ON TABLE alert_values IS 'values that rules for new ones have seen';
COMMENT ON TABLE alert_history IS 'when alerts began and ceased to fire';
COMMENT ON TABLE alert_silences IS 'which alerts nobody is told of, and until when';
COMMENT ON TABLE alert_notifications IS
    'what is to be told, written with the change that it tells of, and what became of it';
"""


def upgrade() -> None:
    """Make the tables, still empty."""
    op.execute(TABLES)
    op.execute(reader.readable(*NAMES, "alert_notifications"))


def downgrade() -> None:
    """Drop them; what fires then begins anew."""
    op.execute(f"DROP TABLE alert_notifications, {', '.join(reversed(NAMES))}")
