"""The roles that may read what we keep and nothing else, for queries and for people."""

from __future__ import annotations

READER = "pixsim_reader"
RESTRICTED = "pixsim_restricted"  # may read records of some services; see `storage.restriction`

# Roles belong to the whole server: another database may have made it, and who may not make
# one goes without.
_CREATE = """
DO $$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = '{role}') THEN
        CREATE ROLE {role} NOLOGIN;
    END IF;
EXCEPTION
    WHEN duplicate_object OR unique_violation THEN
        NULL;
    WHEN insufficient_privilege THEN
        RAISE WARNING 'no role {role}, for % may not create roles', current_user;
END
$$;
DO $$
BEGIN
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = '{role}')
        AND NOT (SELECT rolsuper FROM pg_roles WHERE rolname = current_user) THEN
        EXECUTE format('GRANT {role} TO %I', current_user);
    END IF;
EXCEPTION WHEN insufficient_privilege THEN
    RAISE WARNING '% may not become {role}', current_user;
END
$$;
DO $$
BEGIN
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = '{role}')
        AND NOT has_schema_privilege('{role}', current_schema(), 'USAGE') THEN
        EXECUTE format('GRANT USAGE ON SCHEMA %I TO {role}', current_schema());
    END IF;
EXCEPTION WHEN insufficient_privilege THEN
    RAISE WARNING 'role {role} may not look into schema %', current_schema();
END
$$;
"""


def created(role: str) -> str:
    """Give the SQL that makes *role*, lets us become it, and lets it look into our schema."""
    return _CREATE.replace("{role}", role)


CREATE = created(READER)


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
