#!/usr/bin/env python3
"""Says what a source of endpoints says: 50 upstreams of 20 endpoints each, changes one by one, and a storm of them.

usage: drive.py prepare|await DIRECTORY SOURCE PORT
       drive.py changes DIRECTORY SOURCE PORT COUNT
       drive.py storm DIRECTORY SOURCE PORT CHANGES_A_SECOND SECONDS on|off

PORT is the gateway's; operators are 20 above it. What was measured is printed as JSON.
"""

import asyncio
import base64
import http.client
import json
import os
import random
import sys
import time
import urllib.request

UPSTREAMS = 50
EACH = 20
# The mock, and who answers at endpoints whose first request is waited for.
MOCK, CAUGHT = 18301, 18302
ETCD = 18321
# The upstream that changes are made in one by one.
PROBED = 7
# How long a new endpoint is waited for, in seconds.
PATIENCE = 10
# Beside 20 endpoints of weight 1, so that the next request goes to the new one.
WEIGHT = 100
PROBES = 4


class Files:
    """One file for each upstream, replaced as a whole."""

    def __init__(self, folder):
        self.folder = folder
        self.known = {}

    def discover(self, name):
        return f'{{ file = "{self.folder}/{name}.json" }}'

    def put(self, name, entries):
        known = self.of(name)
        known.update({entry["url"]: entry for entry in entries})
        self.write(name, known)

    def exchange(self, name, entry, gone):
        """One change: an endpoint comes, and perhaps another goes."""
        known = self.of(name)
        known.pop(gone, None)
        known[entry["url"]] = entry
        self.write(name, known)

    def of(self, name):
        if name not in self.known:
            try:
                with open(f"{self.folder}/{name}.json") as file:
                    self.known[name] = {entry["url"]: entry for entry in json.load(file)}
            except FileNotFoundError:
                self.known[name] = {}
        return self.known[name]

    def write(self, name, known):
        with open(f"{self.folder}/{name}.next", "w") as file:
            json.dump(list(known.values()), file)
        os.rename(f"{self.folder}/{name}.next", f"{self.folder}/{name}.json")


class Etcd:
    """One key for each endpoint, by etcd's JSON over HTTP: POST /v3/kv/put and /v3/kv/deleterange."""

    def __init__(self, prefix):
        self.prefix = prefix
        self.connection = http.client.HTTPConnection("127.0.0.1", ETCD)

    def discover(self, name):
        return f'{{ etcd = "{self.prefix}/{name}/" }}'

    def put(self, name, entries):
        for entry in entries:
            self.ask("put", {"key": self.key(name, entry["url"]), "value": coded(json.dumps(entry))})

    def exchange(self, name, entry, gone):
        self.put(name, [entry])
        if gone:
            self.ask("deleterange", {"key": self.key(name, gone)})

    def key(self, name, url):
        return coded(f"{self.prefix}/{name}/{url.split('//')[1]}")

    def ask(self, what, body):
        self.connection.request("POST", f"/v3/kv/{what}", json.dumps(body))
        answer = self.connection.getresponse()
        text = answer.read()
        if answer.status != 200:
            sys.exit(f"etcd answers with {answer.status}: {text}")


def coded(text):
    return base64.b64encode(text.encode()).decode()


def source_of(folder, kind, is_watched=True):
    """The source; or one of the same kind that nobody looks at."""
    if kind == "etcd":
        return Etcd("/llm" if is_watched else "/other")
    place = f"{folder}/{'llm' if is_watched else 'other'}"
    os.makedirs(place, exist_ok=True)
    return Files(place)


def fresh(port):
    """Endpoints that nobody has seen: their addresses are taken from the clock, ten thousand a second."""
    count = int(time.time() * 10_000)
    while True:
        count += 1
        # Bounds that leave 127.1.* to the endpoints that stay.
        rest = count % (125 * 254 * 254)
        address = f"127.{2 + rest // (254 * 254)}.{1 + rest // 254 % 254}.{1 + rest % 254}"
        yield address, {"url": f"http://{address}:{port}", "weight": WEIGHT if port == CAUGHT else 1}


def prepare(folder, kind, port):
    source = source_of(folder, kind)
    lines = [f'[listen]\naddress = "127.0.0.1:{port}"\n\n[admin]\naddress = "127.0.0.1:{port + 20}"\n']
    if kind == "etcd":
        lines.append(f'[[registry]]\nname = "fleet"\netcd = {{ url = "http://127.0.0.1:{ETCD}" }}\n')
    for upstream in range(UPSTREAMS):
        name = f"u{upstream}"
        source.put(name, [{"url": f"http://127.1.{upstream}.{place}:{MOCK}"} for place in range(1, EACH + 1)])
        lines.append(f'[[upstream]]\nname = "{name}"\ndiscover = [{source.discover(name)}]\n')
        lines.append(f'[[model]]\nname = "m{upstream}"\nupstream = "{name}"\n')
    with open(f"{folder}/{kind}.toml", "w") as file:
        file.write("\n".join(lines))


def metrics(port):
    with urllib.request.urlopen(f"http://127.0.0.1:{port + 20}/metrics") as page:
        return page.read().decode()


