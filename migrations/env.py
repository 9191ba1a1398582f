"""What Alembic runs: the migrations, on the connection that `storage.migrate` gives."""

from __future__ import annotations

from alembic import context

attributes = context.config.attributes
options = {"version_table": attributes["version_table"], "transaction_per_migration": True}

if context.is_offline_mode():
    # Any style of parameters but the default, which writes every percent sign twice.
    style = {"paramstyle": "named"}
    context.configure(dialect_name="postgresql", dialect_opts=style, literal_binds=True, **options)
else:
    context.configure(connection=attributes["connection"], **options)
with context.begin_transaction():
    context.run_migrations()
