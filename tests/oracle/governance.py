# SPDX-License-Identifier: Apache-2.0
"""Obligations and audit entries, over all records at once."""

from __future__ import annotations

import base64
import hashlib
import json
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING

from .contract import SCHEMAS, TOPICS, Event, Record, open_record
from .join import candidates

if TYPE_CHECKING:
    from .outputs import Settings, Tick

SENSITIVITIES = ("public", "internal", "confidential", "restricted")
LEVELS = ("minimal", "standard", "full")
HOUR_MS = 3_600_000
REDACTED = {"redacted": True}

DISCLOSED_AT_MINIMAL = {
    *("envelope_id", "event_id", "tenant", "occurred_at", "source", "sensitivity"),
    *("execution.kind", "stage", "code"),
}
LEFT_OUT_AT_STANDARD = {
    *("extensions", "annotations.*", "governance.hints", "resolution.attributes"),
    *("reason", "caller.on_behalf_of", "caller.authority_refs"),
}


@dataclass
class Version:
    number: int
    effective: int
    rules: list[dict]


def rule(name: str, disclosure: str | None = None, obligation: dict | None = None, **match: object) -> dict:
    empty = {"kinds": [], "tenants": [], "sensitivities": [], "audit_levels": [], "hints": {}}
    return {
        "name": name,
        "match": {**empty, **match},
        "disclosure": disclosure,
        "redact": [],
        "obligations": [] if obligation is None else [obligation],
    }


def hint_rule(hint: str, kind: str, name: str, hours: int | None) -> dict:
    due = None if hours is None else hours * HOUR_MS
    owed = {"name": name, "obligation": kind, "due_after_ms": due, "parameters": {}}
    return rule(f"hint-{hint}".replace("_", "-"), obligation=owed, hints={hint: "*"})


BUILTIN = Version(
    0,
    -(1 << 63),
    [
        rule("restricted", "minimal", sensitivities=["restricted"]),
        rule("open-asked-full", "full", sensitivities=["public", "internal"], audit_levels=["full"]),
        hint_rule("audit_event", "audit_disclosure", "disclose", 24),
        hint_rule("review", "review", "review", 7 * 24),
        hint_rule("notify", "notification", "notify", 1),
        hint_rule("guardrail", "guardrail_routing", "route", 1),
        hint_rule("retention", "retention", "retain", None),
        hint_rule("redact", "redaction", "redact", 24),
    ],
)


def policy_versions(settings: Settings, records: Iterable[Record]) -> list[Version]:
    versions = [BUILTIN]
    for record in records:
        value = open_record(settings.writers, record, 1)[0]
        effective = record.appended + settings.policy_margin
        if value["effective_from"] is not None:
            effective = max(effective, value["effective_from"])
        versions.append(Version(record.offset + 1, effective, value["rules"]))
    return versions


def in_force(versions: list[Version], time: int) -> Version:
    return [v for v in versions if v.effective <= time][-1]


def sensitivity_of(event: Event) -> str:
    said = [event.value["sensitivity"], (event.value.get("governance") or {}).get("sensitivity")]
    return max((s for s in said if s is not None), key=SENSITIVITIES.index, default="restricted")


def allows(wanted: list, value: object) -> bool:
    """An empty condition is none."""
    return not wanted or value in wanted


def admission_matches(match: dict, event: Event) -> bool:
    governance = event.value.get("governance") or {}
    hints = governance.get("hints") or {}
    level = governance.get("audit_level")
    return (
        allows(match["kinds"], event.value["execution"]["kind"])
        and allows(match["tenants"], event.tenant)
        and allows(match["sensitivities"], sensitivity_of(event))
        and (not match["audit_levels"] or level in match["audit_levels"])
        and all(name in hints and value in ("*", hints[name]) for name, value in match["hints"].items())
    )


def answer(rule: dict, event: Event) -> str:
    """yes, no, or maybe: a later event states no kind, audit level or hints."""
    match = rule["match"]
    if event.phase == "admission":
        return "yes" if admission_matches(match, event) else "no"
    if not allows(match["tenants"], event.tenant):
        return "no"
    sensitive = allows(match["sensitivities"], sensitivity_of(event))
    if not sensitive and event.value["sensitivity"] is not None:
        return "no"
    stated = not (match["kinds"] or match["audit_levels"] or match["hints"])
    return "yes" if sensitive and stated else "maybe"


# ---- Audit.


def level_of(rules: list[dict], event: Event) -> str:
    said = [(answer(r, event), r["disclosure"]) for r in rules if r["disclosure"] is not None]
    known = min((d for a, d in said if a == "yes"), key=LEVELS.index, default="standard")
    return min([known, *(d for a, d in said if a == "maybe")], key=LEVELS.index)


def printed_time(micros: int) -> str:
    time = datetime(1970, 1, 1, tzinfo=timezone.utc) + timedelta(microseconds=micros)
    return time.strftime("%Y-%m-%dT%H:%M:%S.%fZ")


