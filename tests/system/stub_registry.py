# SPDX-License-Identifier: Apache-2.0
"""A schema registry inside the test process: quick, and hostile on demand.

Without faults it answers as a real one does, as far as the project asks:

    POST /subjects/S/versions        GET /subjects         PUT, GET /config[/S]
    POST /subjects/S (look-up)       GET /subjects/S/versions[/N|latest]
    GET  /schemas/ids/N[/versions]   POST /compatibility/subjects/S/versions[/N|latest]

`on(path, fault)` makes it misbehave, `requests` says what it was asked, stop()
and start() take it away and bring it back on the same port. Standard library only.
"""

from __future__ import annotations

import base64
import contextlib
import json
import re
import socket
import ssl
import struct
import sys
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from certificates import Certificates
from process import Port

CONTENT_TYPE = "application/vnd.schemaregistry.v1+json"


@dataclass(frozen=True)
class Request:
    """A request as it came. Header names are in lower case, `at` is the monotonic clock's."""

    method: str
    path: str
    query: str
    headers: Mapping[str, str]
    body: bytes
    at: float

    def json(self) -> Any:
        return json.loads(self.body)


@dataclass(frozen=True)
class Fault:
    """What the stub does instead of answering properly. The class methods name the usual ones.

    After the delay: `reset` aborts the connection; without a status, the proper answer
    follows; else that status with body + fill times "a" + end, of which `missing` bytes
    never come, though Content-Length counts them, with `drip_s` between single bytes.
    """

    delay_s: float = 0
    status: int | None = None
    body: bytes = b""
    fill: int = 0
    end: bytes = b""
    missing: int = 0
    drip_s: float = 0
    reset: bool = False
    content_type: str = CONTENT_TYPE

    @classmethod
    def delayed(cls, seconds: float) -> Fault:
        """The proper answer, late."""
        return cls(delay_s=seconds)

    @classmethod
    def error(cls, status: int = 500, error_code: int = 50001, message: str = "stub fault") -> Fault:
        return cls(status=status, body=_dump({"error_code": error_code, "message": message}))

    @classmethod
    def no_such_schema(cls) -> Fault:
        """404 with 40403: the registry knows that there is no such schema."""
        return cls.error(404, 40403, "Schema not found")

    @classmethod
    def bare_not_found(cls) -> Fault:
        """404 from something that is no registry, such as a proxy: it says nothing about schemas."""
        return cls(status=404, body=b"<html>not found</html>", content_type="text/html")

    @classmethod
    def json(cls, value: Any) -> Fault:
        """200 with any JSON: a list, a number, an object whose members have the wrong types."""
        return cls(status=200, body=_dump(value))

    @classmethod
    def schema(cls, text: Any, schema_type: str | None = None) -> Fault:
        """A well-formed answer that holds this schema text, whatever it is."""
        return cls.json({"schema": text} | ({"schemaType": schema_type} if schema_type else {}))

    @classmethod
    def invalid_json(cls) -> Fault:
        return cls(status=200, body=b'{"schema": "\\"string\\""')

    @classmethod
    def truncated(cls) -> Fault:
        """The connection closes in the middle of the body."""
        return cls(status=200, body=_dump({"schema": '"string"', "id": 1}), missing=10)

    @classmethod
    def huge(cls, size: int = 256 << 20) -> Fault:
        """A valid answer with a schema text of so many bytes."""
        return cls(status=200, body=b'{"schema":"', fill=size, end=b'"}')

    @classmethod
    def dripping(cls, interval_s: float = 0.5) -> Fault:
        """A valid answer that never stands still and takes for ever."""
        return cls(status=200, body=b'{"schema":"', fill=100_000, end=b'"}', drip_s=interval_s)

    @classmethod
    def reset_connection(cls) -> Fault:
        return cls(reset=True)


@dataclass
class _Rule:
    path: re.Pattern[str]
    fault: Fault
    method: str | None
    times: int | None


class RegistryAnswer(Exception):
    """An answer other than 200, with the protocol's error code."""

    def __init__(self, status: int, error_code: int, message: str) -> None:
        super().__init__(message)
        self.status, self.error_code = status, error_code


