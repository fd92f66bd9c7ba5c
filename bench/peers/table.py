#!/usr/bin/env python3
"""Puts the load tester's reports together: the table with its ratios, and one JSON file of all of it.

usage: table.py DIRECTORY KIND NGINX-VERSION HAPROXY-VERSION RESULT
"""

import glob
import json
import os
import statistics
import sys

GATEWAYS = ["nginx", "haproxy", "ringway"]

# Row, figure, unit, and what must hold: (times which, of which).
FIGURES = [
    ("saturation", "CPU per request, 32 connections", "us", lambda o: o["cost"]["us_per_request"], (0.85, "best")),
    ("saturation", "requests a second", "1/s", lambda o: o["requests_per_second"], None),
    ("saturation", "cores kept busy", "", lambda o: o["cost"]["cores"], None),
    ("events_1000x20", "CPU per event, 1,000 x 20/s", "us", lambda o: o["cost"]["us_per_event"], (0.75, "nginx")),
    ("events_1000x20", "relay latency p50", "us", lambda o: o["relay_us"]["p50"], None),
    ("events_1000x20", "relay latency p99", "us", lambda o: o["relay_us"]["p99"], (2000, "us")),
    ("events_4000x5", "CPU per event, 4,000 x 5/s", "us", lambda o: o["cost"]["us_per_event"], (0.75, "nginx")),
    ("events_4000x5", "relay latency p50", "us", lambda o: o["relay_us"]["p50"], None),
    ("events_4000x5", "relay latency p99", "us", lambda o: o["relay_us"]["p99"], (2000, "us")),
    ("new_connections", "CPU per request, each on a new connection", "us",
     lambda o: o["cost"]["us_per_request"], (1.0, "haproxy")),
    ("idle_8000", "RSS growth per idle stream, 8,000", "KiB", lambda o: o["cost"]["rss_kib_per_open"], (3, "KiB")),
]


def outcomes(directory, row):
    found = []
    for path in sorted(glob.glob(os.path.join(directory, f"{row}.*.json"))):
        with open(path) as file:
            report = json.load(file)
        found += report["outcomes"]
    return found


def middle(values):
    return {"median": statistics.median(values), "least": min(values), "most": max(values), "rounds": len(values)}


def text(value):
    return f"{value:,.0f}" if value >= 1000 else f"{value:.3g}" if value < 100 else f"{value:.0f}"


def cell(figure):
    if figure is None:
        return "-"
    return f"{text(figure['median'])} ({text(figure['least'])}-{text(figure['most'])})"


def verdict(goal, own, others):
    """The ratios, and whether the goal is met."""
    best = min(others.values(), default=None)
    ratios = {name: own / other for name, other in others.items() if other}
    if goal is None:
        return ratios, None, ""
    bound, of = goal
    if of in ("us", "KiB"):
        return ratios, own <= bound, f"<= {bound:g} {of}"
    reference = best if of == "best" else others.get(of)
    if not reference:
        return ratios, None, ""
    return ratios, own <= bound * reference, f"<= {bound:g} x {of}"


def main():
    directory, kind, nginx, haproxy, result = sys.argv[1:6]
    machine, table, all_outcomes, unclean = {}, [], [], []
    for row in dict.fromkeys(figure[0] for figure in FIGURES):
        found = outcomes(directory, row)
        all_outcomes += [{**outcome, "curves": None} for outcome in found]
        unclean += [f"{o['plan']} through {o['through']}: {o['errors']}" for o in found if not o["is_clean"]]
        for _, what, unit, figure, goal in (f for f in FIGURES if f[0] == row):
            values = {name: [figure(o) for o in found if o["through"] == name and o["cost"]] for name in GATEWAYS}
            cells = {name: middle(values[name]) if values[name] else None for name in GATEWAYS}
            if not any(cells.values()):
                continue
            own = cells["ringway"]["median"] if cells["ringway"] else None
            others = {n: cells[n]["median"] for n in ("nginx", "haproxy") if cells[n]}
            ratios, is_met, bound = verdict(goal, own, others) if own else ({}, None, "")
            table.append({"row": row, "what": what, "unit": unit, "cells": cells, "ratios": ratios,
                          "goal": bound, "is_met": is_met})
    reports = sorted(glob.glob(os.path.join(directory, "*.1.json")))
    if reports:
        with open(reports[0]) as file:
            machine = json.load(file)["machine"]
    with open(os.path.join(directory, "load.txt")) as file:
        load = file.read().splitlines()
    print()
    print(f"{machine.get('cpu', '?')}, {machine.get('cpus', '?')} CPUs, Linux {machine.get('kernel', '?')}, "
          f"TCP {machine.get('congestion', '?')}; nginx {nginx}, HAProxy {haproxy}, Ringway {machine.get('commit', '?')}")
    print(f"{kind}: medians of the rounds (least-most); the ratios are Ringway over the other")
    print("\n".join(load))
    print(f"\n{'':<46}{'nginx':>24}{'HAProxy':>24}{'Ringway':>24}{'/nginx':>8}{'/HAProxy':>9}  goal")
    for line in table:
        name = f"{line['what']}{', ' + line['unit'] if line['unit'] else ''}"
        cells = "".join(f"{cell(line['cells'][gateway]):>24}" for gateway in GATEWAYS)
        ratio = "".join(f"{line['ratios'][n]:>{w}.2f}" if n in line["ratios"] else " " * w
                        for n, w in (("nginx", 8), ("haproxy", 9)))
        met = {True: "met", False: "MISSED", None: ""}[line["is_met"]]
        print(f"{name:<46}{cells}{ratio}  {line['goal']} {met}".rstrip())
    for line in unclean:
        print(f"NOT CLEAN, its figures are void: {line}")
    with open(result, "w") as file:
        json.dump({"machine": machine, "kind": kind, "nginx": nginx, "haproxy": haproxy, "load": load,
                   "table": table, "outcomes": all_outcomes}, file, indent=1)
    if not result.startswith(directory):
        print(f"\nwritten to {os.path.relpath(result)}")
    return 1 if unclean else 0


sys.exit(main())
