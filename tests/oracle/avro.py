# SPDX-License-Identifier: Apache-2.0
"""Avro's binary form, read strictly: what a contract with named refusals needs and usual readers forgive.

Values are plain: records and maps are dicts in the order of the bytes, unions their value or
None, enums their symbol. Written from the Avro specification and the contract, for the oracle.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from pathlib import Path

DEPTH_MAX = 64


class Refused(Exception):
    """Bytes that the contract refuses; the reason is one of its names."""

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(f"{reason}: {detail}" if detail else reason)
        self.reason = reason


def zigzag(value: int) -> bytes:
    word = (value << 1) ^ (value >> 63)
    out = bytearray()
    while word > 0x7F:
        out.append(word & 0x7F | 0x80)
        word >>= 7
    out.append(word)
    return bytes(out)


@dataclass
class Schema:
    """A parsed schema file: its root and its named types."""

    root: dict
    named: dict = field(default_factory=dict)

    @classmethod
    def load(cls, path: Path) -> Schema:
        return cls.of(json.loads(path.read_text()))

    @classmethod
    def of(cls, root: dict) -> Schema:
        schema = cls(root)
        schema._name(root)
        return schema

    def _name(self, node: object) -> None:
        if isinstance(node, list):
            for branch in node:
                self._name(branch)
        elif isinstance(node, dict):
            if node["type"] in ("record", "enum", "fixed"):
                self.named[node["name"]] = node
            for child in (f["type"] for f in node.get("fields", ())):
                self._name(child)
            for part in ("items", "values"):
                if part in node:
                    self._name(node[part])
            if not isinstance(node["type"], str):
                self._name(node["type"])

    def kind(self, node: object) -> tuple[str, object]:
        """What a type is, by name and definition."""
        if isinstance(node, list):
            return "union", node
        if isinstance(node, str):
            return self.kind(self.named[node]) if node in self.named else (node, node)
        if node["type"] in ("record", "enum", "fixed", "array", "map"):
            return node["type"], node
        return self.kind(node["type"])


class Reader:
    def __init__(self, schema: Schema, data: bytes) -> None:
        self.schema, self.data, self.at = schema, data, 0

    def take(self, size: int) -> bytes:
        if size > len(self.data) - self.at:
            raise Refused("truncated", f"at byte {self.at}")
        self.at += size
        return self.data[self.at - size : self.at]

    def long(self, bits: int = 64) -> int:
        start, word, shift = self.at, 0, 0
        while True:
            byte = self.take(1)[0]
            word |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                break
            if self.at - start == 10:
                raise Refused("non_minimal_varint", f"at byte {start}")
        if self.at - start > 1 and byte == 0 or word >= 1 << bits:
            raise Refused("non_minimal_varint", f"at byte {start}")
        return (word >> 1) ^ -(word & 1)

    def text(self) -> str:
        size = self.long()
        if size < 0:
            raise Refused("truncated", "negative length")
        try:
            return self.take(size).decode()
        except UnicodeDecodeError:
            raise Refused("invalid_utf8") from None

    def blocks(self, one) -> None:
        while count := self.long():
            end = None
            if count < 0:
                size = self.long()
                count, end = -count, self.at + size
            for _ in range(count):
                one()
            if end is not None and end != self.at:
                raise Refused("truncated", "a block's size is wrong")

    def array(self, node: dict, depth: int) -> list:
        out: list = []
        self.blocks(lambda: out.append(self.value(node["items"], depth)))
        return out

    def map(self, node: dict, depth: int) -> dict:
        out: dict = {}

        def one() -> None:
            key = self.text()
            if key in out:
                raise Refused("duplicate_key", key)
            out[key] = self.value(node["values"], depth)

        self.blocks(one)
        return out

    def value(self, node: object, depth: int = 0) -> object:
        kind, node = self.schema.kind(node)
        if depth > DEPTH_MAX:
            raise Refused("too_deep")
        match kind:
            case "null":
                return None
            case "boolean":
                byte = self.take(1)[0]
                if byte > 1:
                    raise Refused("bad_boolean")
                return byte == 1
            case "int":
                return self.long(32)
            case "long":
                return self.long()
            case "string":
                return self.text()
            case "bytes":
                return self.take(self.long())
            case "fixed":
                return self.take(node["size"])
            case "enum":
                index = self.long(32)
                if not 0 <= index < len(node["symbols"]):
                    raise Refused("bad_enum", node["name"])
                return node["symbols"][index]
            case "union":
                branch = self.long()
                if not 0 <= branch < len(node):
                    raise Refused("bad_enum", "branch of a union")
                return self.value(node[branch], depth + 1)
            case "array":
                return self.array(node, depth + 1)
            case "map":
                return self.map(node, depth + 1)
            case "record":
                return {f["name"]: self.field(f, depth + 1) for f in node["fields"]}
        raise AssertionError(kind)

    def field(self, definition: dict, depth: int) -> object:
        value = self.value(definition["type"], depth)
        check_text(definition.get("check"), definition["name"], value)
        return value


def check_text(check: str | None, name: str, value: object) -> None:
    if check == "identifier" and isinstance(value, str):
        if not value:
            raise Refused("missing_field", name)
        if len(value.encode()) > 128:
            raise Refused("oversized", name)
        if "\0" in value:
            raise Refused("invalid_utf8", name)
    elif check == "tenant" and value == "":
        raise Refused("tenant_missing")
    elif check == "required" and value == "":
        raise Refused("missing_field", name)
    elif check == "namespaced_json":
        for key in value:
            check_namespaced(key)


def check_namespaced(key: str) -> None:
    """A domain name begins it (`com.example/x`); it is never a bare word."""
    domain, slash, rest = key.partition("/")
    if not (slash and rest and re.fullmatch(r"[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)+", domain)):
        raise Refused("extension_not_namespaced", key)


def read(schema: Schema, data: bytes) -> dict:
    reader = Reader(schema, data)
    value = reader.value(schema.root)
    if reader.at != len(data):
        raise Refused("trailing_bytes")
    return value


@dataclass(frozen=True)
class Spliced:
    """A value whose bytes are known: the writer copies them."""

    data: bytes


def write(schema: Schema, node: object, value: object) -> bytes:
    kind, node = schema.kind(node)
    if isinstance(value, Spliced) and kind != "union":
        return value.data
    match kind:
        case "null":
            return b""
        case "boolean":
            return bytes([value])
        case "int" | "long":
            return zigzag(value)
        case "string":
            return zigzag(len(value.encode())) + value.encode()
        case "bytes":
            return zigzag(len(value)) + value
        case "fixed":
            return value
        case "enum":
            return zigzag(node["symbols"].index(value))
        case "union":
            branch = 0 if value is None else 1
            return zigzag(branch) + write(schema, node[branch], value)
        case "array":
            if not value:
                return b"\0"
            return zigzag(len(value)) + b"".join(write(schema, node["items"], v) for v in value) + b"\0"
        case "map":
            if not value:
                return b"\0"
            entries = (write(schema, "string", k) + write(schema, node["values"], v) for k, v in value.items())
            return zigzag(len(value)) + b"".join(entries) + b"\0"
        case "record":
            return b"".join(write(schema, f["type"], value[f["name"]]) for f in node["fields"])
    raise AssertionError(kind)
