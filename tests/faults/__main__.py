# SPDX-License-Identifier: Apache-2.0
"""The command line: runs schedules, prints a table, keeps the logs of those that failed."""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import tempfile
import time
import traceback
from collections import Counter
from pathlib import Path

from cache import HERE
from kafka import Cluster
from programs import Programs

from .cluster import keep_logs, make_cluster
from .schedules import SCHEDULES, TAKEOVER_S
from .trial import Report, run_trial

BATCH = 50  # rounds on one set of topics: then all is counted, and new ones are made
COLUMNS = ("schedule", "seed", "rounds", "s", "events", "outputs", "lost", "duplicated", "differing", "faults", "exits by themselves")


def read_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="tests/faults/run", description=__doc__)
    parser.add_argument("--rounds", type=int, default=20, help="of SIGKILL, in batches of %d (default: %%(default)s)" % BATCH)
    parser.add_argument("--seed", type=int, default=1, help="of events, times and choices (default: %(default)s)")
    parser.add_argument("--minutes", type=float, default=0, help="all again with further seeds until they are over")
    parser.add_argument("--schedule", action="append", choices=SCHEDULES, help="only this one; may be given many times")
    parser.add_argument("--keep", type=Path, help="where logs of failures go (default: a new folder in /tmp)")
    return parser.parse_args()


def plan(arguments: argparse.Namespace, seed: int) -> list[tuple[str, int, int]]:
    """(schedule, seed, rounds)."""
    out = []
    for name in arguments.schedule or SCHEDULES:
        left = arguments.rounds if name == "sigkill" else SCHEDULES[name].rounds
        for part in range(-(-left // BATCH)):
            out.append((name, seed + part, min(BATCH, left - part * BATCH)))
    return out


def line(report: Report, rounds: int) -> str:
    c = report.count
    faults = ", ".join(f"{n} {what}" for what, n in report.faults.items())
    if report.faults["SIGKILL"]:
        faults += f" ({report.at_work} at work)"
    if report.takeovers:
        faults += f"; taken over in {min(report.takeovers):.1f} to {max(report.takeovers):.1f} s"
    exits = sum(report.exits.values())
    cells = (report.name, report.seed, rounds, f"{report.seconds:.0f}", c.events, c.outputs, c.lost, c.duplicated, c.differing, faults, exits)  # fmt: skip
    return "| " + " | ".join(map(str, cells)) + " |"


def main() -> int:
    arguments = read_arguments()
    keep = arguments.keep or Path(tempfile.mkdtemp(prefix="envelope-faults-"))
    keep.mkdir(parents=True, exist_ok=True)
    folder = Path(os.environ.get("ENVELOPE_BIN") or HERE.parents[1] / "build" / "bin").absolute()
    end = time.monotonic() + arguments.minutes * 60
    wrong, exits, seed = 0, Counter[str](), arguments.seed
    print("| " + " | ".join(COLUMNS) + " |\n|" + " --- |" * len(COLUMNS), flush=True)
    with make_cluster(keep / "kafka") as cluster:
        while True:
            for name, number, rounds in plan(arguments, seed):
                wrong += not one(cluster, folder, keep, name, number, rounds, exits)
            seed += 1000
            if time.monotonic() >= end:
                break
    for words, times in exits.most_common():
        print(f"exit, {times} times: {words}")
    print(f"{wrong} failed, see {keep}" if wrong else "all as the oracle says")
    if not wrong and arguments.keep is None:
        shutil.rmtree(keep)
    return 1 if wrong else 0


def one(cluster: Cluster, folder: Path, keep: Path, name: str, seed: int, rounds: int, exits: Counter[str]) -> bool:
    """Runs one and prints its line; its folder stays if it failed."""
    directory = keep / f"{name}-{seed}"
    programs = Programs(folder, directory / "programs")
    good = False
    try:
        report = run_trial(cluster, programs, directory, name, SCHEDULES[name], seed, rounds)
        print(line(report, rounds), flush=True)
        for words in report.count.words[:10]:
            print("  " + words, flush=True)
        exits += report.exits
        late = [t for t in report.takeovers if t > TAKEOVER_S]
        good = report.count.is_right and not late
        (directory / "words").write_text("\n".join(report.count.words))
    except (AssertionError, TimeoutError, OSError):
        print(f"{name}, seed {seed}, rounds {rounds}: failed\n{traceback.format_exc()}", flush=True)
        (directory / "words").write_text(traceback.format_exc())
    finally:
        programs.close()
    if good:
        shutil.rmtree(directory)
    else:
        keep_logs(cluster, f"{name}-", directory / "kafka")
    return good


if __name__ == "__main__":
    sys.exit(main())
