// SPDX-License-Identifier: Apache-2.0
package envelope.bench;

import envelope.v1.Admission;
import envelope.v1.DriftLine;
import envelope.v1.Evidence;
import envelope.v1.ExecutionKind;
import envelope.v1.Failed;
import envelope.v1.Finalized;
import envelope.v1.ForeignEvents;
import envelope.v1.Lifecycle;
import envelope.v1.Outcome;
import envelope.v1.Phase;
import envelope.v1.Released;
import envelope.v1.Resolved;
import envelope.v1.Sha256;
import envelope.v1.Status;
import envelope.v1.Violation;
import envelope.v1.ViolationKind;
import envelope.v1.ViolationRef;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.EnumMap;
import java.util.HexFormat;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Set;
import java.util.TreeSet;
import org.apache.avro.Schema;
import org.apache.avro.specific.SpecificRecord;

/**
 * One envelope: its lifecycle record and one event more.
 *
 * <p>Left out, since the bench's traffic has none of it: the limits on events and bytes of a record,
 * what ticks decide, retirement.
 */
final class Envelope {
    private static final Set<String> TOLD_ANEW = Set.of("event_id", "occurred_at", "source");
    private static final Map<ExecutionKind, Long> MINUTES = new EnumMap<>(Map.of(
            ExecutionKind.deployment, 15L, ExecutionKind.inference, 2L, ExecutionKind.evaluation, 360L,
            ExecutionKind.data_movement, 360L, ExecutionKind.tool_call, 5L));

    final Lifecycle record;
    final List<Violation> found = new ArrayList<>();
    private final Phases phases;

    Envelope(String id, Lifecycle known, Phases phases) {
        this.phases = phases;
        record = known != null ? known : empty(id);
    }

    private static Lifecycle empty(String id) {
        Lifecycle record = new Lifecycle();
        record.setEnvelopeId(id);
        record.setTenant("");
        record.setStatus(Status.orphaned);
        record.setOutcome(Outcome.pending);
        record.setGrants(new ArrayList<>());
        record.setFinalized(new ArrayList<>());
        record.setFailed(new ArrayList<>());
        record.setReleased(new ArrayList<>());
        record.setAnnotations(new ArrayList<>());
        record.setForeign(new ForeignEvents(new ArrayList<>(), new ArrayList<>(), new ArrayList<>(),
                new ArrayList<>(), new ArrayList<>()));
        record.setDrift(new ArrayList<>());
        record.setViolations(new ArrayList<>());
        record.setEvidence(new ArrayList<>());
        return record;
    }

    // ---- One event more. False: a repeat, nothing has changed.

    boolean add(Admission admission, byte[] framed, Evidence at) {
        if (record.getAdmission() != null) {
            if (sameContent(record.getAdmission(), admission)) return false;
            Evidence standing = record.getEvidence().get(0);
            return find(ViolationKind.admission_conflict, standing, at);
        }
        record.setAdmission(admission);
        phases.sha256.update(framed, Framing.HEAD, framed.length - Framing.HEAD);
        record.setAdmissionSha256(new Sha256(phases.sha256.digest()));
        record.getEvidence().add(0, at);
        for (Phases.Kind<?> kind : phases.all) moveForeign(kind, at);
        derive();
        return true;
    }

    <T extends SpecificRecord> boolean add(Phases.Kind<T> kind, T event, Evidence at) {
        List<T> own = kind.own().apply(record);
        List<T> foreign = kind.foreign().apply(record.getForeign());
        T standing = withId(kind, own, at.getEventId());
        if (standing == null) standing = withId(kind, foreign, at.getEventId());
        if (standing != null) {
            return !standing.equals(event)
                    && find(ViolationKind.event_id_conflict, evidenceOf(kind, at.getEventId()), at);
        }
        Admission admission = record.getAdmission();
        boolean isForeign = admission != null && !admission.getTenant().equals(kind.tenant().apply(event));
        int place = before(kind.phase()) + rank(kind, own, event) + rank(kind, foreign, event);
        record.getEvidence().add(place, at);
        List<T> into = isForeign ? foreign : own;
        into.add(rank(kind, into, event), event);
        if (isForeign) find(ViolationKind.tenant_mismatch, record.getEvidence().get(0), at);
        derive();
        return true;
    }

    private <T extends SpecificRecord> void moveForeign(Phases.Kind<T> kind, Evidence admission) {
        String tenant = record.getAdmission().getTenant();
        List<T> own = kind.own().apply(record);
        for (int i = 0; i < own.size(); ) { // the iterators of Avro's arrays remove nothing
            T event = own.get(i);
            if (kind.tenant().apply(event).equals(tenant)) {
                i++;
                continue;
            }
            own.remove(i);
            kind.foreign().apply(record.getForeign()).add(event);
            find(ViolationKind.tenant_mismatch, admission, evidenceOf(kind, kind.eventId().apply(event)));
        }
    }

    private static boolean sameContent(Admission a, Admission b) {
        for (Schema.Field field : Admission.getClassSchema().getFields()) {
            if (TOLD_ANEW.contains(field.name())) continue;
            if (!Objects.equals(a.get(field.pos()), b.get(field.pos()))) return false;
        }
        return true;
    }

    private static <T extends SpecificRecord> T withId(Phases.Kind<T> kind, List<T> list, String id) {
        for (T event : list) {
            if (kind.eventId().apply(event).equals(id)) return event;
        }
        return null;
    }

