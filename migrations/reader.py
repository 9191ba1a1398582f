"""The role that may read what we keep and nothing else, for queries and for people."""

from __future__ import annotations

READER = "pixsim_reader"

# Roles belong to the whole server: another database may have made it, and who may not make
# one goes without.
CREATE = f"""
DO $$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = '{READER}') THEN
        CREATE ROLE {READER} NOLOGIN;
    END IF;
EXCEPTION
    WHEN duplicate_object OR unique_violation THEN
        NULL;
    WHEN insufficient_privilege THEN
        RAISE WARNING 'no role {READER}, for % may not create roles', current_user;
END
$$;
DO $$
BEGIN
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = '{READER}')
        AND NOT (SELECT rolsuper FROM pg_roles WHERE rolname = current_user) THEN
        EXECUTE format('GRANT {READER} TO %I', current_user);
    END IF;
EXCEPTION WHEN insufficient_privilege THEN
    RAISE WARNING '% may not become {READER}', current_user;
END
$$;
DO $$
BEGIN
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = '{READER}')
        AND NOT has_schema_privilege('{READER}', current_schema(), 'USAGE') THEN
        EXECUTE format('GRANT USAGE ON SCHEMA %I TO {READER}', current_schema());
    END IF;
EXCEPTION WHEN insufficient_privilege THEN
    RAISE WARNING 'role {READER} may not look into schema %', current_schema();
END
$$;
"""


def readable(*relations: str) -> str:
    """Give the SQL that lets the role, where there is one, read *relations*."""
    return f"""
DO $$
BEGIN
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = '{READER}') THEN
        GRANT SELECT ON {", ".join(relations)} TO {READER};
    END IF;
END
$$;
"""
