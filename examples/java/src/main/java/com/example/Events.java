// SPDX-License-Identifier: Apache-2.0
package com.example;

import java.time.Instant;
import java.time.temporal.ChronoUnit;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.UUID;

/** What stands for your service: a deployment from its admission to its release, and one that is denied. */
final class Events {
    private Events() {}

    /** An event of a phase of an envelope. */
    record Event(String phase, String envelopeId, Instant at, Map<String, Object> fields) {
        /** That of its type and, after a prefix, of its topic. */
        String name() {
            return "envelope." + phase + ".v1";
        }
    }

    /** A model gets less than was asked for, then more, and is undeployed. */
    static List<Event> deployment(Instant began) {
        String id = newId();
        return List.of(
                admission(id, began),
                event("resolved", id, began.plusSeconds(2), Map.of(
                        "granted", resources(4000, 500), "resolution", resolution("pool-gpu-a"))),
                event("annotation", id, began.plusSeconds(5), Map.of(
                        "annotations", Map.of("com.example.review/ticket", "\"GOV-1412\""))),
                event("finalized", id, began.plusSeconds(12), Map.of(
                        "runtime_id", "deployment-8841", "backend_kind", "vllm")),
                // A grant is added; the one before it stays.
                event("resolved", id, began.plusSeconds(302), Map.of(
                        "granted", resources(8000, 1000), "resolution", resolution("pool-gpu-b"))),
                event("released", id, began.plusSeconds(902), Map.of(
                        "reason", "undeployed by its owner", "measured", Map.of("tokens", 48211L))));
    }

    /** A request that fails before anything was granted: a failed event cannot even say otherwise. */
    static List<Event> denial(Instant began) {
        String id = newId();
        return List.of(
                admission(id, began),
                event("failed", id, began.plusSeconds(1), Map.of(
                        "stage", "resolution", "code", "no_capacity",
                        "reason", "no GPU is free in eu-west", "retryable", true)));
    }

    /** Who asks for what. What is not known is left out: absent is not zero. */
    private static Event admission(String envelopeId, Instant at) {
        return event("admission", envelopeId, at, Map.of(
                "caller", Map.of("requester_urn", "urn:acme:user:ada", "initiator", "human", "request_id", "req-7f3a"),
                "execution", Map.of("kind", "deployment", "service", "serving", "operation", "deploy_model"),
                "governance", Map.of("audit_level", "full", "hints", Map.of("audit_event", "model.deploy")),
                "requested", Map.of(
                        "cpu_millis", 8000L, "memory_bytes", 32L << 30, "gpu_count", 1L, "engine", "vllm",
                        "timeout_ms", 3_600_000L, "placement", Map.of("region", "eu-west"))));
    }

    private static Map<String, Object> resources(long cpuMillis, long gpuShareMilli) {
        return Map.of("cpu_millis", cpuMillis, "memory_bytes", 16L << 30, "gpu_count", 1L,
                "gpu_share_milli", gpuShareMilli, "engine", "vllm");
    }

    private static Map<String, Object> resolution(String target) {
        return Map.of("backend", "ray-serve", "target", target);
    }

    private static Event event(String phase, String envelopeId, Instant at, Map<String, Object> own) {
        Map<String, Object> fields = new HashMap<>(own);
        fields.putAll(Map.of(
                "envelope_id", envelopeId,
                "event_id", newId(),
                "tenant", "acme",
                "occurred_at", ChronoUnit.MICROS.between(Instant.EPOCH, at),
                "source", "urn:service:serving",
                "sensitivity", "internal"));
        return new Event(phase, envelopeId, at, fields);
    }

    /** UUIDv7: ordered by time, so that envelopes made together lie together. */
    private static String newId() {
        UUID random = UUID.randomUUID();
        long head = System.currentTimeMillis() << 16 | 0x7000 | random.getMostSignificantBits() & 0xfff;
        return new UUID(head, random.getLeastSignificantBits()).toString();
    }
}