    private static <T extends SpecificRecord> int rank(Phases.Kind<T> kind, List<T> list, T event) {
        int rank = list.size();
        while (rank > 0 && kind.compare(event, list.get(rank - 1)) < 0) rank--;
        return rank;
    }

    private int before(Phase phase) {
        int count = 0;
        for (Evidence at : record.getEvidence()) {
            if (at.getPhase().compareTo(phase) < 0) count++;
        }
        return count;
    }

    private Evidence evidenceOf(Phases.Kind<?> kind, String eventId) {
        for (Evidence at : record.getEvidence()) {
            if (at.getPhase() == kind.phase() && at.getEventId().equals(eventId)) return at;
        }
        throw new IllegalStateException("an event without evidence");
    }

    // ---- Violations. Strings are compared as Java does; in other than ASCII, bytes may differ.

    private boolean find(ViolationKind kind, Evidence first, Evidence second) {
        TreeSet<String> ids = new TreeSet<>(List.of(first.getEventId(), second.getEventId()));
        String id = violationId(kind, ids);
        List<ViolationRef> refs = record.getViolations();
        int place = 0;
        for (ViolationRef ref : refs) {
            int order = ref.getKind().compareTo(kind);
            if (order == 0) order = ref.getViolationId().compareTo(id);
            if (order == 0) return false;
            if (order < 0) place++;
        }
        refs.add(place, new ViolationRef(id, kind));
        found.add(new Violation(id, kind, record.getEnvelopeId(), record.getTenant(), List.of(first, second)));
        return true;
    }

    private String violationId(ViolationKind kind, Iterable<String> eventIds) {
        StringBuilder text = new StringBuilder("[\"").append(kind).append("\",");
        quote(text, record.getEnvelopeId());
        char before = '[';
        text.append(',');
        for (String id : eventIds) {
            quote(text.append(before), id);
            before = ',';
        }
        byte[] bytes = text.append("]]").toString().getBytes(StandardCharsets.UTF_8);
        return HexFormat.of().formatHex(phases.sha256.digest(bytes));
    }

    private static void quote(StringBuilder text, String id) {
        text.append('"').append(id.replace("\\", "\\\\").replace("\"", "\\\"")).append('"');
    }

    // ---- The fields that follow from the events.

    private void derive() {
        Admission admission = record.getAdmission();
        Resolved grant = Phases.last(record.getGrants());
        if (admission != null && grant != null) {
            record.setDrift(Drift.between(admission.getRequested(), grant.getGranted()));
        }
        if (admission != null) record.setDeadline(deadline(admission));
        record.setTenant(tenant());
        for (Violation violation : found) violation.setTenant(record.getTenant());

        Finalized finalized = Phases.last(record.getFinalized());
        Failed failed = Phases.last(record.getFailed());
        Released released = Phases.last(record.getReleased());
        boolean failure = failed != null
                && (finalized == null || failed.getOccurredAt() >= finalized.getOccurredAt());
        record.setStatus(status(finalized, failed, released, failure));
        boolean ended = finalized != null || failed != null || released != null;
        record.setOutcome(failure ? failure(failed) : outcome(ended));
    }

    private String tenant() {
        if (record.getAdmission() != null) return record.getAdmission().getTenant();
        for (Phases.Kind<?> kind : phases.all) {
            String tenant = firstTenant(kind);
            if (tenant != null) return tenant;
        }
        return "";
    }

    private <T extends SpecificRecord> String firstTenant(Phases.Kind<T> kind) {
        List<T> own = kind.own().apply(record);
        return own.isEmpty() ? null : kind.tenant().apply(own.get(0));
    }

    private long deadline(Admission admission) {
        Long asked = admission.getRequested().getTimeoutMs();
        long limitMs = asked != null && asked >= 0
                ? asked
                : MINUTES.getOrDefault(admission.getExecution().getKind(), 60L) * 60_000;
        return record.getEvidence().get(0).getTimestamp() + limitMs * 1000;
    }

    private Status status(Finalized finalized, Failed failed, Released released, boolean failure) {
        if (record.getAdmission() == null) return Status.orphaned;
        long last = Long.MIN_VALUE;
        Status status = record.getGrants().isEmpty() ? Status.admitted : Status.resolved;
        if (finalized != null || failed != null) {
            status = failure ? Status.failed : Status.finalized;
            last = failure ? failed.getOccurredAt() : finalized.getOccurredAt();
        }
        return released != null && released.getOccurredAt() >= last ? Status.released : status;
    }

    private Outcome failure(Failed failed) {
        List<Resolved> grants = record.getGrants();
        boolean granted = !grants.isEmpty() && grants.get(0).getOccurredAt() <= failed.getOccurredAt();
        return granted ? Outcome.unhealthy : Outcome.denied;
    }

    private Outcome outcome(boolean ended) {
        if (record.getAdmission() == null) return Outcome.pending;
        boolean equal = false;
        boolean narrowed = false;
        boolean widened = false;
        for (DriftLine line : record.getDrift()) {
            if (!Drift.counts(line)) continue;
            switch (line.getChange()) {
                case rebound:
                    return Outcome.rebound;
                case narrowed:
                    narrowed = true;
                    break;
                case widened:
                    widened = true;
                    break;
                case equal:
                    equal = true;
                    break;
                default:
                    break;
            }
        }
        if (narrowed) return Outcome.narrowed;
        if (widened) return Outcome.widened;
        if (equal) return Outcome.as_requested;
        return ended ? Outcome.unstated : Outcome.pending;
    }
}
