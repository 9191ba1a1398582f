"""A migrated Postgres for tests: one server a session, one template, a clone a test."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import os
import shutil
import socket
import subprocess
import tempfile
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import parse_qs, urlsplit, urlunsplit

import psycopg

from storage import citus, embedded, migrate, timescale

TEMPLATE = f"pixsim_template_{os.getpid()}"
_numbers = itertools.count()
# A test's database need not outlive the machine's power.
HASTY = ("fsync=off", "full_page_writes=off")
# Where a database is copied in a thirtieth of the time, if it has room for some servers.
MEMORY, ROOM = Path("/dev/shm"), 8 * 1024**3


def named(dsn: str, database: str) -> str:
    """Give *dsn* with another database."""
    return urlunsplit(urlsplit(dsn)._replace(path=f"/{database}"))


def admin(dsn: str, statement: str) -> None:
    """Run a statement that wants no transaction."""
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute(statement)


def made_folder(prefix):
    """Make a folder for a server's data; who calls this removes it."""
    roomy = MEMORY.is_dir() and shutil.disk_usage(MEMORY).free >= ROOM
    return Path(tempfile.mkdtemp(prefix=prefix, dir=MEMORY if roomy else None))


@contextmanager
def server():
    """Run a server of our own, or give the one that TEST_DATABASE_URL names."""
    if dsn := os.environ.get("TEST_DATABASE_URL"):
        yield dsn
        return
    folder = made_folder("pixsim-tests-")
    try:
        with embedded.running(folder / "postgres") as dsn:
            for setting in HASTY:
                admin(dsn, f"ALTER SYSTEM SET {setting}")
            admin(dsn, "SELECT pg_reload_conf()")
            yield dsn
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def debian_binaries():
    """Give the folder of a Debian Postgres server's programs, or None."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    return found[-1].parent if found else None


def timescale_binaries():
    """Give the folder of the programs of a Postgres that has TimescaleDB, or None."""
    folder = os.environ.get("PIXSIM_TEST_TIMESCALEDB")
    return Path(folder) if folder else None


def citus_binaries():
    """Give the folder of the programs of a Postgres that has Citus, or None."""
    folder = os.environ.get("PIXSIM_TEST_CITUS")
    return Path(folder) if folder else None


@contextmanager
def installed_server(binaries, *settings):
    """Run an installed server with more *settings*, as another user where we are root."""
    folder = made_folder("pixsim-tests-installed-")
    options = {"capture_output": True, "cwd": "/"}
    if os.geteuid() == 0:
        shutil.chown(folder, "postgres")
        options["user"] = "postgres"
    data = folder / "data"
    sockets = ("listen_addresses=''", f"unix_socket_directories={folder}")
    switches = " ".join(f"-c {setting}" for setting in (*sockets, *HASTY, *settings))

    def run(program, *arguments):
        subprocess.run([binaries / program, "-D", data, *arguments], check=True, **options)

    try:
        run("initdb", "-U", "postgres", "--auth=trust", "--encoding=UTF8", "--locale=C.UTF-8")
        run("pg_ctl", "-w", "-o", switches, "-l", folder / "log", "start")
        try:
            yield f"postgresql://postgres@/postgres?host={folder}"
        finally:
            run("pg_ctl", "-w", "-m", "immediate", "stop")
    finally:
        shutil.rmtree(folder, ignore_errors=True)


# No jobs in the background: a database that one works in can't be copied.
TIMESCALE = ("shared_preload_libraries=timescaledb", "timescaledb.max_background_workers=0")


CITUS = (
    "shared_preload_libraries=citus",
    "citus.override_table_visibility=off",  # what `citus.prepare` has set of a database isn't copied
    "max_worker_processes=64",
    "max_connections=300",
)
WORKERS: dict[str, list[tuple[str, int]]] = {}  # of a coordinator: DSN and port
SHARDS = 4
TRIES = 5  # to drop a database, of five seconds each


@contextmanager
def citus_cluster(binaries):
    """Run a coordinator with two workers on loopback; give the DSN of the former."""
    with contextlib.ExitStack() as running:
        found = []
        for _ in range(3):
            with socket.create_server(("127.0.0.1", 0)) as free:
                port = free.getsockname()[1]
            listening = ("listen_addresses=127.0.0.1", f"port={port}")
            dsn = running.enter_context(installed_server(binaries, *CITUS, *listening))
            found.append((f"{dsn}&port={port}", port))
        (coordinator, _), *workers = found
        WORKERS[coordinator] = workers
        try:
            yield coordinator
        finally:
            del WORKERS[coordinator]


def everywhere(dsn: str, statement: str) -> None:
    """Run a statement that wants no transaction on a server and, if it has some, its workers."""
    for each in (dsn, *(worker for worker, _ in WORKERS.get(dsn, ()))):
        admin(each, statement)


def dropped(dsn: str, database: str) -> None:
    """Drop a database, of a cluster everywhere; Citus' own process may take long to leave it."""
    for each in (dsn, *(worker for worker, _ in WORKERS.get(dsn, ()))):
        for left in reversed(range(TRIES)):
            try:
                admin(each, f"DROP DATABASE IF EXISTS {database} WITH (FORCE)")
                break
            except psycopg.errors.ObjectInUse:
                if not left:
                    raise


def join(dsn: str, database: str) -> None:
    """Make the extension Citus in a database of a cluster, and add its workers."""
    for each in (dsn, *(worker for worker, _ in WORKERS[dsn])):
        admin(named(each, database), "CREATE EXTENSION citus")
    (coordinator,) = parse_qs(urlsplit(dsn).query)["port"]
    admin(named(dsn, database), f"SELECT citus_set_coordinator_host('127.0.0.1', {coordinator})")
    for _, port in WORKERS[dsn]:
        admin(named(dsn, database), f"SELECT citus_add_node('127.0.0.1', {port})")


@contextmanager
def template(dsn: str, engine: str = "postgres"):
    """Make a migrated database that `clone` copies, of an engine."""
    dropped(dsn, TEMPLATE)
    everywhere(dsn, f"CREATE DATABASE {TEMPLATE}")
    database = named(dsn, TEMPLATE)
    migrate.upgrade(database)
    if engine == "timescaledb":
        asyncio.run(timescale.prepare(database, compress_after=7, told=lambda _: None))
    elif engine == "citus":
        join(dsn, TEMPLATE)
        asyncio.run(citus.prepare(database, shards=SHARDS, told=lambda _: None))
        # Citus keeps a process connected to each database, and then it can't be copied.
        everywhere(dsn, f"ALTER DATABASE {TEMPLATE} ALLOW_CONNECTIONS false")
        everywhere(
            dsn,
            f"SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity"
            f" WHERE datname = '{TEMPLATE}'",
        )
    try:
        yield dsn
    finally:
        dropped(dsn, TEMPLATE)


@contextmanager
def clone(dsn: str, *, migrated: bool = True):
    """Give the DSN of a database of one's own, migrated or empty."""
    name = f"pixsim_test_{os.getpid()}_{next(_numbers)}"
    template = TEMPLATE if migrated else "template0"
    # A fifth of the time of the default strategy, which is for servers that must not checkpoint.
    everywhere(dsn, f"CREATE DATABASE {name} TEMPLATE {template} STRATEGY file_copy")
    try:
        yield named(dsn, name)
    finally:
        dropped(dsn, name)
