// SPDX-License-Identifier: Apache-2.0
package com.example;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;
import org.apache.avro.Schema;
import org.apache.avro.generic.GenericData;
import org.apache.avro.generic.GenericRecord;
import org.apache.avro.message.BinaryMessageEncoder;
import org.apache.kafka.common.errors.SerializationException;
import org.apache.kafka.common.serialization.Serializer;

/** Avro single-object encoding, for topics without a schema registry: Avro's own message encoder does it. */
public final class SingleObjectSerializer implements Serializer<GenericRecord> {
    private final Map<Schema, BinaryMessageEncoder<GenericRecord>> encoders = new ConcurrentHashMap<>();

    @Override
    public byte[] serialize(String topic, GenericRecord record) {
        try {
            ByteBuffer encoded = encoders
                    .computeIfAbsent(record.getSchema(), s -> new BinaryMessageEncoder<>(GenericData.get(), s))
                    .encode(record);
            byte[] bytes = new byte[encoded.remaining()];
            encoded.get(bytes);
            return bytes;
        } catch (IOException e) {
            throw new SerializationException("a record for " + topic + " is not one of its schema", e);
        }
    }
}
