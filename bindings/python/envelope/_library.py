# SPDX-License-Identifier: Apache-2.0
"""libenvelope, by ctypes: its functions with their types, and its mistakes as exceptions."""

from __future__ import annotations

import ctypes
import os
from pathlib import Path

from ._errors import FORKED, MISTAKES, Error, Forked

PACKAGES = "librdkafka1, libavro23, libjansson4, libcurl4, libsodium23, libnettle8"


class Fault(ctypes.Structure):
    """struct envelope_error"""

    _fields_ = [
        ("result", ctypes.c_int),
        ("column", ctypes.c_int),
        ("field", ctypes.c_char * 128),
        ("text", ctypes.c_char * 256),
    ]


class RawCounts(ctypes.Structure):
    """struct envelope_counts"""

    _fields_ = [
        (name, ctypes.c_uint64) for name in ("accepted", "dropped", "acknowledged", "refused", "torn", "lost")
    ]


ON_NOTICE = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_int, ctypes.c_char_p)

_pointer, _text, _fault = ctypes.c_void_p, ctypes.c_char_p, ctypes.POINTER(Fault)
_FUNCTIONS = {
    "envelope_version": (_text, []),
    "envelope_settings_new": (_pointer, []),
    "envelope_settings_free": (None, [_pointer]),
    "envelope_settings_set": (ctypes.c_int, [_pointer, _text, _text, _fault]),
    "envelope_settings_on_notice": (None, [_pointer, ON_NOTICE, _pointer]),
    "envelope_producer_open": (ctypes.c_int, [_pointer, ctypes.POINTER(_pointer), _fault]),
    "envelope_producer_flush": (ctypes.c_int, [_pointer, ctypes.c_int64]),
    "envelope_producer_close": (ctypes.c_int, [_pointer, ctypes.c_int64]),
    "envelope_producer_counts": (None, [_pointer, ctypes.POINTER(RawCounts), ctypes.c_size_t]),
    "envelope_producer_trouble": (ctypes.c_int, [_pointer, _text, ctypes.c_size_t]),
    "envelope_producer_name": (_text, [_pointer]),
    "envelope_event_new": (_pointer, [ctypes.c_int]),
    "envelope_event_free": (None, [_pointer]),
    "envelope_event_envelope_id": (_text, [_pointer]),
    "envelope_emit_json": (ctypes.c_int, [_pointer, _text, ctypes.c_size_t, _text, _text, _fault]),
}


def _load() -> ctypes.CDLL:
    """The library in $ENVELOPE_LIBRARY, else the one in this package."""
    path = os.environ.get("ENVELOPE_LIBRARY") or str(Path(__file__).with_name("libenvelope.so.0"))
    try:
        library = ctypes.CDLL(path)
    except OSError as error:
        raise ImportError(
            f"libenvelope cannot be loaded: {error}. Its own libraries are Debian's {PACKAGES}; "
            "ENVELOPE_LIBRARY may name another libenvelope.so.0"
        ) from None
    for name, (result, arguments) in _FUNCTIONS.items():
        function = getattr(library, name)
        function.restype, function.argtypes = result, arguments
    return library


LIB = _load()
VERSION: str = LIB.envelope_version().decode()


def text_of(data: bytes) -> str:
    """What the library says; cut to its size, it may end within a character."""
    return data.decode("utf-8", "replace")


def error_of(result: int, fault: Fault) -> Error:
    text = text_of(fault.text)
    if result == FORKED:
        return Forked(text)
    if fault.column > 0:
        text = f"{text} (column {fault.column})"
    return MISTAKES[result](text, text_of(fault.field))


def new_id() -> str:
    """A UUIDv7, as every admission of the library's has one."""
    event = LIB.envelope_event_new(0)
    if not event:
        raise MemoryError("libenvelope: memory is out")
    found: bytes = LIB.envelope_event_envelope_id(event)
    LIB.envelope_event_free(event)
    return found.decode()
