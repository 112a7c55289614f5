// SPDX-License-Identifier: Apache-2.0
package envelope;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.JsonNodeFactory;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.math.BigDecimal;
import java.math.BigInteger;
import java.nio.ByteBuffer;
import java.time.Instant;
import java.time.ZoneOffset;
import java.time.format.DateTimeFormatter;
import java.time.temporal.ChronoUnit;
import java.util.ArrayList;
import java.util.Base64;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.apache.avro.LogicalTypes;
import org.apache.avro.Schema;
import org.apache.avro.generic.GenericData;
import org.apache.avro.generic.GenericFixed;
import org.apache.avro.generic.GenericRecord;

/**
 * Records in plain JSON: no union tags, enums by name, unset optionals left out, bytes in base64,
 * decimals as strings, times as RFC 3339 with six digits (integers are taken too).
 */
final class PlainJson {
    private static final JsonNodeFactory JSON = JsonNodeFactory.instance;
    private static final DateTimeFormatter MICROS =
            DateTimeFormatter.ofPattern("uuuu-MM-dd'T'HH:mm:ss.SSSSSS'Z'").withZone(ZoneOffset.UTC);

    private PlainJson() {}

    /** A value that the schema does not take. */
    static final class Mismatch extends RuntimeException {
        private static final long serialVersionUID = 1;

        Mismatch(Schema schema, JsonNode json) {
            super("not a value of " + schema.getFullName() + ": " + json);
        }

        Mismatch(String text) {
            super(text);
        }
    }

    static Object toAvro(Schema schema, JsonNode json) {
        switch (schema.getType()) {
            case RECORD:
                return toRecord(schema, json);
            case UNION:
                return toUnion(schema, json);
            case ARRAY:
                require(json.isArray(), schema, json);
                List<Object> items = new ArrayList<>();
                json.forEach(item -> items.add(toAvro(schema.getElementType(), item)));
                return new GenericData.Array<>(schema, items);
            case MAP:
                require(json.isObject(), schema, json);
                Map<String, Object> entries = new LinkedHashMap<>();
                json.properties().forEach(e -> entries.put(e.getKey(), toAvro(schema.getValueType(), e.getValue())));
                return entries;
            case ENUM:
                require(json.isTextual() && schema.hasEnumSymbol(json.textValue()), schema, json);
                return new GenericData.EnumSymbol(schema, json.textValue());
            case BYTES:
                return ByteBuffer.wrap(toBytes(schema, json));
            case FIXED:
                return new GenericData.Fixed(schema, toBytes(schema, json));
            case LONG:
                return toLong(schema, json);
            case INT:
                require(json.isIntegralNumber() && json.canConvertToInt(), schema, json);
                return json.intValue();
            case DOUBLE:
                require(json.isNumber(), schema, json);
                return json.doubleValue();
            case FLOAT:
                require(json.isNumber(), schema, json);
                return json.floatValue();
            case BOOLEAN:
                require(json.isBoolean(), schema, json);
                return json.booleanValue();
            case STRING:
                require(json.isTextual(), schema, json);
                return json.textValue();
            case NULL:
                require(json.isNull(), schema, json);
                return null;
            default:
                throw new Mismatch(schema, json);
        }
    }

    private static GenericRecord toRecord(Schema schema, JsonNode json) {
        require(json.isObject(), schema, json);
        json.fieldNames().forEachRemaining(name -> {
            if (schema.getField(name) == null) {
                throw new Mismatch(schema.getFullName() + " has no field " + name);
            }
        });
        GenericRecord record = new GenericData.Record(schema);
        for (Schema.Field field : schema.getFields()) {
            JsonNode value = json.get(field.name());
            if (value != null) {
                record.put(field.pos(), toAvro(field.schema(), value));
            } else if (field.hasDefaultValue()) {
                record.put(field.pos(), GenericData.get().getDefaultValue(field));
            } else if (!field.schema().isNullable()) {
                throw new Mismatch(schema.getFullName() + " wants the field " + field.name());
            }
        }
        return record;
    }