@dataclass
class _Schemas:
    """What a registry keeps. The same text has one id, under whatever subjects."""

    texts: dict[int, str] = field(default_factory=dict)
    subjects: dict[str, list[int]] = field(default_factory=dict)
    config: dict[str, str] = field(default_factory=lambda: {"": "BACKWARD"})

    def id_of(self, text: str) -> int | None:
        wanted = json.loads(text)
        return next((i for i, known in self.texts.items() if json.loads(known) == wanted), None)

    def register(self, subject: str, text: str) -> int:
        number = self.id_of(text)
        if number is None:
            number = max(self.texts, default=0) + 1
            self.texts[number] = text
        versions = self.subjects.setdefault(subject, [])
        if number not in versions:
            versions.append(number)
        return number

    def versions(self, subject: str) -> list[int]:
        if subject not in self.subjects:
            raise RegistryAnswer(404, 40401, f"Subject '{subject}' not found.")
        return self.subjects[subject]

    def version(self, subject: str, which: str) -> dict[str, Any]:
        ids = self.versions(subject)
        number = len(ids) if which == "latest" else int(which)
        if not 1 <= number <= len(ids):
            raise RegistryAnswer(404, 40402, f"Version {which} not found.")
        return self.describe(subject, ids[number - 1])

    def look_up(self, subject: str, text: str) -> dict[str, Any]:
        versions = self.versions(subject)
        number = self.id_of(text)
        if number is None or number not in versions:
            raise RegistryAnswer(404, 40403, "Schema not found")
        return self.describe(subject, number)

    def describe(self, subject: str, number: int) -> dict[str, Any]:
        version = self.subjects[subject].index(number) + 1
        return {"subject": subject, "version": version, "id": number, "schema": self.texts[number]}

    def text(self, number: int) -> str:
        if number not in self.texts:
            raise RegistryAnswer(404, 40403, f"Schema {number} not found")
        return self.texts[number]


