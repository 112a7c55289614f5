# SPDX-License-Identifier: Apache-2.0
"""A producer: a spool that is open, and the library's threads that send from it."""

from __future__ import annotations

import atexit
import ctypes
import itertools
import json
import logging
import os
import threading
from types import TracebackType
from typing import Any, Callable, Dict, Literal, Mapping, NamedTuple, Optional, Type, Union

from ._envelope import Envelope, Time, printed_time
from ._errors import BadSetting, Closed, Error, Forked, InvalidUtf8, Result, Unavailable
from ._fields import Caller, Execution, Governance, Resources, Scope, Sensitivity
from ._library import LIB, ON_NOTICE, Fault, RawCounts, error_of, new_id, text_of

_LEVELS = (logging.INFO, logging.WARNING, logging.ERROR)  # by enum envelope_level
_TROUBLE_SIZE = 1024
_encode = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode

# All that are open, by what the library is told to name them in its notices: for these, for fork
# and for the end of the interpreter.
_open: Dict[int, Producer] = {}
_numbers = itertools.count(1)


# From a thread of the library's, with the interpreter's lock taken by ctypes.
def _log_notice(number: Optional[int], level: int, text: bytes) -> None:
    producer = _open.get(number or 0)
    if producer is not None:
        producer._logger.log(_LEVELS[level], "%s", text_of(text))


# One for all producers, never freed: a library's thread that hangs when its producer is closed
# may still call it.
_on_notice = ON_NOTICE(_log_notice)


def _after_fork_in_child() -> None:
    for producer in _open.values():
        producer._forsake()
    _open.clear()


# The interpreter's end takes away what the library's threads call; what is not sent stays in the
# spool.
def _at_exit() -> None:
    for producer in list(_open.values()):
        producer.close(0)


os.register_at_fork(after_in_child=_after_fork_in_child)
atexit.register(_at_exit)


class Counts(NamedTuple):
    accepted: int
    """Events, by this opening."""
    dropped: int
    """Events for which there was no room, by this opening."""
    acknowledged: int
    """Records, of earlier openings too."""
    refused: int
    """Records that Kafka refused for good, likewise."""
    torn: int
    """Damaged places found in the spool."""
    lost: int
    """Records that were numbered, never acknowledged, and are not there any more."""


