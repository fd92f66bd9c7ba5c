#!/usr/bin/env python3
"""What do requests notice when registries are in trouble? etcd and Consul are killed, stopped, cut off, compacted, emptied and fed
garbage, one after the other, under load. bench/README.md says how to read what it prints.

usage: trouble.py [RATE]       exit code 1 if a request failed, or anything did not heal

Needs root (a network namespace of its own for the registries), etcd, and Consul on the PATH or where tests/clients/install.sh puts it.
"""

import base64
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BIN = os.environ.get("BIN", os.path.join(ROOT, "target/release"))
# Where the registries are, seen from the gateway, and the other end.
SPACE, LINK, HERE, THERE = "ringway-trouble", "rw-trouble", "10.213.7.1", "10.213.7.2"
ETCD, CONSUL = f"http://{THERE}:2379", f"http://{THERE}:8500"
MOCK, LISTEN, ADMIN = 18301, 18341, 18361
EACH = 5
# How long a trouble, or its end, may take to be noticed, in seconds.
PATIENCE = 30
GATEWAY = f"""
[listen]
address = "127.0.0.1:{LISTEN}"
[admin]
address = "127.0.0.1:{ADMIN}"
[[registry]]
name = "e"
etcd = {{ url = "{ETCD}" }}
[[registry]]
name = "c"
consul = {{ url = "{CONSUL}" }}
[[upstream]]
name = "u"
minimum_healthy = {EACH + 2}
damping = false
discover = [{{ etcd = "/llm/", registry = "e" }}, {{ consul = "llm", registry = "c" }}]
[[model]]
name = "m"
upstream = "u"
"""


def sh(*words, check=True):
    return subprocess.run(words, check=check, capture_output=True, text=True)


def ask(url, body=None, method=None):
    data = json.dumps(body).encode() if body is not None else None
    request = urllib.request.Request(url, data, method=method or ("POST" if data else "GET"))
    with urllib.request.urlopen(request, timeout=10) as answer:
        return answer.read().decode()


def coded(text):
    return base64.b64encode(text.encode()).decode()


def put(pairs):
    """In transactions of 100, which is fewer than etcd's most."""
    pairs = list(pairs)
    for at in range(0, len(pairs), 100):
        some = [{"request_put": {"key": coded(k), "value": coded(v)}} for k, v in pairs[at : at + 100]]
        ask(f"{ETCD}/v3/kv/txn", {"success": some})


def delete(prefix):
    end = prefix[:-1] + chr(ord(prefix[-1]) + 1)
    ask(f"{ETCD}/v3/kv/deleterange", {"key": coded(prefix), "range_end": coded(end)})


def register(host, meta=None):
    service = {"ID": host, "Name": "llm", "Address": host, "Port": MOCK, "Meta": meta or {}}
    ask(f"{CONSUL}/v1/agent/service/register", service, "PUT")


def samples():
    """Of each kind of source: whether it is up, its endpoints, and how many of them are stale."""
    found = {}
    for line in ask(f"http://127.0.0.1:{ADMIN}/metrics").splitlines():
        for name in ("up", "endpoints", "stale_endpoints"):
            if line.startswith(f"ringway_source_{name}{{"):
                kind = "etcd" if "etcd:" in line else "consul"
                found.setdefault(kind, {})[name] = int(float(line.rsplit(" ", 1)[1]))
    return found


def until(what, condition):
    """Waits, and says for how long."""
    begin = time.monotonic()
    while time.monotonic() - begin < PATIENCE:
        try:
            if condition(samples()):
                return time.monotonic() - begin
        except (urllib.error.URLError, OSError, KeyError):
            pass
        time.sleep(0.02)
    raise TimeoutError(f"{what}: not within {PATIENCE} s; it is {samples()}")


class World:
    def __init__(self, folder):
        self.folder, self.running = folder, {}

    def start(self, name, *words, inside=False):
        prefix = ["ip", "netns", "exec", SPACE] if inside else []
        log = open(os.path.join(self.folder, f"{name}.log"), "a")
        self.running[name] = subprocess.Popen(prefix + list(words), stdout=log, stderr=log, cwd=self.folder)

    def signal(self, name, number):
        self.running[name].send_signal(number)
        if number == signal.SIGKILL:
            self.running[name].wait()

    def etcd(self):
        self.start("etcd", "etcd", "--data-dir", "etcd", "--listen-client-urls", ETCD, "--advertise-client-urls", ETCD, inside=True)
        self.answering(f"{ETCD}/health")

    def consul(self):
        self.start("consul", consul_binary(), "agent", "-dev", "-bind", THERE, "-client", THERE, "-log-level", "err", inside=True)
        self.answering(f"{CONSUL}/v1/status/leader", lambda text: len(text) > 4)
        for host in range(EACH):
            register(f"127.0.0.{21 + host}")

    def answering(self, url, is_enough=lambda text: True):
        for _ in range(400):
            try:
                if is_enough(ask(url)):
                    return
            except OSError:
                pass
            time.sleep(0.05)
        raise TimeoutError(f"{url} does not answer")

    def end(self):
        for process in self.running.values():
            if process.poll() is None:
                process.kill()
                process.wait()
        sh("ip", "link", "del", LINK, check=False)
        sh("ip", "netns", "del", SPACE, check=False)


def consul_binary():
    return shutil.which("consul") or os.path.join(ROOT, "target/clients-consul/consul")


def network():
    sh("ip", "netns", "add", SPACE)
    sh("ip", "link", "add", LINK, "type", "veth", "peer", "name", "eth0", "netns", SPACE)
    sh("ip", "addr", "add", f"{HERE}/24", "dev", LINK)
    sh("ip", "link", "set", LINK, "up")
    for words in (["addr", "add", f"{THERE}/24", "dev", "eth0"], ["link", "set", "eth0", "up"], ["link", "set", "lo", "up"]):
        sh("ip", "-n", SPACE, *words)