class StubRegistry:
    """See the module. Runs from start() (or `with`) to stop()."""

    def __init__(
        self,
        *,
        tls: Certificates | None = None,
        client_certificate: bool = False,
        user: str | None = None,
        password: str = "",
    ) -> None:
        self.requests: list[Request] = []
        self.errors: list[str] = []
        """What went wrong with connections: refused handshakes, clients that left early."""
        self.is_compatible = True
        """What every compatibility check answers."""
        self._schemas = _Schemas()
        self._rules: list[_Rule] = []
        self._lock = threading.Lock()
        self._port = Port()
        self._server: _Server | None = None
        self._tls = _tls_context(tls, client_certificate) if tls else None
        self._authorization = "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode() if user else None
        self.url = f"{'https' if tls else 'http'}://127.0.0.1:{self._port.number}"

    def __enter__(self) -> StubRegistry:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
        self._port.release()

    def start(self) -> None:
        """Listens; connections are refused before."""
        self._server = _Server(self, self._port.number, self._tls)

    def stop(self) -> None:
        """Breaks all connections and listens no more. What was registered stays."""
        if self._server is not None:
            self._server.stop()
            self._server = None

    def on(self, path: str, fault: Fault, *, method: str | None = None, times: int | None = None) -> None:
        """Misbehaves where the regular expression matches the whole path; `times` over, or for good.

        The first rule that matches holds.
        """
        with self._lock:
            self._rules.append(_Rule(re.compile(path), fault, method, times))

    def behave(self) -> None:
        """Forgets all faults."""
        with self._lock:
            self._rules.clear()

    def register(self, subject: str, text: str) -> int:
        """Registers a schema without a request and returns its id."""
        with self._lock:
            return self._schemas.register(subject, text)

    def put(self, number: int, text: str) -> None:
        """Gives an id a schema text, whatever it is."""
        with self._lock:
            self._schemas.texts[number] = text

    def asked(self, method: str, path: str) -> list[Request]:
        """The requests so far whose whole path matches the regular expression."""
        with self._lock:
            return [r for r in self.requests if r.method == method and re.fullmatch(path, r.path)]

    # what the server's threads call

    def take(self, request: Request) -> Fault | None:
        """Notes the request and finds the fault for it, if any."""
        with self._lock:
            self.requests.append(request)
            for rule in self._rules:
                if rule.times != 0 and rule.method in (None, request.method) and rule.path.fullmatch(request.path):
                    if rule.times is not None:
                        rule.times -= 1
                    return rule.fault
        return None

    def note(self, error: str) -> None:
        with self._lock:
            self.errors.append(error)

    def answer(self, request: Request) -> Any:
        """The proper answer; RegistryAnswer for all but 200."""
        if self._authorization and request.headers.get("authorization") != self._authorization:
            raise RegistryAnswer(401, 40101, "Unauthorized")
        for method, path, handler in _ROUTES:
            if method == request.method and (match := path.fullmatch(request.path)):
                with self._lock:
                    return handler(self, request, *match.groups())
        raise RegistryAnswer(404, 404, "HTTP 404 Not Found")

    def _register(self, request: Request, subject: str) -> Any:
        return {"id": self._schemas.register(subject, _schema_text(request))}

    def _look_up(self, request: Request, subject: str) -> Any:
        return self._schemas.look_up(subject, _schema_text(request))

    def _subjects(self, request: Request) -> Any:
        return sorted(self._schemas.subjects)

    def _versions(self, request: Request, subject: str) -> Any:
        return list(range(1, len(self._schemas.versions(subject)) + 1))

    def _version(self, request: Request, subject: str, which: str) -> Any:
        return self._schemas.version(subject, which)

    def _schema(self, request: Request, number: str) -> Any:
        return {"schema": self._schemas.text(int(number))}

    def _users(self, request: Request, number: str) -> Any:
        self._schemas.text(int(number))
        described = [
            self._schemas.describe(subject, int(number))
            for subject, ids in self._schemas.subjects.items()
            if int(number) in ids
        ]
        return [{"subject": d["subject"], "version": d["version"]} for d in described]

    def _set_config(self, request: Request, subject: str | None = None) -> Any:
        level = _json_object(request).get("compatibility")
        if not isinstance(level, str):
            raise RegistryAnswer(422, 42203, "Invalid compatibility level")
        self._schemas.config[subject or ""] = level
        return {"compatibility": level}

    def _config(self, request: Request, subject: str | None = None) -> Any:
        level = self._schemas.config.get(subject or "")
        if level is None:
            raise RegistryAnswer(404, 40408, f"Subject '{subject}' has no compatibility level of its own")
        return {"compatibilityLevel": level}

    def _check(self, request: Request, subject: str) -> Any:
        _schema_text(request)
        return {"is_compatible": self.is_compatible}


_ROUTES: list[tuple[str, re.Pattern[str], Callable[..., Any]]] = [
    (method, re.compile(path), handler)
    for method, path, handler in (
        ("GET", r"/subjects", StubRegistry._subjects),
        ("POST", r"/subjects/([^/]+)/versions", StubRegistry._register),
        ("POST", r"/subjects/([^/]+)", StubRegistry._look_up),
        ("GET", r"/subjects/([^/]+)/versions", StubRegistry._versions),
        ("GET", r"/subjects/([^/]+)/versions/(latest|\d+)", StubRegistry._version),
        ("GET", r"/schemas/ids/(\d+)", StubRegistry._schema),
        ("GET", r"/schemas/ids/(\d+)/versions", StubRegistry._users),
        ("PUT", r"/config(?:/([^/]+))?", StubRegistry._set_config),
        ("GET", r"/config(?:/([^/]+))?", StubRegistry._config),
        ("POST", r"/compatibility/subjects/([^/]+)/versions(?:/(?:latest|\d+))?", StubRegistry._check),
    )
]


def _dump(value: Any) -> bytes:
    return json.dumps(value).encode()


def _json_object(request: Request) -> dict[str, Any]:
    if request.headers.get("content-type", "").split(";")[0] not in (CONTENT_TYPE, "application/json"):
        raise RegistryAnswer(415, 415, "HTTP 415 Unsupported Media Type")
    try:
        value = request.json()
    except ValueError as error:
        raise RegistryAnswer(400, 400, f"the body is not JSON: {error}") from error
    if not isinstance(value, dict):
        raise RegistryAnswer(400, 400, "the body is not a JSON object")
    return value


