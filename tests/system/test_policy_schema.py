# SPDX-License-Identifier: Apache-2.0
"""schemas/policy.schema.json says what `envelopectl policy apply` takes.

The good and bad policies are those that the parser's own test judges
(tests/unit/contract/test_policy_file.c); a row marked `beyond_schema` is one
that only the parser refuses.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from cache import HERE

ROOT = HERE.parents[1]
PHASES = ("admission", "resolved", "finalized", "failed", "released", "annotation")
SCHEMA: dict[str, Any] = json.loads((ROOT / "schemas" / "policy.schema.json").read_text())
TABLE: list[dict[str, Any]] = json.loads((ROOT / "tests" / "unit" / "contract" / "policies.json").read_text())
VALIDATOR = Draft202012Validator(SCHEMA)


def no_duplicates(members: list[tuple[str, Any]]) -> dict[str, Any]:
    if len(dict(members)) != len(members):
        raise ValueError("a member is there twice")
    return dict(members)


def schema_takes(row: dict[str, Any]) -> bool:
    try:
        policy = row["policy"] if "policy" in row else json.loads(row["text"], object_pairs_hook=no_duplicates)
    except ValueError:
        return False
    return bool(VALIDATOR.is_valid(policy))


def test_the_schema_is_one() -> None:
    Draft202012Validator.check_schema(SCHEMA)


def test_the_example_is_good() -> None:
    VALIDATOR.validate(json.loads((ROOT / "examples" / "policy.json").read_text()))


@pytest.mark.parametrize("row", TABLE, ids=lambda row: row.get("error", "good").split(":")[0])
def test_schema_and_parser_agree(row: dict[str, Any]) -> None:
    assert schema_takes(row) == ("error" not in row or row.get("beyond_schema", False))


# ---- The schema is written by hand: it must not fall behind the records.


def named_types(node: Any) -> Iterator[dict[str, Any]]:
    if isinstance(node, dict):
        if "name" in node and node.get("type") in ("record", "enum"):
            yield node
        for inner in node.values():
            yield from named_types(inner)
    elif isinstance(node, list):
        for inner in node:
            yield from named_types(inner)


def avsc(name: str) -> dict[str, Any]:
    return dict(json.loads((ROOT / "schemas" / f"{name}.avsc").read_text()))


@pytest.mark.parametrize(
    ("record", "definition"),
    [("Policy", "Policy"), ("PolicyRule", "Rule"), ("PolicyMatch", "Match"), ("PolicyObligation", "Obligation")],
)
def test_members_are_the_record_s(record: str, definition: str) -> None:
    (fields,) = (t["fields"] for t in named_types(avsc("policy")) if t["name"] == record)
    written = SCHEMA["$defs"][definition]
    assert list(written["properties"]) == [f["name"] for f in fields]
    assert written.get("required", []) == [f["name"] for f in fields if "default" not in f]


def test_symbols_are_the_record_s() -> None:
    enums = [t for t in named_types(avsc("policy")) if t["type"] == "enum"]
    assert len(enums) == 4
    for enum in enums:
        assert SCHEMA["$defs"][enum["name"]]["enum"] == enum["symbols"]


def paths(fields: list[dict[str, Any]], types: dict[str, Any], before: str = "") -> Iterator[tuple[str, bool]]:
    """The path of each field, and whether it is a map."""
    for field in fields:
        path = before + field["name"]
        union = field["type"] if isinstance(field["type"], list) else [field["type"]]
        (kind,) = (t for t in union if t != "null")
        kind = types.get(kind, kind) if isinstance(kind, str) else kind
        if isinstance(kind, dict) and kind["type"] == "array":
            kind = types.get(kind["items"], kind["items"]) if isinstance(kind["items"], str) else kind["items"]
        yield path, isinstance(kind, dict) and kind["type"] == "map"
        if isinstance(kind, dict) and kind["type"] == "record":
            yield from paths(kind["fields"], types, path + ".")


def test_redaction_paths_are_the_events_fields() -> None:
    fixed, pattern = SCHEMA["$defs"]["Path"]["anyOf"]
    found: dict[str, bool] = {}
    for phase in PHASES:
        event = avsc(phase)
        found.update(paths(event["fields"], {t["name"]: t for t in named_types(event)}))
    del found["envelope_id"]
    assert fixed["enum"] == list(found)
    maps = "|".join(path.replace(".", r"\.") for path, is_map in found.items() if is_map)
    assert pattern["pattern"] == rf"^({maps})\.[\s\S]+$"
