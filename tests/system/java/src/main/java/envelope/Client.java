// SPDX-License-Identifier: Apache-2.0
package envelope;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import io.apicurio.registry.serde.avro.AvroKafkaDeserializer;
import io.apicurio.registry.serde.avro.AvroKafkaSerializer;
import java.io.File;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.CharacterCodingException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Base64;
import java.util.Deque;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.Future;
import org.apache.avro.Schema;
import org.apache.avro.SchemaNormalization;
import org.apache.avro.generic.GenericData;
import org.apache.avro.generic.GenericRecord;
import org.apache.avro.message.BinaryMessageDecoder;
import org.apache.avro.message.BinaryMessageEncoder;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.clients.producer.RecordMetadata;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;
import org.apache.kafka.common.serialization.ByteArraySerializer;

/**
 * A Java team's own client: Kafka's producer with its default partitioner and consumer, Avro's
 * message coders, a registry's serializers.
 *
 * <pre>
 *   write BOOTSTRAP FILE [REGISTRY]              single-object encoding, or with a registry its framing
 *   read  BOOTSTRAP TOPICS REGISTRY|- SCHEMA...  read committed, from the start to the present end
 * </pre>
 *
 * FILE has JSON lines: topic, key (or null), schema (a path), value (plain JSON, or null). TOPICS have
 * commas between. Both print a JSON line a record; REGISTRY is the URL of the registry's own protocol.
 */
public final class Client {
    private static final ObjectMapper JSON = new ObjectMapper();

    private final Map<String, Object> kafka;
    private final Map<String, Object> registry;

    private Client(String bootstrap, String registryUrl) {
        kafka = Map.of("bootstrap.servers", bootstrap);
        registry = registryUrl == null ? null : Map.of(
                "apicurio.registry.url", registryUrl,
                // as with Confluent's: a schema is one text, not one for each type in it, and
                // the same whatever its white space
                "apicurio.registry.dereference-schema", true,
                "apicurio.registry.canonicalize", true);
    }

    public static void main(String[] args) {
        int status = 1;
        try {
            if (args.length >= 3 && args.length <= 4 && args[0].equals("write")) {
                new Client(args[1], args.length > 3 ? args[3] : null).write(Path.of(args[2]));
                status = 0;
            } else if (args.length >= 4 && args[0].equals("read")) {
                List<String> schemas = Arrays.asList(args).subList(4, args.length);
                new Client(args[1], args[3].equals("-") ? null : args[3]).read(args[2], schemas);
                status = 0;
            } else {
                System.err.println("usage: write BOOTSTRAP FILE [REGISTRY]"
                        + " | read BOOTSTRAP TOPICS REGISTRY|- SCHEMA...");
                status = 2;
            }
        } catch (Exception e) {
            e.printStackTrace();
        }
        System.out.flush();
        System.exit(status); // the registry's client leaves threads behind
    }

    private void write(Path file) throws Exception {
        Deque<Future<RecordMetadata>> sent = new ArrayDeque<>();
        Map<String, Schema> schemas = new HashMap<>();
        ByteArraySerializer bytes = new ByteArraySerializer();
        try (KafkaProducer<byte[], byte[]> producer = new KafkaProducer<>(kafka, bytes, bytes);
                Framing framing = registry == null ? Client::singleObject : new Registered()) {
            for (String line : Files.readAllLines(file)) {
                JsonNode json = JSON.readTree(line);
                String topic = json.path("topic").asText();
                byte[] key = json.path("key").isTextual() ? utf8(json.get("key").textValue()) : null;
                byte[] value = null;
                if (!json.path("value").isNull()) {
                    Schema schema = schemas.computeIfAbsent(json.path("schema").asText(), Client::parse);
                    value = framing.encode(topic, (GenericRecord) PlainJson.toAvro(schema, json.path("value")));
                }
                sent.add(producer.send(new ProducerRecord<>(topic, key, value)));
            }
            for (Future<RecordMetadata> acknowledged : sent) {
                RecordMetadata at = acknowledged.get();
                ObjectNode line = JSON.createObjectNode();
                line.put("topic", at.topic()).put("partition", at.partition()).put("offset", at.offset());
                System.out.println(line);
            }
        }
    }

    /** How a record becomes bytes. */
    private interface Framing extends AutoCloseable {
        byte[] encode(String topic, GenericRecord record) throws IOException;

        @Override
        default void close() {}
    }

    private static byte[] singleObject(String topic, GenericRecord record) throws IOException {
        return array(new BinaryMessageEncoder<GenericRecord>(GenericData.get(), record.getSchema()).encode(record));
    }

    /** Looks the schema up under TOPIC-value; registers nothing. */
    private final class Registered implements Framing {
        private final AvroKafkaSerializer<GenericRecord> serializer = new AvroKafkaSerializer<>();