def whole(found):
    return all(of["up"] == 1 and of["endpoints"] == EACH and of["stale_endpoints"] == 0 for of in found.values())


def down(*kinds):
    return lambda found: all(found[kind]["up"] == 0 and found[kind]["stale_endpoints"] == EACH for kind in kinds)


def troubles(world):
    """Each: what is done, what must be noticed (none: nothing), and what ends it."""

    def garbage():
        put((f"/llm/garbage{at:02}", ["{", "null", '{"url": 1}', "\0\1", '{"url": "http://a", "x": 1}'][at % 5]) for at in range(50))
        register("127.0.0.99", {"ringway-weight": "much"})

    def tidy():
        delete("/llm/garbage")
        ask(f"{CONSUL}/v1/agent/service/deregister/127.0.0.99", {}, "PUT")

    def many():
        put((f"/llm/many{at:05}", json.dumps({"url": f"http://127.2.{at // 250}.{at % 250 + 1}:9", "weight": 0})) for at in range(10_000))

    def compact():
        world.signal("etcd", signal.SIGKILL)

    def compacted():
        world.etcd()
        put([(f"/other/{at}", "x") for at in range(100)])
        revision = json.loads(ask(f"{ETCD}/v3/kv/range", {"key": coded("/other/99")}))["header"]["revision"]
        ask(f"{ETCD}/v3/kv/compaction", {"revision": revision})

    def emptied():
        for host in range(EACH):
            ask(f"{CONSUL}/v1/agent/service/deregister/127.0.0.{21 + host}", {}, "PUT")

    def filled():
        for host in range(EACH):
            register(f"127.0.0.{21 + host}")

    kill = lambda name: lambda: world.signal(name, signal.SIGKILL)
    stop = lambda name: lambda: world.signal(name, signal.SIGSTOP)
    go_on = lambda name: lambda: world.signal(name, signal.SIGCONT)
    return [
        ("etcd killed, started again", kill("etcd"), down("etcd"), world.etcd),
        ("etcd stopped, goes on", stop("etcd"), down("etcd"), go_on("etcd")),
        ("etcd killed, compacted meanwhile", compact, down("etcd"), compacted),
        ("Consul killed, begins from nothing", kill("consul"), down("consul"), world.consul),
        ("Consul stopped, goes on", stop("consul"), down("consul"), go_on("consul")),
        ("both cut off", lambda: sh("ip", "link", "set", LINK, "down"), down("etcd", "consul"), lambda: sh("ip", "link", "set", LINK, "up")),
        # As many as there must be are kept, whatever Consul says.
        ("Consul suddenly has nothing", emptied, lambda found: found["consul"]["stale_endpoints"] >= 2, filled),
        ("garbage in both", garbage, None, tidy),
        ("10,000 keys", many, lambda found: found["etcd"]["endpoints"] > 4000, lambda: delete("/llm/many")),
    ]


def run(world, rate):
    network()
    world.start("mock", f"{BIN}/ringway-loadtest", "mock", "--listen", f"0.0.0.0:{MOCK}")
    world.etcd()
    put((f"/llm/{at}", json.dumps({"url": f"http://127.0.0.{11 + at}:{MOCK}"})) for at in range(EACH))
    world.consul()
    with open(os.path.join(world.folder, "ringway.toml"), "w") as file:
        file.write(GATEWAY)
    world.start("ringway", f"{BIN}/ringway", "serve", "--config", "ringway.toml")
    until("all is found", whole)
    load = ["run", "steady", "--model", "m", "--rate", rate, "--warmup", "1", "--duration", "600", "--through", f"http://127.0.0.1:{LISTEN}"]
    load += ["--output", "load.json"]
    results = []
    print(f"{'trouble':<38}{'noticed, s':>12}{'healed, s':>12}{'requests':>12}{'not 200':>10}", flush=True)
    for name, begin, noticed, end in troubles(world):
        load[load.index("--duration") + 1] = "60"
        world.start("load", f"{BIN}/ringway-loadtest", *load)
        time.sleep(2)
        begin()
        after = until(name, noticed) if noticed else 0.0
        time.sleep(2)
        end()
        healed = until(f"after: {name}", whole)
        time.sleep(1)
        requests, failed = counts()
        world.signal("load", signal.SIGKILL)
        asked, wrong = requests - results[-1][0] if results else requests, failed - (results[-1][1] if results else 0)
        results.append((requests, failed))
        print(f"{name:<38}{after:>12.2f}{healed:>12.2f}{asked:>12,}{wrong:>10,}", flush=True)
    return results[-1][1]


def counts():
    """All requests so far, and those that were not answered with 200."""
    total = wrong = 0
    for line in ask(f"http://127.0.0.1:{ADMIN}/metrics").splitlines():
        if line.startswith("ringway_requests_total{"):
            count = int(float(line.rsplit(" ", 1)[1]))
            total += count
            # 499: the load tester was ended in the middle of them.
            wrong += 0 if 'status="200"' in line or 'status="499"' in line else count
    return total, wrong


def main():
    world = World(tempfile.mkdtemp(prefix="ringway-trouble-"))
    try:
        failed = run(world, sys.argv[1] if len(sys.argv) > 1 else "1000")
    except BaseException:
        print(f"logs: {world.folder}", file=sys.stderr)
        world.end()
        raise
    world.end()
    shutil.rmtree(world.folder)
    print("every request was answered" if failed == 0 else f"{failed} requests were not answered with 200")
    sys.exit(failed > 0)


if __name__ == "__main__":
    main()
