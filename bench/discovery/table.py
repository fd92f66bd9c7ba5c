#!/usr/bin/env python3
"""Puts together how soon changes were served and what a storm of them cost, and says whether the goals were kept.

usage: table.py DIRECTORY SOURCE...
"""

import glob
import json
import statistics
import sys

# From a source's answer to the first request, ms: 50 and the 20 for which a single change settles.
ANSWER_GOAL = 70
# A file is looked at each 100 ms, and a change is taken after two looks.
LOOKS = {"file": 200, "etcd": 0}
# What a storm may add to the 99th percentile, ms.
ADDED_GOAL = 1.0
PUBLISH, FIRST = "ringway_publish_seconds", "ringway_endpoint_first_request_seconds"


def quantile(values, q):
    values = sorted(values)
    return values[min(len(values) - 1, int(q * len(values)))] if values else float("nan")


def bound_of(histogram, q):
    """The bound of the bucket in which the quantile is, in ms."""
    total = histogram[-1][1] if histogram else 0
    reached = (bound for bound, count in histogram if total and count >= q * total)
    return next(reached, float("nan")) * 1000


def read(pattern):
    found = []
    for path in sorted(glob.glob(pattern)):
        with open(path) as file:
            found.append(json.load(file))
    return found


def changes(folder, source, broken):
    runs = read(f"{folder}/{source}.changes.*")
    times = [1000 * seconds for run in runs for seconds in run["seconds"]]
    sums = {}
    for run in runs:
        broken.extend(f"{source}: {failure}" for failure in run["failures"][:5])
        for name, histogram in run["histograms"].items():
            old = sums.get(name, [(bound, 0) for bound, _ in histogram])
            sums[name] = [(bound, n + m) for (bound, n), (_, m) in zip(old, histogram)]
    goal = ANSWER_GOAL + LOOKS.get(source, 0)
    p99, answer = quantile(times, 0.99), bound_of(sums.get(FIRST, []), 0.99)
    print(f"{source}: {len(times)} single changes beside {sum(run['asked'] for run in runs)} requests, ms")
    print(f"{'':<44}{'p50':>8}{'p99':>8}{'goal':>8}")
    print(f"{'  change to first request, outside clock':<44}{quantile(times, 0.5):>8.1f}{p99:>8.1f}{goal:>8}")
    print(f"{'  answer to first request, at most':<44}{bound_of(sums.get(FIRST, []), 0.5):>8.1f}{answer:>8.1f}{ANSWER_GOAL:>8}")
    published = sums.get(PUBLISH, [])
    print(f"{'  answer to all shards, at most':<44}{bound_of(published, 0.5):>8.1f}{bound_of(published, 0.99):>8.1f}{'':>8}")
    # What is not a number keeps no goal.
    if not p99 <= goal:
        broken.append(f"{source}: from a change to the first request p99 is {p99:.1f} ms, at most {goal} was meant")
    if not answer <= ANSWER_GOAL:
        broken.append(f"{source}: from the answer to the first request p99 is {answer:.0f} ms, at most {ANSWER_GOAL} was meant")


def storm(folder, source, broken):
    kinds = {}
    for kind in ("off", "on"):
        outcomes = [report["outcomes"][0] for report in read(f"{folder}/{source}.{kind}.*.json")]
        kinds[kind] = [outcome for outcome in outcomes if outcome["latency_us"]["count"]]
    storms = read(f"{folder}/{source}.on.*.storm")
    made = sum(storm["changes"] for storm in storms)
    spent = sum(storm["seconds"] for storm in storms) or 1
    print(f"{source}: a storm of {made / spent:.0f} changes a second for {spent:.0f} s, medians of {len(kinds['on'])} windows each")
    print(f"{'':<10}{'p50 ms':>10}{'p99 ms':>10}{'p99.9 ms':>10}{'cores':>10}{'us/request':>12}")
    for kind, outcomes in kinds.items():
        times = [statistics.median(o["latency_us"][key] for o in outcomes) / 1000 for key in ("p50", "p99", "p999")]
        cores, each = (statistics.median(o["cost"][key] for o in outcomes) for key in ("cores", "us_per_request"))
        print(f"  {kind:<8}{''.join(f'{time:>10.3f}' for time in times)}{cores:>10.3f}{each:>12.1f}")
    pairs = list(zip(kinds["off"], kinds["on"]))
    added = statistics.median(on["latency_us"]["p99"] - off["latency_us"]["p99"] for off, on in pairs) / 1000
    cores = statistics.median(on["cost"]["cores"] - off["cost"]["cores"] for off, on in pairs)
    print(f"  added: p99 {added:+.3f} ms (at most {ADDED_GOAL}), {cores:+.3f} cores")
    if added > ADDED_GOAL:
        broken.append(f"{source}: a storm adds {added:.3f} ms to the p99, at most {ADDED_GOAL} was meant")


def losses(folder, source, broken):
    """Requests that were not answered in full, in every window that there was."""
    lost = requests = 0
    for report in read(f"{folder}/{source}.*.json"):
        outcome = report["outcomes"][0]
        requests += outcome["counts"]["requests_all"]
        errors = sum(outcome["errors"].values())
        lost += errors + sum(outcome["counts"][key] for key in ("lost", "repeated", "corrupt", "foreign", "unfinished"))
        if not outcome["is_clean"]:
            broken.append(f"{source}: a window was not clean: {outcome['errors']}")
    print(f"{source}: {requests} requests, {lost} lost\n")
    if lost:
        broken.append(f"{source}: {lost} requests were lost, none was meant")


def main():
    folder, sources, broken = sys.argv[1], sys.argv[2:], []
    machine = read(f"{folder}/{sources[0]}.off.*.json")[0]["machine"]
    print(f"\n{machine['cpu']}, {machine['cpus']} CPUs, Linux {machine['kernel']}; Ringway {machine['commit']}\n")
    for source in sources:
        changes(folder, source, broken)
        storm(folder, source, broken)
        losses(folder, source, broken)
    for text in broken:
        print(f"BROKEN  {text}")
    sys.exit(1 if broken else 0)


if __name__ == "__main__":
    main()