        Registered() {
            serializer.configure(registry, false);
        }

        @Override
        public byte[] encode(String topic, GenericRecord record) {
            return serializer.serialize(topic, record);
        }

        @Override
        public void close() {
            serializer.close();
        }
    }

    private void read(String topics, List<String> schemaFiles) throws Exception {
        Decoder decoder = new Decoder(schemaFiles);
        Map<String, Object> settings = new HashMap<>(kafka);
        settings.put("isolation.level", "read_committed");
        settings.put("enable.auto.commit", false);
        settings.put("fetch.max.wait.ms", 20);
        ByteArrayDeserializer bytes = new ByteArrayDeserializer();
        try (KafkaConsumer<byte[], byte[]> consumer = new KafkaConsumer<>(settings, bytes, bytes)) {
            List<TopicPartition> partitions = new ArrayList<>();
            for (String topic : topics.split(",")) {
                consumer.partitionsFor(topic).forEach(p -> partitions.add(new TopicPartition(topic, p.partition())));
            }
            consumer.assign(partitions);
            consumer.seekToBeginning(partitions);
            Map<TopicPartition, Long> ends = consumer.endOffsets(partitions);
            while (ends.entrySet().stream().anyMatch(e -> consumer.position(e.getKey()) < e.getValue())) {
                for (ConsumerRecord<byte[], byte[]> record : consumer.poll(Duration.ofMillis(100))) {
                    System.out.println(JSON.writeValueAsString(print(record, decoder)));
                }
            }
        }
    }

    private static JsonNode print(ConsumerRecord<byte[], byte[]> record, Decoder decoder) throws IOException {
        ObjectNode line = JSON.createObjectNode();
        line.put("topic", record.topic()).put("partition", record.partition()).put("offset", record.offset());
        line.put("timestamp", record.timestamp());
        line.set("key", text(record.key()));
        ArrayNode headers = line.putArray("headers");
        record.headers().forEach(h -> headers.addArray().add(h.key()).add(text(h.value())));
        line.set("value", record.value() == null ? null : decoder.decode(record.topic(), record.value()));
        return line;
    }

    /** Finds the writer's schema by fingerprint among files, or by the registry's id. */
    private final class Decoder {
        private final Map<Long, BinaryMessageDecoder<GenericRecord>> byFingerprint = new HashMap<>();
        private final Map<Long, Schema> schemas = new HashMap<>();
        private final AvroKafkaDeserializer<GenericRecord> registered = new AvroKafkaDeserializer<>();

        Decoder(List<String> files) {
            for (String file : files) {
                Schema schema = parse(file);
                long fingerprint = SchemaNormalization.parsingFingerprint64(schema);
                schemas.put(fingerprint, schema);
                byFingerprint.put(fingerprint, new BinaryMessageDecoder<>(GenericData.get(), schema));
            }
            if (registry != null) {
                registered.configure(registry, false);
            }
        }

        JsonNode decode(String topic, byte[] value) throws IOException {
            if (value.length >= 10 && value[0] == (byte) 0xC3 && value[1] == 1) {
                long fingerprint = ByteBuffer.wrap(value).order(ByteOrder.LITTLE_ENDIAN).getLong(2);
                if (byFingerprint.containsKey(fingerprint)) {
                    GenericRecord record = byFingerprint.get(fingerprint).decode(value);
                    return PlainJson.fromAvro(schemas.get(fingerprint), record);
                }
            } else if (value.length >= 5 && value[0] == 0 && registry != null) {
                GenericRecord record = registered.deserialize(topic, value);
                return PlainJson.fromAvro(record.getSchema(), record);
            }
            return base64(value);
        }
    }

    private static Schema parse(String file) {
        try {
            return new Schema.Parser().parse(new File(file));
        } catch (IOException e) {
            throw new IllegalArgumentException("no schema in " + file + ": " + e.getMessage(), e);
        }
    }

    private static JsonNode text(byte[] bytes) {
        if (bytes == null) {
            return null;
        }
        try {
            return JSON.getNodeFactory().textNode(
                    StandardCharsets.UTF_8.newDecoder().decode(ByteBuffer.wrap(bytes)).toString());
        } catch (CharacterCodingException e) {
            return base64(bytes);
        }
    }

    private static JsonNode base64(byte[] bytes) {
        return JSON.createObjectNode().put("base64", Base64.getEncoder().encodeToString(bytes));
    }

    private static byte[] utf8(String text) {
        return text.getBytes(StandardCharsets.UTF_8);
    }

    private static byte[] array(ByteBuffer buffer) {
        byte[] bytes = new byte[buffer.remaining()];
        buffer.get(bytes);
        return bytes;
    }
}
