# SPDX-License-Identifier: Apache-2.0
"""The parts of events, as type checkers know them: schemas/*.avsc say what they mean."""

from __future__ import annotations

from typing import Dict, List, Literal, TypedDict

Sensitivity = Literal["public", "internal", "confidential", "restricted"]


class _AuthorityRef(TypedDict):
    kind: str
    reference: str


class AuthorityRef(_AuthorityRef, total=False):
    digest: str


class _Caller(TypedDict):
    requester_urn: str
    initiator: Literal["human", "app", "service", "agent", "other"]


class Caller(_Caller, total=False):
    """Who asks."""

    request_id: str
    on_behalf_of: List[str]
    authority_refs: List[AuthorityRef]


class _Execution(TypedDict):
    kind: Literal[
        "deployment",
        "inference",
        "pipeline_step",
        "maintenance_task",
        "evaluation",
        "data_movement",
        "tool_call",
        "agent_run",
        "other",
    ]
    service: str
    operation: str


class Execution(_Execution, total=False):
    """What kind of execution is asked for."""

    target: str


class Scope(TypedDict, total=False):
    """Where the request belongs."""

    workspace: str
    app: str
    job: str
    session: str
    thread: str
    template: str
    deployment_group: str


class Governance(TypedDict, total=False):
    """Hints for policy surfaces."""

    audit_level: Literal["minimal", "standard", "full"]
    sensitivity: Sensitivity
    provenance: str
    retention: str
    policy_refs: List[str]
    hints: Dict[str, str]


class Resources(TypedDict, total=False):
    """What is requested, or granted. Absent is not zero."""

    cpu_millis: int
    memory_bytes: int
    gpu_count: int
    gpu_share_milli: int
    gpu_class: str
    engine: str
    concurrency: int
    timeout_ms: int
    priority: int
    placement: Dict[str, str]
    amounts: Dict[str, int]


class Resolution(TypedDict, total=False):
    """Where a grant is bound."""

    backend: str
    actor: str
    routing: str
    target: str
    substrate: str
    attributes: Dict[str, str]
