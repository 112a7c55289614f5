// SPDX-License-Identifier: Apache-2.0
package envelope.bench;

import envelope.v1.Annotation;
import envelope.v1.Failed;
import envelope.v1.Finalized;
import envelope.v1.ForeignEvents;
import envelope.v1.Lifecycle;
import envelope.v1.Phase;
import envelope.v1.Released;
import envelope.v1.Resolved;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.List;
import java.util.function.Function;
import org.apache.avro.specific.SpecificRecord;

/**
 * What differs between phases: the class of an event and its lists in the lifecycle record.
 *
 * <p>One for each processor, with what it uses again for each record.
 */
final class Phases {
    /** How events of a type are read and where those of the envelope's tenant and of others go. */
    record Kind<T extends SpecificRecord>(
            Phase phase,
            Framing<T> framing,
            Function<T, String> eventId,
            Function<T, String> tenant,
            Function<T, Long> occurredAt,
            Function<Lifecycle, List<T>> own,
            Function<ForeignEvents, List<T>> foreign) {

        /** By (occurred_at, event_id). */
        int compare(T a, T b) {
            int order = Long.compare(occurredAt.apply(a), occurredAt.apply(b));
            return order != 0 ? order : eventId.apply(a).compareTo(eventId.apply(b));
        }
    }

    final Kind<Resolved> resolved = new Kind<>(Phase.resolved, new Framing<>(Resolved.class),
            Resolved::getEventId, Resolved::getTenant, Resolved::getOccurredAt,
            Lifecycle::getGrants, ForeignEvents::getResolved);
    final Kind<Finalized> finalized = new Kind<>(Phase.finalized, new Framing<>(Finalized.class),
            Finalized::getEventId, Finalized::getTenant, Finalized::getOccurredAt,
            Lifecycle::getFinalized, ForeignEvents::getFinalized);
    final Kind<Failed> failed = new Kind<>(Phase.failed, new Framing<>(Failed.class),
            Failed::getEventId, Failed::getTenant, Failed::getOccurredAt,
            Lifecycle::getFailed, ForeignEvents::getFailed);
    final Kind<Released> released = new Kind<>(Phase.released, new Framing<>(Released.class),
            Released::getEventId, Released::getTenant, Released::getOccurredAt,
            Lifecycle::getReleased, ForeignEvents::getReleased);
    final Kind<Annotation> annotation = new Kind<>(Phase.annotation, new Framing<>(Annotation.class),
            Annotation::getEventId, Annotation::getTenant, Annotation::getOccurredAt,
            Lifecycle::getAnnotations, ForeignEvents::getAnnotations);
    final List<Kind<?>> all = List.of(resolved, finalized, failed, released, annotation);
    final MessageDigest sha256;

    Phases() {
        try {
            sha256 = MessageDigest.getInstance("SHA-256");
        } catch (NoSuchAlgorithmException e) {
            throw new IllegalStateException(e);
        }
    }

    /** The kind of a topic's events, by its name after the prefix; null: admissions. */
    Kind<?> of(String topic) {
        for (Kind<?> kind : all) {
            if (topic.endsWith("envelope." + kind.phase() + ".v1")) return kind;
        }
        return null;
    }

    static <T> T last(List<T> list) {
        return list.isEmpty() ? null : list.get(list.size() - 1);
    }
}
