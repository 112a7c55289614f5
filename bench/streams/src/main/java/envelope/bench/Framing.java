// SPDX-License-Identifier: Apache-2.0
package envelope.bench;

import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.Arrays;
import org.apache.avro.Schema;
import org.apache.avro.SchemaNormalization;
import org.apache.avro.io.BinaryDecoder;
import org.apache.avro.io.BinaryEncoder;
import org.apache.avro.io.DecoderFactory;
import org.apache.avro.io.EncoderFactory;
import org.apache.avro.specific.SpecificData;
import org.apache.avro.specific.SpecificDatumReader;
import org.apache.avro.specific.SpecificDatumWriter;
import org.apache.avro.specific.SpecificRecord;

/**
 * Avro single-object encoding of one generated type: C3 01, the schema's fingerprint, Avro binary.
 *
 * <p>Coders and buffers are used again for each record, as a team that counts microseconds would.
 * Not for two threads at once.
 */
final class Framing<T extends SpecificRecord> {
    static final int HEAD = 10;

    private final byte[] head = new byte[HEAD];
    private final SpecificDatumReader<T> reader;
    private final SpecificDatumWriter<T> writer;
    private final ByteArrayOutputStream out = new ByteArrayOutputStream(4096);
    private BinaryDecoder decoder;
    private BinaryEncoder encoder;

    Framing(Class<T> type) {
        SpecificData model = SpecificData.getForClass(type);
        model.setCustomCoders(true); // the generated coders, Avro's fastest
        Schema schema = model.getSchema(type);
        long fingerprint = SchemaNormalization.parsingFingerprint64(schema);
        ByteBuffer.wrap(head).order(ByteOrder.LITTLE_ENDIAN)
                .put((byte) 0xC3).put((byte) 1).putLong(fingerprint);
        reader = new SpecificDatumReader<>(schema, schema, model);
        writer = new SpecificDatumWriter<>(schema, model);
    }

    T decode(byte[] framed) {
        if (framed.length < HEAD || !Arrays.equals(framed, 0, HEAD, head, 0, HEAD)) {
            throw new IllegalArgumentException("a record of another schema");
        }
        try {
            decoder = DecoderFactory.get().binaryDecoder(framed, HEAD, framed.length - HEAD, decoder);
            return reader.read(null, decoder);
        } catch (IOException e) {
            throw new IllegalArgumentException(e);
        }
    }

    byte[] encode(T record) {
        try {
            out.reset();
            out.write(head);
            encoder = EncoderFactory.get().binaryEncoder(out, encoder);
            writer.write(record, encoder);
            encoder.flush();
            return out.toByteArray();
        } catch (IOException e) {
            throw new IllegalArgumentException(e);
        }
    }
}
