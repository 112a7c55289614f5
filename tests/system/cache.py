# SPDX-License-Identifier: Apache-2.0
"""Where `prepare` puts what the system tests need, outside the work tree.

Each part has a folder of its own, named after the digest of the files that
determine it: two work trees with other versions never disturb each other, and
a changed file means a new folder. The stamp `.ready` is written last.
Standard library only. As a command: `cache.py PART` prints the part's folder.
"""

from __future__ import annotations

import hashlib
import os
import platform
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
REPOSITORY = HERE.parents[1]
PARTS = ("venv", "kafka", "registry", "java", "example-go", "example-java", "streams")


class NotPrepared(Exception):
    """A part is not there yet; the text says what to run."""


def root() -> Path:
    """The cache folder: $ENVELOPE_CACHE, else envelope/ in the user's cache folder."""
    if chosen := os.environ.get("ENVELOPE_CACHE"):
        return Path(chosen).absolute()
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base).absolute() / "envelope"


def _files(folder: Path) -> list[Path]:
    built = folder / "target"
    return sorted(p for p in folder.rglob("*") if p.is_file() and built not in p.parents)


def _inputs(part: str) -> list[Path]:
    if part == "venv":
        return [HERE / "requirements.txt"]
    if part == "java":
        return _files(HERE / "java")
    if part.startswith("example-"):
        return _files(REPOSITORY / "examples" / part.removeprefix("example-"))
    if part == "streams":  # of the benchmarks
        schemas = (REPOSITORY / "schemas" / f"{record}.avsc" for record in ("lifecycle", "violation"))
        return [*_files(REPOSITORY / "bench" / "streams"), *schemas]
    return [HERE / part / "pom.xml"]


def folder(part: str) -> Path:
    """The folder of a part, whether it is there or not."""
    if part not in PARTS:
        raise ValueError(f"no part {part!r}: the parts are {', '.join(PARTS)}")
    digest = hashlib.sha256()
    for path in _inputs(part):
        digest.update(f"{os.path.relpath(path, HERE)}\0{path.stat().st_size}\0".encode())
        digest.update(path.read_bytes())
    if part == "example-go":  # a program of this kind of machine
        digest.update(platform.machine().encode())
    if part == "venv":  # bound to this interpreter
        digest.update(f"{sys.version_info[:2]} {sys.base_prefix} {platform.machine()}".encode())
    return root() / f"{part}-{digest.hexdigest()[:12]}"


def require(part: str) -> Path:
    """The folder of a part that is ready; NotPrepared otherwise."""
    path = folder(part)
    if not (path / ".ready").exists():
        raise NotPrepared(f"{part} is not prepared ({path}): run tests/system/prepare {part}")
    return path


if __name__ == "__main__":
    print(folder(sys.argv[1]))
