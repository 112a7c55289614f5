// SPDX-License-Identifier: Apache-2.0
package com.example;

import java.util.Map;
import org.apache.avro.AvroRuntimeException;
import org.apache.avro.Schema;
import org.apache.avro.generic.GenericData;
import org.apache.avro.generic.GenericRecord;
import org.apache.avro.generic.GenericRecordBuilder;

/** Avro values from plain Java ones. With classes generated from the schemas this is not needed. */
final class Records {
    private Records() {}

    /** Maps become records where the schema has one, strings its enums' symbols; what is left out takes its default. */
    static Object of(Schema schema, Object value) {
        return switch (schema.getType()) {
            case RECORD -> record(schema, (Map<?, ?>) value);
            case UNION -> of(schema.getTypes().get(1), value); // all of ours are of null and one type
            case ENUM -> new GenericData.EnumSymbol(schema, value);
            default -> value;
        };
    }

    private static GenericRecord record(Schema schema, Map<?, ?> fields) {
        GenericRecordBuilder builder = new GenericRecordBuilder(schema);
        fields.forEach((name, value) -> {
            Schema.Field field = schema.getField((String) name);
            if (field == null) {
                throw new AvroRuntimeException(schema.getFullName() + " has no field " + name);
            }
            builder.set(field, of(field.schema(), value));
        });
        return builder.build();
    }
}
