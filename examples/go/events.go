// SPDX-License-Identifier: Apache-2.0

package main

import (
	"time"

	"github.com/google/uuid"
	"github.com/linkedin/goavro/v2"
)

type record = map[string]any

// An event is one of a phase of an envelope.
type event struct {
	phase  string
	at     time.Time
	fields record
}

// name is that of its type and, after a prefix, of its topic.
func (e event) name() string { return "envelope." + e.phase + ".v1" }

// newEvent adds what each event states, whatever its phase.
func newEvent(phase, envelopeID string, at time.Time, fields record) event {
	fields["envelope_id"] = envelopeID
	fields["event_id"] = newID()
	fields["tenant"] = "acme"
	fields["occurred_at"] = at.UnixMicro()
	fields["source"] = "urn:service:serving"
	fields["sensitivity"] = goavro.Union("envelope.v1.Sensitivity", "internal")
	return event{phase, at, fields}
}

// newID is ordered by time, so that envelopes made together lie together.
func newID() string { return uuid.Must(uuid.NewV7()).String() }

func optionalLong(value int64) any    { return goavro.Union("long", value) }
func optionalString(value string) any { return goavro.Union("string", value) }

// admission says who asks for what. What is not known is left out: absent is not zero.
func admission(envelopeID string, at time.Time) event {
	return newEvent("admission", envelopeID, at, record{
		"caller": record{
			"requester_urn": "urn:acme:user:ada", "initiator": "human", "request_id": optionalString("req-7f3a"),
		},
		"execution": record{"kind": "deployment", "service": "serving", "operation": "deploy_model"},
		"governance": goavro.Union("envelope.v1.Governance", record{
			"audit_level": goavro.Union("envelope.v1.AuditLevel", "full"),
			"hints":       record{"audit_event": "model.deploy"},
		}),
		"requested": record{
			"cpu_millis": optionalLong(8000), "memory_bytes": optionalLong(32 << 30), "gpu_count": optionalLong(1),
			"engine": optionalString("vllm"), "timeout_ms": optionalLong(3_600_000),
			"placement": record{"region": "eu-west"},
		},
	})
}

func resources(cpuMillis, gpuShareMilli int64) record {
	return record{
		"cpu_millis": optionalLong(cpuMillis), "memory_bytes": optionalLong(16 << 30), "gpu_count": optionalLong(1),
		"gpu_share_milli": optionalLong(gpuShareMilli), "engine": optionalString("vllm"),
	}
}

// deployment is of a model that gets less than was asked for, then more, and is undeployed.
func deployment(began time.Time) []event {
	envelopeID := newID()
	at := func(seconds int, phase string, fields record) event {
		return newEvent(phase, envelopeID, began.Add(time.Duration(seconds)*time.Second), fields)
	}
	resolution := func(target string) record {
		return record{"backend": optionalString("ray-serve"), "target": optionalString(target)}
	}
	return []event{
		admission(envelopeID, began),
		at(2, "resolved", record{"granted": resources(4000, 500), "resolution": resolution("pool-gpu-a")}),
		at(5, "annotation", record{"annotations": record{"com.example.review/ticket": `"GOV-1412"`}}),
		at(12, "finalized", record{"runtime_id": "deployment-8841", "backend_kind": optionalString("vllm")}),
		// A grant is added; the one before it stays.
		at(302, "resolved", record{"granted": resources(8000, 1000), "resolution": resolution("pool-gpu-b")}),
		at(902, "released", record{
			"reason": optionalString("undeployed by its owner"), "measured": record{"tokens": 48211},
		}),
	}
}

// denial is of a request that fails before anything was granted: a failed event cannot even say otherwise.
func denial(began time.Time) []event {
	envelopeID := newID()
	return []event{
		admission(envelopeID, began),
		newEvent("failed", envelopeID, began.Add(time.Second), record{
			"stage": "resolution", "code": optionalString("no_capacity"),
			"reason": "no GPU is free in eu-west", "retryable": goavro.Union("boolean", true),
		}),
	}
}
