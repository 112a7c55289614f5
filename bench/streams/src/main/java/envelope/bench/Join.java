// SPDX-License-Identifier: Apache-2.0
package envelope.bench;

import envelope.v1.Admission;
import envelope.v1.Evidence;
import envelope.v1.Lifecycle;
import envelope.v1.Phase;
import envelope.v1.Violation;
import java.nio.charset.StandardCharsets;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.atomic.AtomicLong;
import org.apache.avro.specific.SpecificRecord;
import org.apache.kafka.common.header.Headers;
import org.apache.kafka.common.header.internals.RecordHeaders;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;
import org.apache.kafka.common.serialization.ByteArraySerializer;
import org.apache.kafka.common.serialization.Serdes;
import org.apache.kafka.streams.Topology;
import org.apache.kafka.streams.processor.api.Processor;
import org.apache.kafka.streams.processor.api.ProcessorContext;
import org.apache.kafka.streams.processor.api.Record;
import org.apache.kafka.streams.processor.api.RecordMetadata;
import org.apache.kafka.streams.state.KeyValueBytesStoreSupplier;
import org.apache.kafka.streams.state.KeyValueStore;
import org.apache.kafka.streams.state.Stores;

/** The join: an event in, the envelope's lifecycle record out, kept as its bytes in one store. */
final class Join implements Processor<byte[], byte[], byte[], byte[]> {
    static final List<String> INPUTS = List.of("admission", "resolved", "finalized", "failed", "released", "annotation");
    private static final String STORE = "lifecycle";

    private final AtomicLong processed;
    private final Phases phases = new Phases();
    private final Map<String, Phases.Kind<?>> kinds = new HashMap<>();
    private final Framing<Admission> admissions = new Framing<>(Admission.class);
    private final Framing<Lifecycle> lifecycles = new Framing<>(Lifecycle.class);
    private final Framing<Violation> violations = new Framing<>(Violation.class);
    private ProcessorContext<byte[], byte[]> context;
    private KeyValueStore<byte[], byte[]> store;

    private Join(AtomicLong processed) {
        this.processed = processed;
    }

    /**
     * Counts into `processed` what it has stepped. Streams' cache is on where it made the join
     * cheaper: before RocksDB, whose writes it spares, and not before the store in memory.
     */
    static Topology topology(String from, String to, boolean inMemory, AtomicLong processed) {
        KeyValueBytesStoreSupplier supplier =
                inMemory ? Stores.inMemoryKeyValueStore(STORE) : Stores.persistentKeyValueStore(STORE);
        var store = Stores.keyValueStoreBuilder(supplier, Serdes.ByteArray(), Serdes.ByteArray());
        String[] topics = INPUTS.stream().map(phase -> from + "envelope." + phase + ".v1").toArray(String[]::new);
        ByteArrayDeserializer read = new ByteArrayDeserializer();
        ByteArraySerializer write = new ByteArraySerializer();
        return new Topology()
                .addSource("events", read, read, topics)
                .addProcessor("join", () -> new Join(processed), "events")
                .addStateStore(inMemory ? store.withCachingDisabled() : store.withCachingEnabled(), "join")
                .addSink("lifecycle", to + "envelope.lifecycle.v1", write, write, "join")
                .addSink("violation", to + "envelope.violation.v1", write, write, "join");
    }

    @Override
    public void init(ProcessorContext<byte[], byte[]> given) {
        context = given;
        store = given.getStateStore(STORE);
    }

    @Override
    public void process(Record<byte[], byte[]> input) {
        RecordMetadata from = context.recordMetadata().orElseThrow();
        byte[] known = store.get(input.key());
        Envelope envelope = new Envelope(new String(input.key(), StandardCharsets.UTF_8),
                known == null ? null : lifecycles.decode(known), phases);
        if (step(envelope, input, from)) write(envelope, input, from);
        processed.incrementAndGet();
    }

    private boolean step(Envelope envelope, Record<byte[], byte[]> input, RecordMetadata from) {
        Phases.Kind<?> kind = kinds.computeIfAbsent(from.topic(), phases::of);
        if (kind != null) return step(envelope, kind, input, from);
        Admission admission = admissions.decode(input.value());
        return envelope.add(admission, input.value(), evidence(Phase.admission, admission.getEventId(), input, from));
    }

    private <T extends SpecificRecord> boolean step(
            Envelope envelope, Phases.Kind<T> kind, Record<byte[], byte[]> input, RecordMetadata from) {
        T event = kind.framing().decode(input.value());
        return envelope.add(kind, event, evidence(kind.phase(), kind.eventId().apply(event), input, from));
    }

    private static Evidence evidence(Phase phase, String eventId, Record<?, ?> input, RecordMetadata from) {
        return new Evidence(from.topic(), from.partition(), from.offset(), input.timestamp() * 1000, phase, eventId);
    }

    /** The time of an output is when it was written, so that a reader can tell how long the work took. */
    private void write(Envelope envelope, Record<byte[], byte[]> input, RecordMetadata from) {
        byte[] value = lifecycles.encode(envelope.record);
        store.put(input.key(), value);
        String in = "[\"" + from.topic() + "\"," + from.partition() + "," + from.offset() + "]";
        Headers headers = new RecordHeaders().add("in", in.getBytes(StandardCharsets.UTF_8));
        long now = System.currentTimeMillis();
        for (Violation violation : envelope.found) {
            context.forward(new Record<>(input.key(), violations.encode(violation), now, headers), "violation");
        }
        context.forward(new Record<>(input.key(), value, now, headers), "lifecycle");
    }
}
