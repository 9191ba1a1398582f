"""
TLS of an endpoint, whose certificates may be renewed while it runs.

A new connection is taken with what the files have then; those that are open go on as they are.
"""

from __future__ import annotations

import ssl
import time
from pathlib import Path
from typing import TYPE_CHECKING

import structlog

if TYPE_CHECKING:
    from collector.sections import ServerTls

LOOKED = 5.0  # seconds between two looks at the files
VERSIONS = {"1.2": ssl.TLSVersion.TLSv1_2, "1.3": ssl.TLSVersion.TLSv1_3}

log = structlog.get_logger()


def context(settings: ServerTls) -> ssl.SSLContext:
    """
    Give what connections are taken with.

    Raises:
        OSError: a file is missing, or is not what it should be.
    """
    for file in _files(settings):  # of what it lacks the library doesn't tell the name
        file.open("rb").close()
    made = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    made.minimum_version = VERSIONS[settings.min_version]
    made.set_alpn_protocols(["http/1.1"])
    # Without a password nobody is asked for one at a terminal.
    made.load_cert_chain(settings.cert_file, settings.key_file, password="")
    if settings.client_ca_file:
        made.load_verify_locations(settings.client_ca_file)
        made.verify_mode = ssl.CERT_REQUIRED
    return made


class Certificates:
    """The context of *settings*, made anew when a file has changed and all of them fit together."""

    def __init__(self, settings: ServerTls) -> None:
        self._settings = settings
        self._files = self._stamps()
        self._context = context(settings)
        self._looked = time.monotonic()

    def context(self) -> ssl.SSLContext:
        """Give what the next connection is taken with."""
        if time.monotonic() - self._looked >= LOOKED:
            self._looked = time.monotonic()
            if (files := self._stamps()) != self._files:
                self._files = files
                self._renew()
        return self._context

    def _renew(self) -> None:
        try:
            self._context = context(self._settings)
        except OSError as exc:
            file = exc.filename or self._settings.cert_file
            log.error("certificates_not_renewed", file=file, error=exc.strerror or str(exc))  # noqa: TRY400  no bug
        else:
            log.info("certificates_renewed", file=self._settings.cert_file)

    def _stamps(self) -> list[tuple[int, int, int] | None]:
        """Give what tells a file from a newer one."""
        return [_stamp(file) for file in _files(self._settings)]


def _files(settings: ServerTls) -> list[Path]:
    given = (settings.cert_file, settings.key_file, settings.client_ca_file)
    return [Path(each) for each in given if each]


def _stamp(file: Path) -> tuple[int, int, int] | None:
    try:
        found = file.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino
