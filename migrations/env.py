"""What Alembic runs: the migrations, on the connection that `storage.migrate` gives."""

from __future__ import annotations

from alembic import context

attributes = context.config.attributes
options = {"version_table": attributes["version_table"], "transaction_per_migration": True}

if context.is_offline_mode():
    context.configure(dialect_name="postgresql", literal_binds=True, **options)
else:
    context.configure(connection=attributes["connection"], **options)
with context.begin_transaction():
    context.run_migrations()