class Producer:
    """Opens a spool, which one process at a time may have, and sends from it until it is closed.

    Of any number of threads. A child of fork may not use it (`Forked`) and opens its own. What the
    library has to say goes to `logger` (the logger "envelope"), from a thread of the library's.
    """

    def __init__(
        self,
        spool: Union[str, os.PathLike[str]],
        *,
        bootstrap: Optional[str] = None,
        source: Optional[str] = None,
        producer: Optional[str] = None,
        topic_prefix: Optional[str] = None,
        schema_registry: Optional[str] = None,
        spool_bytes: Union[int, str, None] = None,
        when_full: Optional[Literal["drop", "refuse"]] = None,
        sync: Optional[Literal["none", "call"]] = None,
        properties: Optional[Mapping[str, str]] = None,
        logger: Optional[logging.Logger] = None,
        **settings: Union[str, int],
    ) -> None:
        """The settings are those of docs/options.md, with `_` for `-`; `properties` are librdkafka's.

        May block on the disk; contacts nobody. Raises `BadSetting` or `Unavailable`.
        """
        named = {
            "spool": os.fspath(spool),
            "bootstrap": bootstrap,
            "source": source,
            "producer": producer,
            "topic_prefix": topic_prefix,
            "schema_registry": schema_registry,
            "spool_bytes": spool_bytes,
            "when_full": when_full,
            "sync": sync,
            **settings,
        }
        pairs = [(name.replace("_", "-"), str(value)) for name, value in named.items() if value is not None]
        pairs += [("property", f"{name}={value}") for name, value in (properties or {}).items()]
        self._logger = logger or logging.getLogger("envelope")
        self._make_lock()
        self._forked = False
        self._flushed = True
        self._number = next(_numbers)
        _open[self._number] = self
        self._handle: Optional[int] = None
        try:
            self._handle = _open_producer(pairs, self._number)
        finally:
            if self._handle is None:
                del _open[self._number]
        self.name: str = text_of(LIB.envelope_producer_name(self._handle))
        """The name that its records are numbered under."""

    def __enter__(self) -> Producer:
        return self

    def __exit__(
        self,
        kind: Optional[Type[BaseException]],
        error: Optional[BaseException],
        traceback: Optional[TracebackType],
    ) -> None:
        self.close()

    def admit(
        self,
        *,
        tenant: str,
        caller: Caller,
        execution: Execution,
        requested: Resources,
        scope: Optional[Scope] = None,
        governance: Optional[Governance] = None,
        sensitivity: Optional[Sensitivity] = None,
        extensions: Optional[Mapping[str, str]] = None,
        envelope_id: Optional[str] = None,
        event_id: Optional[str] = None,
        occurred_at: Optional[Time] = None,
        source: Optional[str] = None,
        traceparent: Optional[str] = None,
        tracestate: Optional[str] = None,
    ) -> Envelope:
        """Who asks for what: the only voice of caller intent. The envelope's `result` says whether it
        was accepted; after `FULL`, admit again with the same `envelope_id`.

        `traceparent` and `tracestate` are the request's W3C Trace Context, and go along with every
        phase of the envelope; one that is not valid is not passed on."""
        admitted = self.envelope(
            new_id() if envelope_id is None else envelope_id,
            tenant,
            source=source,
            traceparent=traceparent,
            tracestate=tracestate,
        )
        admitted.result = admitted._emit(
            "admission",
            caller=caller,
            execution=execution,
            requested=requested,
            scope=scope,
            governance=governance,
            sensitivity=sensitivity,
            extensions=extensions,
            event_id=event_id,
            occurred_at=occurred_at,
        )
        return admitted

    def envelope(
        self,
        envelope_id: str,
        tenant: str,
        *,
        source: Optional[str] = None,
        traceparent: Optional[str] = None,
        tracestate: Optional[str] = None,
    ) -> Envelope:
        """An envelope that was admitted elsewhere, to add later phases to. Emits nothing."""
        return Envelope(
            self, envelope_id, tenant, source=source, traceparent=traceparent, tracestate=tracestate
        )

    def emit(
        self,
        event: Mapping[str, Any],
        *,
        traceparent: Optional[str] = None,
        tracestate: Optional[str] = None,
    ) -> Result:
        """Any event, or a receipt, in the contract's plain JSON: {"phase": "admission", ...}. Members
        that are None are left out."""
        members = {name: value for name, value in event.items() if value is not None}
        try:
            line = _encode(members).encode()
        except UnicodeEncodeError as error:
            raise InvalidUtf8(f"a text has {error.object[error.start]!r}, which is no character") from None
        fault = Fault()
        result = self._call(
            LIB.envelope_emit_json, line, len(line), _bytes(traceparent), _bytes(tracestate), ctypes.byref(fault)
        )
        if result < 0:
            raise error_of(result, fault)
        return Result(result)

    def flush(self, timeout: float) -> bool:
        """Waits until all that was emitted before is acknowledged, or refused for good, at most so
        many seconds; whether it is. A signal is handled after that."""
        return bool(self._call(LIB.envelope_producer_flush, int(timeout * 1000)) == 0)

    def close(self, timeout: float = 5.0) -> bool:
        """Flushes and ends the library's threads, at most so many seconds, once the calls of other
        threads have returned; whether all was acknowledged. What was not stays in the spool, to be
        sent by the next that opens it. Again, or in a child of fork, it does nothing."""
        with self._lock:
            handle, self._handle = self._handle, None
            if handle is None:
                return self._flushed
            while self._busy > 0:
                self._idle.wait()
        self._flushed = LIB.envelope_producer_close(handle, int(timeout * 1000)) == 0
        _open.pop(self._number, None)
        return self._flushed

    def counts(self) -> Counts:
        raw = RawCounts()
        self._call(LIB.envelope_producer_counts, ctypes.byref(raw), ctypes.sizeof(raw))
        return Counts(*(getattr(raw, name) for name in Counts._fields))

    def trouble(self) -> Optional[str]:
        """What it waits for, for people; None when for nothing."""
        text = ctypes.create_string_buffer(_TROUBLE_SIZE)
        self._call(LIB.envelope_producer_trouble, text, _TROUBLE_SIZE)
        return text_of(text.value) or None

    def _call(self, function: Callable[..., Any], *arguments: object) -> Any:
        """Calls the library, which frees the producer in close() and wants no other call by then."""
        with self._lock:
            handle = self._handle
            if handle is None:
                raise self._gone()
            self._busy += 1
        try:
            return function(handle, *arguments)
        finally:
            with self._lock:
                self._busy -= 1
                if self._handle is None and self._busy == 0:
                    self._idle.notify_all()

    def _gone(self) -> Error:
        if self._forked:
            return Forked("the producer belongs to the parent process: open one here")
        return Closed("the producer is closed")

    def _forsake(self) -> None:
        """In a child of fork: other threads, which may have held the lock, are not there."""
        self._make_lock()
        self._handle = None
        self._forked = True
        self._flushed = False

    # Calls take the lock itself: a signal cannot come between a condition's parts.
    def _make_lock(self) -> None:
        self._lock = threading.Lock()
        self._idle = threading.Condition(self._lock)
        self._busy = 0  # calls that use the handle


def _bytes(text: Optional[str]) -> Optional[bytes]:
    return None if text is None else text.encode("utf-8", "replace")


def _open_producer(pairs: list[tuple[str, str]], number: int) -> int:
    fault, handle = Fault(), ctypes.c_void_p()
    settings = LIB.envelope_settings_new()
    if not settings:
        raise MemoryError("libenvelope: memory is out")
    try:
        for name, value in pairs:
            if "\0" in value:
                raise BadSetting(f"{name}: a NUL character", name)
            if LIB.envelope_settings_set(settings, name.encode(), os.fsencode(value), ctypes.byref(fault)) < 0:
                raise error_of(fault.result, fault)
        LIB.envelope_settings_on_notice(settings, _on_notice, number)
        result = LIB.envelope_producer_open(settings, ctypes.byref(handle), ctypes.byref(fault))
    finally:
        LIB.envelope_settings_free(settings)
    if result < 0:
        raise error_of(result, fault)
    if result > 0 or not handle.value:
        raise Unavailable(text_of(fault.text))
    return handle.value
