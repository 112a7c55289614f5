# SPDX-License-Identifier: Apache-2.0
"""schemas/history and the check that no schema leaves it: `make check-schemas`."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cache import HERE
from programs import Programs, Result

ROOT = HERE.parents[1]
NEXT = 1 + max(int(version.name) for version in (ROOT / "schemas/history").iterdir())
Change = Callable[[dict[str, Any]], None]


class Tree:
    """A copy of schemas/, and the check over it."""

    def __init__(self, programs: Programs, directory: Path) -> None:
        self._programs = programs
        self.schemas = directory / "schemas"
        shutil.copytree(ROOT / "schemas", self.schemas)

    def change(self, file: str, change: Change) -> None:
        path = self.schemas / file
        schema = json.loads(path.read_text())
        change(schema)
        path.write_text(json.dumps(schema))

    def check(self, status: int) -> Result:
        script = ROOT / "tests/check-schemas"
        return self._programs.run(script, self._programs.path("envelopectl"), self.schemas, status=status)

    def said(self) -> list[str]:
        """What a check says that fails: what is wrong, a line each, beside the program's own last word."""
        return [line.removeprefix("check-schemas: ") for line in self.check(1).noise]


@pytest.fixture
def tree(programs: Programs, tmp_path: Path) -> Tree:
    return Tree(programs, tmp_path)


def of_name(schema: Any, name: str) -> dict[str, Any]:
    """The first field or type of that name, at any depth."""
    if isinstance(schema, dict) and schema.get("name") == name:
        return schema
    inner = schema.values() if isinstance(schema, dict) else schema if isinstance(schema, list) else ()
    return next((found for found in (of_name(value, name) for value in inner) if found), {})


def set_type(field: str, type_: Any) -> Change:
    return lambda schema: of_name(schema, field).update(type=type_)


def test_every_schema_has_a_first_version() -> None:
    names = {path.name for path in (ROOT / "schemas").glob("*.avsc")}
    assert names and {path.name for path in (ROOT / "schemas/history/1").iterdir()} == names


def test_the_history_is_kept(tree: Tree) -> None:
    assert tree.check(0).stdout == b"" == tree.check(0).stderr


@pytest.mark.parametrize(
    ("file", "change", "place"),
    [
        ("admission.avsc", set_type("gpu_count", ["null", "string"]), "requested.gpu_count: string cannot be read as"),
        ("admission.avsc", set_type("workspace", ["null", "bytes", "int"]), "scope.workspace: int cannot be read as"),
        ("lifecycle.avsc", set_type("stage", "long"), "failed[].stage: long cannot be read as string"),
        ("failed.avsc", set_type("retryable", "string"), "retryable: string cannot be read as"),
        ("audit.avsc", lambda s: of_name(s, "number").update(name="nr"), "no field number"),
        ("tick.avsc", lambda s: s["fields"].append({"name": "x", "type": "int"}), "no field x"),
        ("governance.avsc", lambda s: of_name(s, "ObligationState")["symbols"].append("lost"), "no symbol lost"),
    ],
)
def test_an_incompatible_change_is_refused_with_its_place(tree: Tree, file: str, change: Change, place: str) -> None:
    # As if that had been the first version, and what the program was built from the change.
    (tree.schemas / f"history/{NEXT}").mkdir()
    shutil.copy(tree.schemas / file, tree.schemas / f"history/{NEXT}")
    tree.change(f"history/1/{file}", change)
    (line,) = tree.said()
    assert f"INCOMPATIBLE with {tree.schemas}/history/1/{file}: " in line and place in line


def test_a_change_without_its_entry_is_noticed(tree: Tree) -> None:
    new = {"name": "cost_centre", "type": ["null", "string"], "doc": "Who pays.", "default": None}
    tree.change("admission.avsc", lambda s: s["fields"].append(new))
    (line,) = tree.said()
    entry = tree.schemas / f"history/{NEXT}/admission.avsc"
    assert line.startswith(f"{tree.schemas}/admission.avsc: is not what {tree.schemas}/history/1/admission.avsc says")
    assert f"copy it to {entry}" in line

    entry.parent.mkdir()
    shutil.copy(tree.schemas / "admission.avsc", entry)
    assert tree.check(0).stderr == b""
    # Of ten versions the tenth is the newest, and only of what is in it.
    shutil.copytree(entry.parent, tree.schemas / "history/10")
    shutil.copy(tree.schemas / "history/1/admission.avsc", entry)
    assert tree.check(0).stderr == b""


@pytest.mark.parametrize("member", ["default", "aliases", "logicalType", "order"])
def test_what_the_canonical_form_leaves_out_counts(tree: Tree, member: str) -> None:
    tree.change("tick.avsc", lambda s: of_name(s, "as_of").update({member: 0}))
    (line,) = tree.said()
    assert "tick.avsc" in line


def test_words_may_be_changed(tree: Tree) -> None:
    tree.change("admission.avsc", lambda s: of_name(s, "gpu_count").update(doc="How many."))
    assert tree.check(0).stderr == b""


def test_a_record_comes_with_a_history_and_does_not_go(tree: Tree) -> None:
    (tree.schemas / "novelty.avsc").write_text('{"type": "record", "name": "Novelty", "fields": []}')
    (tree.schemas / "tick.avsc").unlink()
    new, gone = tree.said()
    assert new == f"{tree.schemas}/novelty.avsc: has no history; copy it to {tree.schemas}/history/{NEXT}/novelty.avsc"
    assert gone.startswith(f"{tree.schemas}/history/1/tick.avsc: there is no {tree.schemas}/tick.avsc any more")
