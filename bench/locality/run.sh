#!/usr/bin/env bash
# Does it pay to ask the quicker region, and does a loaded one send on what it should? Four mocks in two regions, one slower by the
# mocks' own delay, behind three Ringways in turn. bench/README.md says how to read what it prints.
#
#   bench/locality/run.sh [ROUNDS]           exit code 1 if a goal was missed
set -euo pipefail

rounds=${1:-2}
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$here/../.." && pwd)
cd "$root"
run=$(mktemp -d)
started=()
names=(hash smart spill)

finish() {
    for pid in "${started[@]}"; do kill -KILL "$pid" 2>/dev/null || true; done
    rm -rf "$run"
}
trap finish EXIT
trap 'exit 130' INT TERM

# Waits until something listens on a port of 127.0.0.1.
listening() {
    for _ in $(seq 200); do
        (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null && return
        sleep 0.05
    done
    echo "nothing listens on port $1: $2" >&2
    cat "$run/$2.log" >&2 || true
    exit 1
}

for tool in curl python3; do
    command -v "$tool" >/dev/null && continue
    echo "$tool is not there" >&2
    exit 71
done
bin=${BIN:-${CARGO_TARGET_DIR:-$root/target}/release}
[ -n "${NO_BUILD:-}" ] || cargo build --release --workspace --quiet

port=18001
for delay in "${SLOW_MS:-110}" "${SLOW_MS:-110}" "${QUICK_MS:-40}" "${QUICK_MS:-40}"; do
    "$bin/ringway-loadtest" mock --listen "127.0.0.1:$port" --delay-ms "$delay" >"$run/mock.$port.log" 2>&1 &
    started+=("$!") && disown
    listening "$port" "mock.$port"
    port=$((port + 1))
done
# With Consul, two datacenters that are joined by WAN name the endpoints of `hash` and `smart`: a datacenter is a region.
consul=$(command -v consul || true)
[ -n "$consul" ] || consul=$root/target/clients-consul/consul
cp "$here"/*.toml "$run"
agent() { # DATACENTER PORT [ARGUMENT]
    "$consul" agent -dev -datacenter "$1" -node "$1" -bind 127.0.0.1 -client 127.0.0.1 -dns-port -1 -grpc-port -1 -http-port "$2" \
        -server-port $(($2 + 1)) -serf-lan-port $(($2 + 2)) -serf-wan-port $(($2 + 3)) -log-level err "${@:3}" >"$run/consul.$1.log" 2>&1 &
    started+=("$!") && disown
    listening "$2" "consul.$1"
}
register() { # AGENT'S PORT, MOCK'S PORT
    curl -sf --retry 50 --retry-all-errors --retry-delay 1 -X PUT "http://127.0.0.1:$1/v1/agent/service/register" \
        -d "{\"ID\": \"llm-$2\", \"Name\": \"llm\", \"Address\": \"127.0.0.1\", \"Port\": $2}"
}
if [ -x "$consul" ]; then
    agent ap 18221
    agent us 18231 -retry-join-wan 127.0.0.1:18224
    for port in 18001 18002; do register 18221 "$port"; done
    for port in 18003 18004; do register 18231 "$port"; done
    for _ in $(seq 200); do
        [[ $(curl -s "http://127.0.0.1:18221/v1/health/service/llm?dc=us") == *18004* ]] && break
        sleep 0.1
    done
    for name in hash smart; do
        sed -i '/^endpoints = \[/,/^\]/c discover = { consul = "llm", datacenters = ["ap", "us"] }' "$run/$name.toml"
        printf '\n[[registry]]\nname = "both"\nconsul = { url = "http://127.0.0.1:18221" }\n' >>"$run/$name.toml"
    done
    echo "endpoints of hash and smart: from two datacenters of $("$consul" version | head -1)"
fi
settings=()
port=18201
for name in "${names[@]}"; do
    RINGWAY_SHARDS=${SHARDS:-2} "$bin/ringway" serve --config "$run/$name.toml" >"$run/$name.log" 2>&1 &
    started+=("$!") && disown
    settings+=(--setting "$name=http://127.0.0.1:$port,$!")
    listening "$port" "$name"
    port=$((port + 1))
done

echo "$(date +%T) $rounds rounds; load average $(cut -d' ' -f1-3 /proc/loadavg)"
"$bin/ringway-loadtest" compare regions --rounds "$rounds" --mock http://127.0.0.1:18001 "${settings[@]}" \
    --output "$run/regions.json" | grep -E "NOT CLEAN|ERROR|LOST" || true
port=18211
for name in "${names[@]}"; do
    curl -sf "http://127.0.0.1:$port/metrics" >"$run/$name.metrics"
    port=$((port + 1))
done
python3 "$here/table.py" "$run" "${names[@]}"
