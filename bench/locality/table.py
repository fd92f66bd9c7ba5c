#!/usr/bin/env python3
"""Puts the load tester's report and the gateways' metrics together: how long to the first event, and who was asked.

usage: table.py DIRECTORY NAME...
"""

import json
import re
import statistics
import sys

# The quicker region's p99 over that of all regions alike.
GOAL = 0.6
REGIONS = {"18001": "ap", "18002": "ap", "18003": "us", "18004": "us"}


def shares(path):
    """Attempts by region, in percent."""
    counts = dict.fromkeys(REGIONS.values(), 0)
    pattern = re.compile(r'^ringway_endpoint_attempts_total\{.*endpoint="[^"]*:(\d+)[^"]*".*\} (\d+)')
    with open(path) as page:
        for line in page:
            found = pattern.match(line)
            if found:
                counts[REGIONS[found[1]]] += int(found[2])
    total = sum(counts.values()) or 1
    return {region: 100 * count / total for region, count in counts.items()}


def main():
    folder, names = sys.argv[1], sys.argv[2:]
    with open(f"{folder}/regions.json") as file:
        report = json.load(file)
    rows, broken = {name: [] for name in names}, []
    for outcome in report["outcomes"]:
        rows[outcome["through"]].append(outcome)
        if not outcome["is_clean"]:
            broken.append(f"{outcome['through']}: {outcome['errors']}")
    machine = report["machine"]
    print(f"\n{machine['cpu']}, {machine['cpus']} CPUs, Linux {machine['kernel']}; Ringway {machine['commit']}")
    print("200 streams a second; to the first event, ms; medians of the rounds\n")
    print(f"{'':<8}{'p50':>10}{'p99':>10}{'p99.9':>10}{'/hash p99':>12}{'ap %':>8}{'us %':>8}")
    p99 = {}
    for name, outcomes in rows.items():
        figures = [statistics.median(o["first_us"][key] for o in outcomes) / 1000 for key in ("p50", "p99", "p999")]
        p99[name] = figures[1]
        share = shares(f"{folder}/{name}.metrics")
        line = "".join(f"{figure:>10.1f}" for figure in figures)
        print(f"{name:<8}{line}{p99[name] / p99['hash']:>12.2f}{share['ap']:>8.1f}{share['us']:>8.1f}")
    if p99["smart"] > GOAL * p99["hash"]:
        broken.append(f"smart over hash is {p99['smart'] / p99['hash']:.2f}, at most {GOAL} was meant")
    for text in broken:
        print(f"BROKEN  {text}")
    sys.exit(1 if broken else 0)


if __name__ == "__main__":
    main()
