"""
The text that a search looks through, as an expression that sealed partitions index.

The index itself is built by the collector, one partition after another, when their days are
over (`storage.sealing`): kept on every insert it would divide their rate by five.
"""

from __future__ import annotations

from alembic import op

revision = "0004"
down_revision = "0003"

# Everything in lower case: ASCII first, so that no locale has an I of its own. A unit separator
# stands between what is not one text. Postgres expands a function of this form within a
# statement, so that a query and an index agree, and a scan pays for no calls.
TEXT = r"""
CREATE FUNCTION log_text(
    msg text, error text, error_type text, stage text, operation_type text,
    provider_id text, domain text, channel text, extra jsonb
) RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN lower(lower((
    coalesce(msg, '') || E'\x1f' || coalesce(error, '') || E'\x1f' || coalesce(error_type, '')
    || E'\x1f' || coalesce(stage, '') || E'\x1f' || coalesce(operation_type, '')
    || E'\x1f' || coalesce(provider_id, '') || E'\x1f' || coalesce(domain, '')
    || E'\x1f' || coalesce(channel, '') || E'\x1f' || coalesce(extra::text, '')
) COLLATE "C") COLLATE "default");

COMMENT ON FUNCTION log_text IS
    'what a search for text looks through, in lower case; sealed partitions have an index of it';
"""

# pg_trgm is a trusted extension, but not every server has it, nor every owner may add it.
TRIGRAMS = """
DO $$
BEGIN
    CREATE EXTENSION IF NOT EXISTS pg_trgm;
EXCEPTION WHEN OTHERS THEN
    RAISE NOTICE 'no pg_trgm, so no index for searches of text: %', SQLERRM;
END
$$;
"""

# A few bytes a hundred rows: ids rise with the rows, so their ranges are narrow.
IDS = """
CREATE INDEX log_entries_id ON log_entries USING brin (id)
    WITH (pages_per_range = 32, autosummarize = on);
"""


def upgrade() -> None:
    """Make the function, and the index of ids; that of texts is made later."""
    for statements in (TRIGRAMS, TEXT, IDS):
        op.execute(statements)


def downgrade() -> None:
    """Take them away, the indexes of sealed partitions too; the extension may be another's."""
    op.execute("DROP FUNCTION log_text CASCADE; DROP INDEX log_entries_id;")
