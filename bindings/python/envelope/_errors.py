# SPDX-License-Identifier: Apache-2.0
"""What calls return and raise: the results of envelope.h."""

from __future__ import annotations

import enum
from typing import Dict, Type


class Result(enum.Enum):
    """What became of an event, when that is nobody's mistake. True only if it was accepted."""

    OK = 0
    """It is in the spool."""
    DROPPED = 1
    """There was no room: it is lost, counted, and declared as lost."""
    FULL = 2
    """There is no room now and nothing was done: to be emitted again (when_full="refuse")."""
    NO_MEMORY = 4
    """Nothing was done."""
    UNAVAILABLE = 5
    """It is in the spool, but may not be on the disk (sync="call")."""

    def __bool__(self) -> bool:
        return self is Result.OK


class Error(Exception):
    """Whatever this package raises."""


class Unavailable(Error):
    """The spool cannot be opened: the text says why, for instance that another process has it."""


class Closed(Error):
    """The producer is closed."""


class Forked(Error):
    """The producer belongs to the parent process: open one here, on a spool of its own."""


class Mistake(Error, ValueError):
    """What the caller can mend; nothing was done."""

    field: str
    """"requested.placement[zone]"; empty where it is about no field."""

    def __init__(self, text: str, field: str = "") -> None:
        super().__init__(text)
        self.field = field


class MissingField(Mistake):
    pass


class TenantMissing(Mistake):
    pass


class Oversized(Mistake):
    pass


class InvalidUtf8(Mistake):
    pass


class ExtensionNotNamespaced(Mistake):
    pass


class BadEnum(Mistake):
    pass


class DuplicateKey(Mistake):
    pass


class TooDeep(Mistake):
    pass


class WrongSchema(Mistake):
    """A field that the phase does not have, or a value of another type."""


class WrongField(Mistake):
    pass


class BadSetting(Mistake):
    pass


MISTAKES: Dict[int, Type[Mistake]] = {
    -1: MissingField,
    -2: TenantMissing,
    -3: Oversized,
    -4: InvalidUtf8,
    -5: ExtensionNotNamespaced,
    -6: BadEnum,
    -7: DuplicateKey,
    -8: TooDeep,
    -9: WrongSchema,
    -10: WrongField,
    -11: BadSetting,
}
FORKED = -12
