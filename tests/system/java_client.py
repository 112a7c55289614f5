# SPDX-License-Identifier: Apache-2.0
"""The client in java/, as a Java team would write it: what it writes and reads is the other side's word.

It comes from `prepare java`. Its JSON is the contract's printed form.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import cache
from kafka import QUICK_JVM, find_java
from process import spawn, stop


class JavaClient:
    def __init__(self, directory: Path) -> None:
        home = cache.require("java")
        self._directory = directory
        self._command = [
            find_java(), "-Xmx256m", *QUICK_JVM, f"-Djava.io.tmpdir={directory}",
            "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn", "-cp", f"{home}/classes:{home}/libs/*", "envelope.Client",
        ]  # fmt: skip

    def write(
        self, bootstrap: str, records: Iterable[Mapping[str, Any]], registry: str | None = None
    ) -> list[dict[str, Any]]:
        """Writes records {topic, key, schema: path, value}, each a plain JSON value, and says where they went.

        In Avro single-object encoding; with a registry (its native_url) in Confluent framing, the
        schema looked up under TOPIC-value. The partitioner is Java's default one.
        """
        file = self._directory / "records.jsonl"
        file.write_text("".join(json.dumps(r, default=str) + "\n" for r in records))
        return self._run("write", bootstrap, file, *([registry] if registry else []))

    def read(
        self, bootstrap: str, topic: str, schemas: Iterable[Path] = (), registry: str | None = None
    ) -> list[dict[str, Any]]:
        """Reads a topic read committed to its end: {topic, partition, offset, timestamp, key, headers, value}.

        Several topics, with commas between, take one process instead of many.
        """
        return self._run("read", bootstrap, topic, registry or "-", *schemas)

    def _run(self, *args: str | Path, deadline_s: float = 60) -> list[dict[str, Any]]:
        process = spawn([*self._command, *args], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        try:
            out, err = process.communicate(timeout=deadline_s)
        finally:
            stop(process)
        if process.returncode != 0:
            raise RuntimeError(f"the Java client's {args[0]} failed: {err.decode(errors='replace')[-4000:]}")
        return [json.loads(line) for line in out.splitlines()]
