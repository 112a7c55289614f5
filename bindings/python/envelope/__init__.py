# SPDX-License-Identifier: Apache-2.0
"""Events of execution envelopes, from a service to Kafka, at no cost to what the service is doing.

    with envelope.Producer("/var/lib/my-service/spool", bootstrap="kafka-1:9092", source="urn:service:serving") as p:
        e = p.admit(
            tenant="acme",
            caller={"requester_urn": "urn:user:ada", "initiator": "human"},
            execution={"kind": "deployment", "service": "serving", "operation": "deploy_model"},
            requested={"gpu_count": 1, "engine": "vllm"},
        )
        e.resolved(granted={"gpu_count": 1, "engine": "vllm"}, resolution={"backend": "k8s"})
        e.finalized(runtime_id="pod-7")

An emitted event lies in the spool, a directory of files, when the call returns: it survives the
death of the process, and is sent by the next one that opens the spool. No call waits for Kafka.

What is the caller's mistake is raised (`Mistake` and its classes, which say the field); what is
not, a full spool say, is returned (`Result`).
"""

from ._envelope import Envelope
from ._errors import (
    BadEnum,
    BadSetting,
    Closed,
    DuplicateKey,
    Error,
    ExtensionNotNamespaced,
    Forked,
    InvalidUtf8,
    Mistake,
    MissingField,
    Oversized,
    Result,
    TenantMissing,
    TooDeep,
    Unavailable,
    WrongField,
    WrongSchema,
)
from ._fields import AuthorityRef, Caller, Execution, Governance, Resolution, Resources, Scope
from ._library import VERSION as __version__
from ._producer import Counts, Producer

__all__ = [
    "AuthorityRef",
    "BadEnum",
    "BadSetting",
    "Caller",
    "Closed",
    "Counts",
    "DuplicateKey",
    "Envelope",
    "Error",
    "Execution",
    "ExtensionNotNamespaced",
    "Forked",
    "Governance",
    "InvalidUtf8",
    "Mistake",
    "MissingField",
    "Oversized",
    "Producer",
    "Resolution",
    "Resources",
    "Result",
    "Scope",
    "TenantMissing",
    "TooDeep",
    "Unavailable",
    "WrongField",
    "WrongSchema",
    "__version__",
]
