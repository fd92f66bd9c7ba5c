#!/usr/bin/env python3
"""Puts the load tester's reports together: what each way of a stream costs, over nginx and over the plain one.

usage: table.py DIRECTORY RESULT
"""

import json
import statistics
import sys

# The plain way at most so much of nginx's cost; with ids and kept events so much of the plain one's; milliseconds that the
# plain way adds at the 99th percentile; KiB for an idle stream.
GOALS = {"plain over nginx": 0.65, "resume over plain": 1.25, "added p99 ms": 2.0, "idle KiB": 3.0}


def read(path):
    with open(path) as file:
        return json.load(file)


def main():
    folder, result = sys.argv[1:3]
    events = read(f"{folder}/events.json")
    rows, unclean = {}, []
    for outcome in events["outcomes"]:
        if not outcome["is_clean"]:
            unclean.append(f"{outcome['through']}: {outcome['errors']}")
        rows.setdefault(outcome["through"], []).append(outcome)

    def middle(name, figure):
        values = [figure(o) for o in rows[name]]
        return statistics.median(values), min(values), max(values)

    cost = {name: middle(name, lambda o: o["cost"]["us_per_event"]) for name in rows if name != "direct"}
    p99 = {name: middle(name, lambda o: o["relay_us"]["p99"]) for name in rows}
    p50 = {name: middle(name, lambda o: o["relay_us"]["p50"]) for name in rows}
    machine = events["machine"]
    print(f"\n{machine['cpu']}, {machine['cpus']} CPUs, Linux {machine['kernel']}; Ringway {machine['commit']}; "
          f"load average before {machine['load']}")
    print("4,000 streams of 5 events a second; medians of the rounds (least-most)\n")
    print(f"{'':<12}{'CPU us/event':>22}{'/nginx':>8}{'/plain':>8}{'relay p50 us':>14}{'p99 us':>10}{'added p99 ms':>14}")
    for name in rows:
        relay = f"{p50[name][0]:>14.0f}{p99[name][0]:>10.0f}"
        if name == "direct":
            print(f"{name:<12}{'-':>22}{'':>8}{'':>8}{relay}")
            continue
        least_most = f"{cost[name][0]:.2f} ({cost[name][1]:.2f}-{cost[name][2]:.2f})"
        over = f"{cost[name][0] / cost['nginx'][0]:>8.2f}{cost[name][0] / cost['plain'][0]:>8.2f}"
        print(f"{name:<12}{least_most:>22}{over}{relay}{(p99[name][0] - p99['direct'][0]) / 1000:>14.2f}")

    idle = {}
    print(f"\n8,000 idle streams\n{'':<12}{'RSS KiB each':>22}{'CPU us/heartbeat':>20}")
    for name in ("plain", "heartbeats", "resume"):
        outcome = read(f"{folder}/idle.{name}.json")["outcomes"][0]
        if not outcome["is_clean"]:
            unclean.append(f"idle, {name}: {outcome['errors']}")
        idle[name] = outcome["cost"]["rss_kib_per_open"]
        # One heartbeat a second for each stream, and nothing else.
        beat = f"{outcome['cost']['cores'] * 1e6 / 8000:.2f}" if name == "heartbeats" else "-"
        print(f"{name:<12}{idle[name]:>22.2f}{beat:>20}")

    figures = {
        "plain over nginx": cost["plain"][0] / cost["nginx"][0],
        "resume over plain": cost["resume"][0] / cost["plain"][0],
        "added p99 ms": (p99["plain"][0] - p99["direct"][0]) / 1000,
        "idle KiB": idle["plain"],
    }
    print()
    is_kept = not unclean
    for name, figure in figures.items():
        is_met = figure <= GOALS[name]
        is_kept &= is_met
        print(f"{name:<20} {figure:.2f}, goal <= {GOALS[name]:g}  {'met' if is_met else 'MISSED'}")
    for line in unclean:
        print(f"NOT CLEAN, its figures are void: {line}")
    with open(result, "w") as file:
        json.dump({"machine": machine, "figures": figures, "cost": cost, "p99_us": p99, "idle_kib": idle,
                   "outcomes": [{**o, "curves": None} for o in events["outcomes"]]}, file, indent=1)
    return 0 if is_kept else 1


sys.exit(main())
