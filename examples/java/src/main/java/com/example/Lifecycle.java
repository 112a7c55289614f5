// SPDX-License-Identifier: Apache-2.0
package com.example;

import io.apicurio.registry.serde.avro.AvroKafkaSerializer;
import java.io.File;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.security.SecureRandom;
import java.time.Instant;
import java.time.ZoneOffset;
import java.time.format.DateTimeFormatter;
import java.util.HashMap;
import java.util.HexFormat;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.logging.Level;
import java.util.logging.Logger;
import org.apache.avro.Schema;
import org.apache.avro.generic.GenericRecord;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.Producer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.clients.producer.RecordMetadata;
import org.apache.kafka.common.KafkaException;
import org.apache.kafka.common.serialization.Serializer;
import org.apache.kafka.common.serialization.StringSerializer;

/** Writes two execution envelopes to Kafka: a whole lifecycle, and a request that is denied; see Events for them. */
public final class Lifecycle {
    private static final String USAGE =
            "usage: Lifecycle --bootstrap HOST:PORT,... [--schema-registry URL] [--topic-prefix TEXT] [--schemas DIR]";
    private static final Set<String> OPTIONS =
            Set.of("--bootstrap", "--schema-registry", "--topic-prefix", "--schemas");
    private static final DateTimeFormatter MICROS =
            DateTimeFormatter.ofPattern("uuuu-MM-dd'T'HH:mm:ss.SSSSSS'Z'").withZone(ZoneOffset.UTC);
    private static final SecureRandom RANDOM = new SecureRandom();

    private final Producer<String, GenericRecord> producer;
    private final String prefix;
    private final File schemas;
    private final Map<String, Schema> schemaOf = new HashMap<>();
    private final AtomicInteger undelivered = new AtomicInteger();

    private Lifecycle(Producer<String, GenericRecord> producer, String prefix, File schemas) {
        this.producer = producer;
        this.prefix = prefix;
        this.schemas = schemas;
    }

    public static void main(String[] args) {
        Map<String, String> options = parse(args);
        if (!options.containsKey("--bootstrap")) {
            System.err.println("Lifecycle: --bootstrap is required, and each option has a value");
            System.err.println(USAGE);
            System.exit(2);
        }
        Logger.getLogger("").setLevel(Level.WARNING); // at info, the registry's client logs whole schemas
        System.exit(run(options)); // the registry's client leaves threads behind
    }

    /** The options given; none when they cannot be understood. */
    private static Map<String, String> parse(String[] args) {
        Map<String, String> options = new HashMap<>();
        for (int i = 0; i < args.length; i += 2) {
            if (!OPTIONS.contains(args[i]) || i + 1 == args.length) {
                return Map.of();
            }
            options.put(args[i], args[i + 1]);
        }
        return options;
    }

    private static int run(Map<String, String> options) {
        Serializer<GenericRecord> values = options.containsKey("--schema-registry")
                ? registered(options.get("--schema-registry")) : new SingleObjectSerializer();
        try (Producer<String, GenericRecord> producer =
                new KafkaProducer<>(settings(options.get("--bootstrap")), new StringSerializer(), values)) {
            File schemas = new File(options.getOrDefault("--schemas", "schemas"));
            Lifecycle lifecycle = new Lifecycle(producer, options.getOrDefault("--topic-prefix", ""), schemas);
            // A service stamps each event when it happens; these are as if the deployment had just ended.
            Instant began = Instant.now().minusSeconds(902);
            lifecycle.send(Events.deployment(began));
            lifecycle.send(Events.denial(began));
            producer.flush();
            return lifecycle.undelivered.get() == 0 ? 0 : 1;
        } catch (KafkaException e) {
            String why = e.getCause() == null ? "" : ": " + e.getCause().getMessage();
            System.err.println("Lifecycle: " + e.getMessage() + why);
            return 1;
        } catch (IllegalStateException e) {
            System.err.println("Lifecycle: " + e.getMessage());
            return 1;
        }
    }

    /** The partitioner is Java's default: leave partitioner.class alone. So are acks=all and idempotence. */
    private static Map<String, Object> settings(String bootstrap) {
        return Map.of(
                "bootstrap.servers", bootstrap,
                "enable.idempotence", true,
                "acks", "all",
                "max.block.ms", 30_000,
                "request.timeout.ms", 10_000,
                "delivery.timeout.ms", 30_000);
    }

    /** Confluent framing. The schema is looked up, never registered: that is for `envelopectl` alone. */
    private static Serializer<GenericRecord> registered(String url) {
        AvroKafkaSerializer<GenericRecord> serializer = new AvroKafkaSerializer<>();
        serializer.configure(Map.of(
                "apicurio.registry.url", url, // ends in /apis/registry/v3
                "apicurio.registry.dereference-schema", true, // one text, not one for each type in it
                "apicurio.registry.canonicalize", true), false); // the same, whatever its white space
        return serializer;
    }

    private void send(List<Events.Event> envelope) {
        String traceId = randomHex(16);
        for (Events.Event event : envelope) {
            if (undelivered.get() > 0) {
                return; // no broker, or no such topic: each further send would wait as long
            }
            try {
                producer.send(record(event, traceId), (at, failure) -> onDelivery(event, at, failure));
            } catch (RuntimeException e) { // the registry's client throws its own
                throw new IllegalStateException("not sent: " + prefix + event.name() + ": " + e.getMessage(), e);
            }
        }
    }

    /** Under its envelope's id, with the headers of the CloudEvents binding. */
    private ProducerRecord<String, GenericRecord> record(Events.Event event, String traceId) {
        Schema schema = schemaOf.computeIfAbsent(event.phase(), this::schema);
        Map<String, Object> fields = event.fields();
        ProducerRecord<String, GenericRecord> record = new ProducerRecord<>(
                prefix + event.name(), event.envelopeId(), (GenericRecord) Records.of(schema, fields));
        Map<String, String> headers = Map.of(
                "ce_specversion", "1.0",
                "ce_id", (String) fields.get("event_id"),
                "ce_type", event.name(),
                "ce_source", (String) fields.get("source"),
                "ce_time", MICROS.format(event.at()),
                "ce_dataschema", "urn:avro:" + schema.getFullName(),
                "content-type", "application/avro",
                "traceparent", "00-" + traceId + "-" + randomHex(8) + "-01"); // your tracer's, in a service
        headers.forEach((name, value) -> record.headers().add(name, value.getBytes(StandardCharsets.UTF_8)));
        return record;
    }

    private Schema schema(String phase) {
        try {
            return new Schema.Parser().parse(new File(schemas, phase + ".avsc"));
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    /** Called by the producer's thread, or by send() itself. */
    private void onDelivery(Events.Event event, RecordMetadata at, Exception failure) {
        if (failure == null) {
            System.out.println(at.topic() + " " + at.partition() + " " + at.offset() + " " + event.envelopeId());
        } else {
            undelivered.incrementAndGet();
            System.err.println("Lifecycle: not delivered: " + prefix + event.name() + " " + event.envelopeId() + ": "
                    + failure.getMessage());
        }
    }

    private static String randomHex(int size) {
        byte[] random = new byte[size];
        RANDOM.nextBytes(random);
        return HexFormat.of().formatHex(random);
    }
}