    private static Object toUnion(Schema schema, JsonNode json) {
        for (Schema branch : schema.getTypes()) {
            if ((branch.getType() == Schema.Type.NULL) != json.isNull()) {
                continue;
            }
            try {
                return toAvro(branch, json);
            } catch (Mismatch e) {
                if (schema.getTypes().size() == 2 && schema.isNullable()) {
                    throw e; // the only branch there is says it best
                }
            }
        }
        throw new Mismatch(schema, json);
    }

    private static byte[] toBytes(Schema schema, JsonNode json) {
        require(json.isTextual(), schema, json);
        if (schema.getLogicalType() instanceof LogicalTypes.Decimal) {
            int scale = ((LogicalTypes.Decimal) schema.getLogicalType()).getScale();
            byte[] least = new BigDecimal(json.textValue()).setScale(scale).unscaledValue().toByteArray();
            return schema.getType() == Schema.Type.FIXED ? extend(least, schema.getFixedSize()) : least;
        }
        return Base64.getDecoder().decode(json.textValue());
    }

    private static byte[] extend(byte[] number, int size) {
        byte[] extended = new byte[size];
        java.util.Arrays.fill(extended, (byte) (number[0] < 0 ? -1 : 0));
        System.arraycopy(number, 0, extended, size - number.length, number.length);
        return extended;
    }

    private static long toLong(Schema schema, JsonNode json) {
        if (json.isTextual() && schema.getLogicalType() instanceof LogicalTypes.TimestampMicros) {
            return ChronoUnit.MICROS.between(Instant.EPOCH, Instant.parse(json.textValue()));
        }
        require(json.isIntegralNumber() && json.canConvertToLong(), schema, json);
        return json.longValue();
    }

    private static void require(boolean fits, Schema schema, JsonNode json) {
        if (!fits) {
            throw new Mismatch(schema, json);
        }
    }

    static JsonNode fromAvro(Schema schema, Object value) {
        switch (schema.getType()) {
            case RECORD:
                ObjectNode object = JSON.objectNode();
                for (Schema.Field field : schema.getFields()) {
                    Object member = ((GenericRecord) value).get(field.pos());
                    if (member != null) {
                        object.set(field.name(), fromAvro(field.schema(), member));
                    }
                }
                return object;
            case UNION:
                return fromAvro(schema.getTypes().get(GenericData.get().resolveUnion(schema, value)), value);
            case ARRAY:
                ArrayNode array = JSON.arrayNode();
                ((Iterable<?>) value).forEach(item -> array.add(fromAvro(schema.getElementType(), item)));
                return array;
            case MAP:
                ObjectNode map = JSON.objectNode();
                ((Map<?, ?>) value).forEach((key, item) -> map.set(key.toString(), fromAvro(schema.getValueType(), item)));
                return map;
            case BYTES:
                ByteBuffer buffer = ((ByteBuffer) value).duplicate();
                byte[] bytes = new byte[buffer.remaining()];
                buffer.get(bytes);
                return fromBytes(schema, bytes);
            case FIXED:
                return fromBytes(schema, ((GenericFixed) value).bytes());
            case LONG:
                long number = (Long) value;
                if (schema.getLogicalType() instanceof LogicalTypes.TimestampMicros) {
                    return JSON.textNode(MICROS.format(Instant.EPOCH.plus(number, ChronoUnit.MICROS)));
                }
                return JSON.numberNode(number);
            case INT:
                return JSON.numberNode((Integer) value);
            case DOUBLE:
                return JSON.numberNode((Double) value);
            case FLOAT:
                return JSON.numberNode((Float) value);
            case BOOLEAN:
                return JSON.booleanNode((Boolean) value);
            case NULL:
                return JSON.nullNode();
            default: // string, enum
                return JSON.textNode(value.toString());
        }
    }

    private static JsonNode fromBytes(Schema schema, byte[] bytes) {
        if (schema.getLogicalType() instanceof LogicalTypes.Decimal) {
            int scale = ((LogicalTypes.Decimal) schema.getLogicalType()).getScale();
            return JSON.textNode(new BigDecimal(new BigInteger(bytes), scale).toPlainString());
        }
        return JSON.textNode(Base64.getEncoder().encodeToString(bytes));
    }
}
