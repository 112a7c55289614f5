// SPDX-License-Identifier: Apache-2.0
package envelope.bench;

import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.lang.management.ManagementFactory;
import java.time.Duration;
import java.util.HashMap;
import java.util.Map;
import java.util.Properties;
import java.util.concurrent.atomic.AtomicLong;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.ListOffsetsResult.ListOffsetsResultInfo;
import org.apache.kafka.clients.admin.OffsetSpec;
import org.apache.kafka.clients.admin.TopicDescription;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.streams.KafkaStreams;
import org.apache.kafka.streams.StreamsConfig;
import org.apache.kafka.streams.processor.StateRestoreListener;

/**
 * Runs the join as it is told on standard input, one after the other in one process, so that all but
 * the first find it warm.
 *
 * <pre>
 *   Main BOOTSTRAP rocksdb|memory COMMIT_MS
 *
 *   drain ID FROM TO STATE_DIR     joins what is there; prints {"events", "seconds", "cpu_seconds"}
 *   start ID FROM TO STATE_DIR     begins to join; prints {"restored", "restore_seconds"} when it runs
 *   stop                           ends that; prints {}
 * </pre>
 *
 * ID names the application, FROM and TO are prefixes of topics. Seconds run from the first event
 * stepped to the last one committed; those of a restore leave out what the group waits for before it.
 */
public final class Main {
    private static final long DEADLINE_MS = 600_000;

    private final String bootstrap;
    private final boolean inMemory;
    private final String commitMs;
    private KafkaStreams running;
    private Restore restore;

    private Main(String[] args) {
        bootstrap = args[0];
        inMemory = args[1].equals("memory");
        commitMs = args[2];
    }

    public static void main(String[] args) throws Exception {
        if (args.length != 3) {
            System.err.println("usage: BOOTSTRAP rocksdb|memory COMMIT_MS");
            System.exit(2);
        }
        Main main = new Main(args);
        BufferedReader commands = new BufferedReader(new InputStreamReader(System.in));
        try {
            for (String line; (line = commands.readLine()) != null; ) main.obey(line.split(" "));
            main.stop();
        } catch (Exception e) {
            e.printStackTrace();
            System.exit(1);
        }
    }

    private void obey(String[] words) throws Exception {
        switch (words[0]) {
            case "drain" -> drain(words[1], words[2], words[3], words[4]);
            case "start" -> {
                begin(words[1], words[2], words[3], words[4], new AtomicLong());
                System.out.printf("{\"restored\": %d, \"restore_seconds\": %.3f}%n", restore.records, restore.seconds());
            }
            case "stop" -> {
                stop();
                System.out.println("{}");
            }
            default -> throw new IOException("no command " + words[0]);
        }
    }

    private void begin(String id, String from, String to, String stateDir, AtomicLong processed) throws Exception {
        Properties config = new Properties();
        config.put(StreamsConfig.APPLICATION_ID_CONFIG, id);
        config.put(StreamsConfig.BOOTSTRAP_SERVERS_CONFIG, bootstrap);
        config.put(StreamsConfig.STATE_DIR_CONFIG, stateDir);
        config.put(StreamsConfig.PROCESSING_GUARANTEE_CONFIG, StreamsConfig.EXACTLY_ONCE_V2);
        config.put(StreamsConfig.COMMIT_INTERVAL_MS_CONFIG, commitMs);
        config.put(StreamsConfig.REPLICATION_FACTOR_CONFIG, 1);
        config.put(StreamsConfig.consumerPrefix("auto.offset.reset"), "earliest");
        running = new KafkaStreams(Join.topology(from, to, inMemory, processed), config);
        running.setUncaughtExceptionHandler(e -> {
            e.printStackTrace();
            Runtime.getRuntime().halt(1);
            return null;
        });
        restore = new Restore();
        running.setGlobalStateRestoreListener(restore);
        running.start();
        await(() -> running.state() == KafkaStreams.State.RUNNING, "the join to run");
    }

    private void stop() {
        if (running != null) running.close(Duration.ofSeconds(30));
        running = null;
    }

    private void drain(String id, String from, String to, String stateDir) throws Exception {
        try (Admin admin = Admin.create(Map.of("bootstrap.servers", bootstrap))) {
            Map<TopicPartition, Long> ends = ends(admin, from);
            long events = ends.values().stream().mapToLong(Long::longValue).sum();
            AtomicLong processed = new AtomicLong();
            begin(id, from, to, stateDir, processed);
            await(() -> processed.get() > 0, "the first event");
            long begun = System.nanoTime();
            long cpu = cpu();
            long before = processed.get();
            await(() -> processed.get() >= events, "the last event");
            await(() -> committed(admin, id, ends), "the last commit");
            System.out.printf("{\"events\": %d, \"seconds\": %.4f, \"cpu_seconds\": %.4f}%n",
                    events - before, since(begun), (cpu() - cpu) / 1e9);
            stop();
        }
    }

    private static Map<TopicPartition, Long> ends(Admin admin, String from) throws Exception {
        var topics = Join.INPUTS.stream().map(phase -> from + "envelope." + phase + ".v1").toList();
        Map<TopicPartition, OffsetSpec> wanted = new HashMap<>();
        for (TopicDescription topic : admin.describeTopics(topics).allTopicNames().get().values()) {
            topic.partitions().forEach(p -> wanted.put(new TopicPartition(topic.name(), p.partition()), OffsetSpec.latest()));
        }
        Map<TopicPartition, Long> ends = new HashMap<>();
        for (Map.Entry<TopicPartition, ListOffsetsResultInfo> end : admin.listOffsets(wanted).all().get().entrySet()) {
            if (end.getValue().offset() > 0) ends.put(end.getKey(), end.getValue().offset());
        }
        return ends;
    }

    private static boolean committed(Admin admin, String id, Map<TopicPartition, Long> ends) throws Exception {
        Map<TopicPartition, OffsetAndMetadata> offsets =
                admin.listConsumerGroupOffsets(id).partitionsToOffsetAndMetadata().get();
        return ends.entrySet().stream().allMatch(end -> {
            OffsetAndMetadata offset = offsets.get(end.getKey());
            return offset != null && offset.offset() >= end.getValue();
        });
    }

    /** From the first partition's begin to the last one's end; called by the thread that restores. */
    private static final class Restore implements StateRestoreListener {
        private long begun;
        private long ended;
        private long records;

        @Override
        public synchronized void onRestoreStart(TopicPartition from, String store, long start, long end) {
            if (begun == 0) begun = System.nanoTime();
        }

        @Override
        public void onBatchRestored(TopicPartition from, String store, long end, long count) {}

        @Override
        public synchronized void onRestoreEnd(TopicPartition from, String store, long total) {
            ended = System.nanoTime();
            records += total;
        }

        synchronized double seconds() {
            return (ended - begun) / 1e9;
        }
    }

    private interface Condition {
        boolean holds() throws Exception;
    }

    private static void await(Condition condition, String what) throws Exception {
        long until = System.nanoTime() + DEADLINE_MS * 1_000_000;
        while (!condition.holds()) {
            if (System.nanoTime() > until) throw new IOException("waited too long for " + what);
            Thread.sleep(5);
        }
    }

    private static double since(long nanos) {
        return (System.nanoTime() - nanos) / 1e9;
    }

    private static long cpu() {
        return ((com.sun.management.OperatingSystemMXBean) ManagementFactory.getOperatingSystemMXBean()).getProcessCpuTime();
    }
}
