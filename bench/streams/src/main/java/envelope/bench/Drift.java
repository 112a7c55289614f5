// SPDX-License-Identifier: Apache-2.0
package envelope.bench;

import envelope.v1.Change;
import envelope.v1.DriftLine;
import envelope.v1.Resources;
import java.math.BigInteger;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.TreeSet;

/** What was asked for against what was granted, one line a dimension. */
final class Drift {
    private final List<DriftLine> lines = new ArrayList<>();

    static List<DriftLine> between(Resources asked, Resources given) {
        Drift drift = new Drift();
        drift.longs("cpu_millis", asked.getCpuMillis(), given.getCpuMillis());
        drift.longs("memory_bytes", asked.getMemoryBytes(), given.getMemoryBytes());
        drift.gpus(asked, given);
        drift.texts("gpu_class", asked.getGpuClass(), given.getGpuClass());
        drift.texts("engine", asked.getEngine(), given.getEngine());
        drift.longs("concurrency", asked.getConcurrency(), given.getConcurrency());
        drift.longs("timeout_ms", asked.getTimeoutMs(), given.getTimeoutMs());
        drift.longs("priority", asked.getPriority(), given.getPriority());
        for (String key : keys(asked.getPlacement(), given.getPlacement())) {
            drift.placement(key, asked.getPlacement().get(key), given.getPlacement().get(key));
        }
        for (String key : keys(asked.getAmounts(), given.getAmounts())) {
            drift.longs("amounts." + key, asked.getAmounts().get(key), given.getAmounts().get(key));
        }
        return drift.lines;
    }

    static boolean counts(DriftLine line) {
        return !line.getDimension().equals("timeout_ms") && !line.getDimension().equals("priority");
    }

    private static Iterable<String> keys(Map<String, ?> asked, Map<String, ?> given) {
        if (asked.isEmpty() && given.isEmpty()) return List.of();
        TreeSet<String> keys = new TreeSet<>(asked.keySet());
        keys.addAll(given.keySet());
        return keys;
    }

    private void add(String dimension, String asked, String given, Change change) {
        lines.add(new DriftLine(dimension, asked, given, change));
    }

    private void longs(String dimension, Long asked, Long given) {
        if (asked == null && given == null) return;
        Change change = Change.unstated;
        if (asked != null && given != null) change = change(Long.compare(given, asked));
        add(dimension, text(asked), text(given), change);
    }

    private void gpus(Resources asked, Resources given) {
        if (asked.getGpuCount() == null && given.getGpuCount() == null) return;
        BigInteger left = product(asked);
        BigInteger right = product(given);
        Change change = left == null || right == null ? Change.unstated : change(right.compareTo(left));
        add("gpu", text(left), text(right), change);
    }

    private static BigInteger product(Resources resources) {
        if (resources.getGpuCount() == null) return null;
        long share = resources.getGpuShareMilli() == null ? 1000 : resources.getGpuShareMilli();
        return BigInteger.valueOf(resources.getGpuCount()).multiply(BigInteger.valueOf(share));
    }

    private void texts(String dimension, String asked, String given) {
        if (asked == null && given == null) return;
        Change change = asked == null || given == null ? Change.unstated : Change.rebound;
        if (asked != null && asked.equals(given)) change = Change.equal;
        add(dimension, asked, given, change);
    }

    private void placement(String key, String asked, String given) {
        if (asked == null) {
            add("placement." + key, null, given, Change.equal);
        } else {
            texts("placement." + key, asked, given);
        }
    }

    private static Change change(int order) {
        return order == 0 ? Change.equal : order < 0 ? Change.narrowed : Change.widened;
    }

    private static String text(Object number) {
        return number == null ? null : number.toString();
    }
}