class Printer:
    """The record in plain JSON, without what must not be said."""

    def __init__(self, schema_name: str, paths: set[str], level: str) -> None:
        self.schema, self.paths, self.level = SCHEMAS[schema_name], paths, level

    def hidden(self, path: str) -> bool:
        if path in self.paths:
            return True
        # Keys of maps have dots themselves: what ends in * stands for whatever is below.
        if any(p.endswith(".*") and path.startswith(p[:-1]) for p in self.paths):
            return True
        if self.level != "minimal":
            return False
        inside = any(path.startswith(f"{p}.") for p in DISCLOSED_AT_MINIMAL)
        around = any(p.startswith(f"{path}.") for p in DISCLOSED_AT_MINIMAL)
        return not (path in DISCLOSED_AT_MINIMAL or inside or around)

    def value(self, node: object, value: object, path: str) -> object:
        kind, resolved = self.schema.kind(node)
        if kind == "union":
            return None if value is None else self.value(resolved[1], value, path)
        if path and self.hidden(path):
            return REDACTED
        logical = node.get("logicalType") if isinstance(node, dict) else None
        match kind:
            case "record":
                return self.record(resolved, value, path)
            case "array":
                return [self.value(resolved["items"], v, path) for v in value]
            case "map":
                keys = sorted(value, key=str.encode)
                return {k: self.value(resolved["values"], value[k], f"{path}.{k}") for k in keys}
            case "long" if logical == "timestamp-micros":
                return printed_time(value)
            case "bytes" | "fixed":
                return base64.b64encode(value).decode()
        return value

    def record(self, node: dict, value: dict, path: str) -> dict:
        out = {}
        for field in node["fields"]:
            name = field["name"]
            if value[name] is not None:
                out[name] = self.value(field["type"], value[name], f"{path}.{name}" if path else name)
        return out


def redacted(rules: list[dict], level: str, event: Event) -> dict:
    paths = {p for r in rules if answer(r, event) != "no" for p in r["redact"]}
    if level == "standard":
        paths |= LEFT_OUT_AT_STANDARD
    return Printer(event.phase, paths, level).record(SCHEMAS[event.phase].root, event.value, "")


def leaf_hash(source: dict, number: int, level: str, event: str) -> bytes:
    start = json.dumps(
        [source["topic"], source["partition"], source["offset"], number, level],
        ensure_ascii=False,
        separators=(",", ":"),
    )
    return hashlib.sha256(b"\0" + f"{start[:-1]},{event}]".encode()).digest()


def audit(settings: Settings, versions: list[Version], events: list[Event]) -> dict[tuple[str, int], list[dict]]:
    """By source partition, in the order of its offsets."""
    logs: dict[tuple[str, int], list[dict]] = defaultdict(list)
    for event in sorted(events, key=lambda e: e.record.where):
        rules = in_force(versions, event.record.appended).rules
        level = level_of(rules, event)
        log = logs[(event.record.topic, event.record.partition)]
        entry = {
            "offset": event.record.offset,
            "number": len(log),
            "level": level,
            "event": redacted(rules, level, event),
        }
        log.append(entry)
    return logs


# ---- Obligations.


def names_hint(path: str, hint: str) -> bool:
    return path in ("governance", "governance.hints", "governance.hints.*", f"governance.hints.{hint}")


def parameters(rules: list[dict], rule: dict, obligation: dict, event: Event) -> dict[str, str]:
    governance = event.value.get("governance") or {}
    paths = {p for r in rules if answer(r, event) == "yes" for p in r["redact"]}
    out = dict(obligation["parameters"])
    for name in rule["match"]["hints"]:
        if not any(names_hint(p, name) for p in paths):
            out.setdefault(f"hint.{name}", governance["hints"][name])
    retention = governance.get("retention")
    if retention is not None and not paths & {"governance", "governance.retention"}:
        out.setdefault("retention", retention)
    return out


def made(versions: list[Version], event: Event) -> dict[str, dict]:
    version = in_force(versions, event.record.appended)
    out = {}
    for rule in version.rules:
        if answer(rule, event) != "yes":
            continue
        for obligation in rule["obligations"]:
            text = json.dumps(
                [event.envelope_id, version.number, rule["name"], obligation["name"]],
                ensure_ascii=False,
                separators=(",", ":"),
            )
            after = obligation["due_after_ms"]
            out.setdefault(hashlib.sha256(text.encode()).hexdigest(), {
                "envelope_id": event.envelope_id,
                "tenant": event.tenant,
                "obligation": obligation["obligation"],
                "name": obligation["name"],
                "parameters": parameters(version.rules, rule, obligation, event),
                "state": "due",
                "overdue": False,
                "due": None if after is None else event.record.appended + after * 1000,
                "policy_version": version.number,
                "rule": rule["name"],
                "actor": None,
            })  # fmt: skip
    return out


def obligations(
    settings: Settings,
    versions: list[Version],
    events: list[Event],
    receipts: list[tuple[Record, dict]],
    ticks: list[Tick],
) -> dict[str, dict]:
    admission = next(iter(candidates("admission", events).events), None)
    if admission is None:
        return {}
    out = made(versions, admission)
    for obligation_id, obligation in out.items():
        answers = [
            (record, value)
            for record, value in receipts
            if value["obligation_id"] == obligation_id and value["tenant"] == admission.tenant and value["state"] != "due"
        ]
        if answers:
            _, last = max(answers, key=lambda x: (x[1]["occurred_at"], x[0].offset))
            obligation |= {"state": last["state"], "actor": last["actor"]}
        if obligation["due"] is not None:
            judged = [t for t in ticks if t.clock >= obligation["due"] + settings.grace]
            late = [t for t in judged if t.has(admission.record)]
            obligation["overdue"] = bool(late) and not any(late[0].has(record) for record, _ in answers)
    return out