def wait_for_all(port):
    wanted = UPSTREAMS * EACH
    for _ in range(200):
        lines = [line for line in metrics(port).splitlines() if line.startswith("ringway_source_endpoints{")]
        found = sum(int(line.rsplit(" ", 1)[1]) for line in lines)
        if found == wanted:
            return
        time.sleep(0.1)
    sys.exit(f"{found} of {wanted} endpoints were found")


def buckets(port):
    """The two histograms, each as pairs of an upper bound in seconds and a count."""
    page = metrics(port).splitlines()
    found = {}
    for name in ("ringway_publish_seconds", "ringway_endpoint_first_request_seconds"):
        start = f'{name}_bucket{{le="'
        lines = [line[len(start) :] for line in page if line.startswith(start)]
        found[name] = [(float(bound), int(count)) for bound, count in (line.split('"} ') for line in lines)]
    return found


BODY = json.dumps({"model": f"m{PROBED}", "messages": [{"role": "user", "content": "hello"}]})
REQUEST = (
    "POST /v1/chat/completions HTTP/1.1\r\nhost: bench\r\ncontent-type: application/json\r\n"
    f"content-length: {len(BODY)}\r\n\r\n{BODY}"
).encode()
ANSWER = b'{"object":"chat.completion","choices":[]}'


async def message(reader):
    """A whole message with a content-length: its first line."""
    head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
    length = next(int(line.split(":")[1]) for line in head if line.lower().startswith("content-length:"))
    await reader.readexactly(length)
    return head[0]


class Probe:
    """Asks without a pause, and answers at endpoints whose first request is waited for."""

    def __init__(self):
        self.seen, self.asked, self.failures = {}, 0, []

    async def answer(self, reader, writer):
        address = writer.get_extra_info("sockname")[0]
        try:
            while True:
                await message(reader)
                if address not in self.seen:
                    self.seen[address] = asyncio.get_running_loop().create_future()
                if not self.seen[address].done():
                    self.seen[address].set_result(time.monotonic())
                writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n" % len(ANSWER) + ANSWER)
        except (asyncio.IncompleteReadError, asyncio.CancelledError, ConnectionError):
            writer.close()

    async def ask(self, port):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        while True:
            writer.write(REQUEST)
            status = await message(reader)
            self.asked += 1
            if " 200 " not in status:
                self.failures.append(status)


async def change(folder, kind, port, count):
    probe, source = Probe(), source_of(folder, kind)
    server = await asyncio.start_server(probe.answer, "0.0.0.0", CAUGHT)
    asking = [asyncio.ensure_future(probe.ask(port)) for _ in range(PROBES)]
    before, times, gone = buckets(port), [], None
    for address, entry in fresh(CAUGHT):
        probe.seen[address] = asyncio.get_running_loop().create_future()
        began = time.monotonic()
        source.exchange(f"u{PROBED}", entry, gone)
        gone = entry["url"]
        try:
            times.append(await asyncio.wait_for(probe.seen[address], PATIENCE) - began)
        except asyncio.TimeoutError:
            probe.failures.append(f"{address} was not asked within {PATIENCE} s")
        if len(times) + len(probe.failures) >= count:
            break
        # So that changes fall anywhere between two looks.
        await asyncio.sleep(random.uniform(0.3, 0.5))
    for task in asking:
        if task.done():
            probe.failures.append(f"a client ended: {task.exception()!r}")
        task.cancel()
    after = buckets(port)
    server.close()
    grown = {name: [(bound, n - m) for (bound, n), (_, m) in zip(after[name], before[name])] for name in after}
    print(json.dumps({"seconds": times, "asked": probe.asked, "failures": probe.failures, "histograms": grown}))


def storm(folder, kind, a_second, seconds, is_on):
    source = source_of(folder, kind, is_on)
    new, extra = fresh(MOCK), []
    began, changes = time.monotonic(), 0
    while (now := time.monotonic()) < began + seconds:
        due = began + changes / a_second
        if now < due:
            time.sleep(due - now)
            continue
        # Every other one where the load is.
        name = "u0" if changes % 2 else f"u{random.randrange(UPSTREAMS)}"
        gone = None
        if len(extra) > UPSTREAMS:
            name, gone = extra.pop(random.randrange(len(extra)))
        entry = next(new)[1]
        source.exchange(name, entry, gone)
        extra.append((name, entry["url"]))
        changes += 1
    took = time.monotonic() - began
    for name, gone in extra:
        source.exchange(name, {"url": f"http://127.1.{name[1:]}.1:{MOCK}"}, gone)
    print(json.dumps({"changes": changes, "seconds": took}))


def main():
    what, folder, kind, port = sys.argv[1:4] + [int(sys.argv[4])]
    if what == "prepare":
        prepare(folder, kind, port)
    elif what == "await":
        wait_for_all(port)
    elif what == "changes":
        asyncio.run(change(folder, kind, port, int(sys.argv[5])))
    else:
        storm(folder, kind, int(sys.argv[5]), int(sys.argv[6]), sys.argv[7] == "on")


if __name__ == "__main__":
    main()
