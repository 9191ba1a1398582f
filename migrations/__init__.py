"""The schema, as Alembic migrations in plain SQL; `storage.migrate` runs them."""
