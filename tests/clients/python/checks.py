"""Checks that run one after the other; what the SDK scripts share."""

import asyncio
import faulthandler
import inspect
import json
import os
import sys
import time
import traceback
import urllib.request

GATEWAY = os.environ["GATEWAY"]  # http://address of the gateway
MOCK = os.environ["MOCK"]  # http://address of the model server behind it
ADMIN = os.environ["ADMIN"]  # http://address of the admin pages

_checks = []


def check(function):
    _checks.append(function)
    return function


def run(seconds=100):
    """Runs every check; ends the process with 1 if one of them failed. Prints only what failed, and the number."""
    faulthandler.dump_traceback_later(seconds, exit=True)
    failed = 0
    wanted = sys.argv[1:]
    for function in _checks:
        if wanted and function.__name__ not in wanted:
            continue
        try:
            if inspect.iscoroutinefunction(function):
                asyncio.run(asyncio.wait_for(function(), 30))
            else:
                function()
        except BaseException:
            failed += 1
            print(f"--- {function.__name__}", file=sys.stderr)
            traceback.print_exc()
    print(f"{len(_checks)} checks, {failed} failed")
    sys.exit(1 if failed else 0)


def page(url):
    with urllib.request.urlopen(url, timeout=5) as answer:
        return answer.read().decode()


def stats():
    return json.loads(page(f"{MOCK}/mock/stats"))


def until(what, condition, seconds=5):
    """Waits for what another process does, and which it does not announce."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, f"{what}: not within {seconds} s; the mock says {stats()}"
        time.sleep(0.01)


def raises(kind, call):
    try:
        result = call()
    except kind as error:
        return error
    raise AssertionError(f"no {kind.__name__}, but {result!r}")
