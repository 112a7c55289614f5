# SPDX-License-Identifier: Apache-2.0
"""An envelope, to whose admission later phases are added under the same identity."""

from __future__ import annotations

import datetime
from typing import TYPE_CHECKING, Any, Mapping, Optional, Union

from ._errors import Result
from ._fields import Resolution, Resources, Sensitivity

if TYPE_CHECKING:
    from ._producer import Producer

Time = Union[datetime.datetime, int, str]
"""Aware, or microseconds since 1970 UTC, or RFC 3339."""

_EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.timezone.utc)


def printed_time(at: Optional[Time]) -> Union[int, str, None]:
    if not isinstance(at, datetime.datetime):
        return at
    if at.tzinfo is None:
        raise ValueError("occurred_at: a datetime without a time zone says no time")
    return (at - _EPOCH) // datetime.timedelta(microseconds=1)


class Envelope:
    """One envelope's identity. Made by `Producer.admit`, or by `Producer.envelope` for one that was
    admitted elsewhere. Of any number of threads, as its producer is.

    Each phase is a method that emits an event and returns what became of it. All of them take
    `sensitivity`, `extensions` (namespaced keys, JSON text), `event_id` (made if there is none) and
    `occurred_at` (now if there is none).
    """

    __slots__ = ("_producer", "_source", "envelope_id", "result", "tenant", "traceparent", "tracestate")

    def __init__(
        self,
        producer: Producer,
        envelope_id: str,
        tenant: str,
        *,
        source: Optional[str] = None,
        traceparent: Optional[str] = None,
        tracestate: Optional[str] = None,
    ) -> None:
        self._producer = producer
        self._source = source
        self.envelope_id = envelope_id
        self.tenant = tenant
        self.traceparent = traceparent
        self.tracestate = tracestate
        self.result = Result.OK
        """What became of the admission; OK for one that was admitted elsewhere."""

    def __repr__(self) -> str:
        return f"<Envelope {self.envelope_id} of {self.tenant}>"

    def resolved(
        self,
        *,
        granted: Resources,
        resolution: Optional[Resolution] = None,
        sensitivity: Optional[Sensitivity] = None,
        extensions: Optional[Mapping[str, str]] = None,
        event_id: Optional[str] = None,
        occurred_at: Optional[Time] = None,
    ) -> Result:
        """What the backend granted, and where it is bound. Each one adds a grant and replaces none."""
        return self._emit(
            "resolved",
            granted=granted,
            resolution={} if resolution is None else resolution,
            sensitivity=sensitivity,
            extensions=extensions,
            event_id=event_id,
            occurred_at=occurred_at,
        )

    def finalized(
        self,
        *,
        runtime_id: str,
        serve_path: Optional[str] = None,
        public_path: Optional[str] = None,
        backend_kind: Optional[str] = None,
        measured: Optional[Mapping[str, int]] = None,
        sensitivity: Optional[Sensitivity] = None,
        extensions: Optional[Mapping[str, str]] = None,
        event_id: Optional[str] = None,
        occurred_at: Optional[Time] = None,
    ) -> Result:
        """Success: the concrete runtime identity. `measured`: amounts used, for work that ends here."""
        return self._emit(
            "finalized",
            runtime_id=runtime_id,
            serve_path=serve_path,
            public_path=public_path,
            backend_kind=backend_kind,
            measured=measured,
            sensitivity=sensitivity,
            extensions=extensions,
            event_id=event_id,
            occurred_at=occurred_at,
        )

    def failed(
        self,
        *,
        stage: str,
        reason: str,
        code: Optional[str] = None,
        retryable: Optional[bool] = None,
        sensitivity: Optional[Sensitivity] = None,
        extensions: Optional[Mapping[str, str]] = None,
        event_id: Optional[str] = None,
        occurred_at: Optional[Time] = None,
    ) -> Result:
        """Where and why it failed. A failure grants nothing, so there is no way to say that it did."""
        return self._emit(
            "failed",
            stage=stage,
            reason=reason,
            code=code,
            retryable=retryable,
            sensitivity=sensitivity,
            extensions=extensions,
            event_id=event_id,
            occurred_at=occurred_at,
        )

    def released(
        self,
        *,
        reason: Optional[str] = None,
        measured: Optional[Mapping[str, int]] = None,
        sensitivity: Optional[Sensitivity] = None,
        extensions: Optional[Mapping[str, str]] = None,
        event_id: Optional[str] = None,
        occurred_at: Optional[Time] = None,
    ) -> Result:
        """The end of what was granted; `measured`: amounts used."""
        return self._emit(
            "released",
            reason=reason,
            measured=measured,
            sensitivity=sensitivity,
            extensions=extensions,
            event_id=event_id,
            occurred_at=occurred_at,
        )

    def annotate(
        self,
        annotations: Mapping[str, str],
        *,
        sensitivity: Optional[Sensitivity] = None,
        extensions: Optional[Mapping[str, str]] = None,
        event_id: Optional[str] = None,
        occurred_at: Optional[Time] = None,
    ) -> Result:
        """Adds annotations: namespaced keys, JSON text. A key once given is never replaced."""
        return self._emit(
            "annotation",
            annotations=annotations,
            sensitivity=sensitivity,
            extensions=extensions,
            event_id=event_id,
            occurred_at=occurred_at,
        )

    def _emit(self, phase: str, *, occurred_at: Optional[Time], **members: Any) -> Result:
        event = {
            "phase": phase,
            "envelope_id": self.envelope_id,
            "tenant": self.tenant,
            "source": self._source,
            "occurred_at": printed_time(occurred_at),
            **members,
        }
        return self._producer.emit(event, traceparent=self.traceparent, tracestate=self.tracestate)
