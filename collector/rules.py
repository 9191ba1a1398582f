"""What must hold between the parts of a configuration: names lead somewhere, sockets are free."""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING, Any

import msgspec

from collector import tls
from collector.config import KINDS
from collector.document import BROKEN, Node, Problem
from collector.forwarding.settings import Forwarder
from collector.sections import servers
from collector.shape import suggestion

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from collector.sections import ServerTls

PIPELINE = ("service", "pipelines", "logs")
STORE = "postgres"  # the type of the exporter whose commit a sender waits for
HIGHEST_PORT = 65_535
ELSEWHERE = (
    "{} can be reached from other machines: set service.access to `keys`, and make one with"
    " `pixsim-collector keys create`; or to `anybody`, if everybody there may send and read"
)
_EVERY_HOST = {"", "0.0.0.0", "[::]"}  # noqa: S104  named, not bound


class Checks:
    """
    What is wrong, and what is only odd, between the parts of the file *root*.

    *components* has by kind and name the settings, or `BROKEN`; the names that run are read
    off the file itself, so that they are checked whatever else is wrong.
    """

    def __init__(self, root: Node, components: Mapping[str, Mapping[str, Any]]) -> None:
        self._root = root
        self._components = components
        self.problems: list[Problem] = []
        self.warnings: list[Problem] = []
        used = {kind: self._used(kind) for kind in KINDS}
        self._store(used["exporters"])
        self._endpoints(used)
        self._access(used)

    def _used(self, kind: str) -> list[str]:
        """Give the names of *kind* that run, and check that they are some."""
        where = ("service", kind) if kind == "extensions" else (*PIPELINE, kind)
        path, defined, node = ".".join(where), self._components[kind], self._root.given(*where)
        if node is None:
            names = list(defined)
        else:
            names = self._named(node, path, kind)
            for name in defined.keys() - set(names):
                self.warnings.append(Problem(self._line(kind, name), f"{kind}.{name}", "not used"))
        if kind in {"receivers", "exporters"}:
            self._some(kind, path, node)
        return [name for name in dict.fromkeys(names) if name in defined]

    def _some(self, kind: str, path: str, node: Node | None) -> None:
        """Check that *node*, or without it the section *kind*, names anything."""
        section = self._root.given(kind)
        misshapen = section is not None and not isinstance(section.value, dict)
        if node.value == [] if node else not self._components[kind] and not misshapen:
            line = node.line if node else self._line(kind)
            message = f"expected at least one of the {kind}, found none"
            self.problems.append(Problem(line, path, message))

    def _named(self, node: Node, path: str, kind: str) -> list[str]:
        names: list[str] = []
        for place, item in enumerate(node.value if isinstance(node.value, list) else ()):
            there, name = f"{path}[{place}]", item.value
            if not isinstance(name, str):
                continue  # its type is somebody else's to report
            if name not in (defined := self._components[kind]):
                hint = suggestion(name, defined)
                message = f"no {kind.removesuffix('s')} is named {name!r}{hint}"
                self.problems.append(Problem(item.line, there, message))
            elif name in names:
                self.problems.append(Problem(item.line, there, f"{name!r} is there already"))
            names.append(name)
        return names

    def _store(self, exporters: list[str]) -> None:
        stores = [name for name in exporters if _type(name) == STORE]
        if exporters and len(stores) != 1:
            node = self._root.at(*PIPELINE, "exporters")
            found = ", ".join(stores) or "none"
            message = f"expected one exporter of type {STORE}, found {found}"
            line = node.line if node else self._line("exporters")
            self.problems.append(Problem(line, ".".join((*PIPELINE, "exporters")), message))
        for name in exporters:
            settings = self._components["exporters"][name]
            if (
                name not in stores
                and settings is not BROKEN
                and not isinstance(settings, Forwarder)
            ):
                message = f"expected the store or a forwarder, {name} is neither"
                self.problems.append(Problem(self._line("exporters", name), name, message))

    def _endpoints(self, used: Mapping[str, list[str]]) -> None:
        """Check that components share a socket only where all of them work."""
        sockets: list[_Socket] = []
        for kind, name in ((kind, name) for kind, names in used.items() for name in names):
            for socket in _sockets(self._components[kind][name], (kind, name)):
                reasons = [f"expected a port up to {HIGHEST_PORT}"] * (socket.port > HIGHEST_PORT)
                reasons += filter(None, (socket.clash(other) for other in sockets))
                reasons += _unusable(socket.tls)
                path = (*socket.path, "endpoint")
                self.problems += [Problem(self._line(*path), ".".join(path), r) for r in reasons]
                sockets.append(socket)

    def _access(self, used: Mapping[str, list[str]]) -> None:
        """Check that where others can reach us it was said who of them may."""
        node = self._root.given("service", "access")
        if node is not None and node.value != "auto":
            return
        told: set[str] = set()
        for kind, name in ((kind, name) for kind, names in used.items() for name in names):
            for socket in _sockets(self._components[kind][name], (kind, name)):
                where = f"{socket.host}:{socket.port}"
                if not _is_loopback(socket.host) and where not in told:
                    told.add(where)
                    path = (*socket.path, "endpoint")
                    problem = Problem(self._line(*path), ".".join(path), ELSEWHERE.format(where))
                    self.problems.append(problem)

    def _line(self, *path: str) -> int:
        """Give the line of the nearest thing to *path* that the file has, or 0."""
        while path:
            if (node := self._root.at(*path)) is not None:
                return node.line
            path = path[:-1]
        return 0


class _Socket(msgspec.Struct, frozen=True):
    """Where a component listens."""

    path: tuple[str, ...]
    host: str
    port: int
    tls: ServerTls

    def clash(self, other: _Socket) -> str | None:
        """Say why both cannot be, if so."""
        if (self.host, self.port) == (other.host, other.port) and self.tls != other.tls:
            return f"{'.'.join(other.path)} has other tls there; write it the same"
        if self.port != other.port or self.port == 0:  # 0 is any free port
            return None
        theirs = ".".join(other.path)
        if self.host != other.host:
            every = _EVERY_HOST & {self.host, other.host}
            address = f"{other.host}:{other.port}"
            return f"{theirs} has {address}; to share the port write it the same" if every else None
        same_type = _type(self.path[1]) == _type(other.path[1])
        return f"{theirs} serves the same paths there" if same_type else None


def _sockets(section: Any, path: tuple[str, ...]) -> Iterator[_Socket]:
    for there, server in servers(section, path):
        host, _, port = server.endpoint.rpartition(":")
        yield _Socket(there, host, int(port), server.tls)


def _unusable(settings: ServerTls) -> Iterator[str]:
    """Say why there is no TLS by *settings*, if so."""
    if settings.cert_file:
        try:
            tls.context(settings)
        except OSError as exc:
            yield f"{exc.filename or settings.cert_file}: {exc.strerror or exc}"


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host == "localhost"


def _type(name: str) -> str:
    return name.partition("/")[0]