def _schema_text(request: Request) -> str:
    body = _json_object(request)
    text = body.get("schema")
    try:
        if not isinstance(text, str) or body.get("schemaType", "AVRO") != "AVRO":
            raise ValueError("not the text of an Avro schema")
        json.loads(text)
    except ValueError as error:
        raise RegistryAnswer(422, 42201, f"Invalid schema: {error}") from error
    return text


def _tls_context(certificates: Certificates, client_certificate: bool) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificates.server_cert, certificates.server_key)
    context.load_verify_locations(certificates.ca)
    if client_certificate:
        context.verify_mode = ssl.CERT_REQUIRED
    return context


class _Server(ThreadingHTTPServer):
    """The listening socket and a thread for each connection; stop() ends all of them."""

    daemon_threads = True
    block_on_close = False

    def __init__(self, stub: StubRegistry, port: int, tls: ssl.SSLContext | None) -> None:
        self.stub = stub
        self.stopping = threading.Event()
        self._tls = tls
        self._connections: set[socket.socket] = set()
        super().__init__(("127.0.0.1", port), _Handler)
        self._thread = threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self.stopping.set()
        self.shutdown()
        self.server_close()
        self._thread.join()
        for connection in list(self._connections):
            _shut(connection)

    def finish_request(self, request: Any, client_address: Any) -> None:
        """In the connection's own thread: a handshake that hangs holds up nobody."""
        self._connections.add(request)
        try:
            if self._tls is None:
                super().finish_request(request, client_address)
                return
            request.settimeout(30)
            with self._tls.wrap_socket(request, server_side=True) as wrapped:
                self._connections.add(wrapped)
                try:
                    super().finish_request(wrapped, client_address)
                finally:
                    self._connections.discard(wrapped)
        finally:
            self._connections.discard(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        self.stub.note(repr(sys.exc_info()[1]))


def _shut(connection: socket.socket) -> None:
    with contextlib.suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)


class _Handler(BaseHTTPRequestHandler):
    """One connection, which may carry many requests."""

    protocol_version = "HTTP/1.1"
    server: _Server

    def log_message(self, format: str, *args: Any) -> None:
        pass

    def _handle(self) -> None:
        path, _, query = self.path.partition("?")
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        headers = {name.lower(): value for name, value in self.headers.items()}
        request = Request(self.command, path, query, headers, body, time.monotonic())
        stub = self.server.stub
        fault = stub.take(request) or Fault()
        if fault.delay_s and self.server.stopping.wait(fault.delay_s):
            self.close_connection = True
        elif fault.reset:
            self._reset()
        elif fault.status is not None:
            self._misbehave(fault)
        else:
            try:
                self._reply(200, _dump(stub.answer(request)))
            except RegistryAnswer as answer:
                self._reply(answer.status, _dump({"error_code": answer.error_code, "message": str(answer)}))

    do_GET = do_POST = do_PUT = do_DELETE = _handle

    def _reply(self, status: int, body: bytes) -> None:
        self._head(status, len(body), CONTENT_TYPE)
        self.wfile.write(body)

    def _head(self, status: int, size: int, content_type: str) -> None:
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(size))
        self.end_headers()

    def _reset(self) -> None:
        """Closes with a reset: no time to linger."""
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close_connection = True
        # The handler's own end would shut the connection down properly.
        self.connection.close()
        raise ConnectionAbortedError("reset by a fault")

    def _misbehave(self, fault: Fault) -> None:
        assert fault.status is not None
        whole = len(fault.body) + fault.fill + len(fault.end)
        self._head(fault.status, whole, fault.content_type)
        left = whole - fault.missing
        piece_size = 1 if fault.drip_s else 1 << 16
        for part in self._pieces(fault, piece_size):
            self.wfile.write(part[:left])
            left -= len(part[:left])
            if left == 0 or (fault.drip_s and self.server.stopping.wait(fault.drip_s)):
                break
        self.close_connection = fault.missing > 0 or left > 0

    @staticmethod
    def _pieces(fault: Fault, size: int) -> Any:
        for part in (fault.body, None, fault.end):
            if part is None:
                full, rest = divmod(fault.fill, size)
                for _ in range(full):
                    yield b"a" * size
                yield b"a" * rest
            else:
                yield from (part[i : i + size] for i in range(0, len(part), size))
