#!/usr/bin/env bash
# nginx, HAProxy and Ringway at the same work on one CPU, in turn. bench/README.md says how to read what it prints.
#
#   bench/peers/run.sh [quick|full] [ROW...]
#
# ROW: saturation events_1000x20 events_4000x5 new_connections idle_8000 (default: all)
set -euo pipefail

kind=full
case "${1:-}" in quick | full) kind=$1 && shift ;; esac
rows=("$@")
[ ${#rows[@]} -gt 0 ] || rows=(saturation events_1000x20 events_4000x5 new_connections idle_8000)

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$here/../.." && pwd)
cd "$root"
gateway_cpu=${GATEWAY_CPU:-1}
client_cpu=${CLIENT_CPU:-0}
run=$(mktemp -d)
started=()

# Ends processes that this script has started, and waits until they are gone.
end() {
    local pid
    for pid in "$@"; do kill -KILL "$pid" 2>/dev/null || true; done
    for pid in "$@"; do
        while kill -0 "$pid" 2>/dev/null; do sleep 0.02; done
    done
}

finish() {
    end "${started[@]}"
    rm -rf "$run"
}
trap finish EXIT
trap 'exit 130' INT TERM

need() {
    local missing=()
    command -v nginx >/dev/null || missing+=(nginx-light)
    command -v haproxy >/dev/null || missing+=(haproxy)
    command -v python3 >/dev/null || missing+=(python3)
    [ ${#missing[@]} -eq 0 ] && return
    echo "installing ${missing[*]}"
    # Nothing may start by itself: it would take CPU, and ports.
    printf '#!/bin/sh\nexit 101\n' >"$run/policy-rc.d"
    chmod +x "$run/policy-rc.d"
    [ -e /usr/sbin/policy-rc.d ] || { cp "$run/policy-rc.d" /usr/sbin/policy-rc.d && local ours=1; }
    apt-get update -qq && apt-get install -qq -y --no-install-recommends "${missing[@]}"
    [ -z "${ours:-}" ] || rm -f /usr/sbin/policy-rc.d
}

# Waits until something listens on a port of 127.0.0.1.
listening() {
    for _ in $(seq 200); do
        (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null && return
        sleep 0.05
    done
    echo "nothing listens on port $1: $2" >&2
    cat "$run"/*.log >&2 || true
    exit 1
}

start_mock() {
    # Each event at its own time, as independent model servers write; with ticks they would come in bursts.
    "$bin/ringway-loadtest" mock --cpu "$client_cpu" --listen 127.0.0.1:18001 --tick-us "${TICK_US:-0}" >"$run/mock.log" 2>&1 &
    mock=$! && started+=("$mock") && disown
    listening 18001 mock
}

start_peers() {
    sed "s,RUN,$run,g" "$here/nginx.conf" >"$run/nginx.conf"
    taskset -c "$gateway_cpu" nginx -p "$run" -e "$run/nginx.log" -c "$run/nginx.conf" &
    nginx=$! && started+=("$nginx") && disown
    taskset -c "$gateway_cpu" haproxy -db -q -f "$here/haproxy.cfg" >"$run/haproxy.log" 2>&1 &
    haproxy=$! && started+=("$haproxy") && disown
    RINGWAY_SHARDS=1 RINGWAY_CPUS=$gateway_cpu taskset -c "$gateway_cpu" \
        "$bin/ringway" serve --config "$here/ringway.toml" >"$run/ringway.log" 2>&1 &
    ringway=$! && started+=("$ringway") && disown
    listening 18081 nginx
    listening 18082 haproxy
    listening 18083 ringway
    # The master of nginx does no work, but its memory is its users' too.
    nginx_all="$nginx,$(pgrep -d, -P "$nginx")"
    # Workers outlive a master that is killed.
    for pid in ${nginx_all//,/ }; do [ "$pid" = "$nginx" ] || started+=("$pid"); done
}

stop_peers() {
    # shellcheck disable=SC2086 # a list of numbers
    end ${nginx_all//,/ } "$haproxy" "$ringway"
    started=("$mock")
}

# Share of both CPUs that is in use within two seconds, in percent: what else the machine does.
busy() {
    python3 - "$1" <<'PYTHON'
import sys, time
def read():
    words = open("/proc/stat").readline().split()[1:9]
    values = list(map(int, words))
    return sum(values), values[3] + values[4]
(total, idle), _ = read(), time.sleep(float(sys.argv[1]))
later, still = read()
print(f"{100 * (1 - (still - idle) / max(1, later - total)):.1f}")
PYTHON
}

note_load() {
    echo "$1: load average $(cut -d' ' -f1-3 /proc/loadavg), other work uses $(busy 2)% of the CPUs" | tee -a "$run/load.txt"
}

# One row: the same scenario through all three, round by round in turn.
compare() {
    local name=$1 rounds=$2 out=$3 failed=0
    shift 3
    "$bin/ringway-loadtest" compare "$name" --rounds "$rounds" --cpus "$client_cpu" --output "$out" \
        --setting "nginx=http://127.0.0.1:18081,$nginx_all" \
        --setting "haproxy=http://127.0.0.1:18082,$haproxy" \
        --setting "ringway=http://127.0.0.1:18083,$ringway" "$@" >"$run/last.txt" 2>&1 || failed=$?
    if [ "$failed" -ne 0 ]; then
        echo "$name: not clean, or it could not run:"
        grep -E 'NOT CLEAN|LOST|ERROR|loadtest:' "$run/last.txt" | head -20
    fi
}

measure() {
    local row=$1 rounds spans=()
    if [ "$kind" = quick ]; then
        rounds=1
        case $row in
        saturation | new_connections) rounds=3 && spans=(--warmup 0.5 --duration 2) ;;
        events_*) spans=(--warmup 1 --duration 4) ;;
        idle_8000) spans=(--warmup 1 --duration 1) ;;
        esac
    else
        rounds=3
        case $row in
        saturation | new_connections) rounds=5 && spans=(--warmup 1 --duration 5) ;;
        events_*) spans=(--warmup 4 --duration 10) ;;
        idle_8000) spans=(--warmup 2 --duration 2) ;;
        esac
    fi
    echo "$(date +%T) $row: $rounds rounds, load average $(cut -d' ' -f1-3 /proc/loadavg)"
    local mocked=(--mock http://127.0.0.1:18001)
    case $row in
    saturation)
        # Client and mock on one CPU would be at its end before a gateway is: the client answers as well.
        end "$mock"
        compare "$row" "$rounds" "$run/$row.1.json" --serve 127.0.0.1:18001 "${spans[@]}"
        start_mock
        return
        ;;
    idle_8000) ;;
    *)
        compare "$row" "$rounds" "$run/$row.1.json" "${mocked[@]}" "${spans[@]}"
        return
        ;;
    esac
    # Memory that a process has taken it seldom gives back: each round begins with fresh ones.
    for round in $(seq "$rounds"); do
        stop_peers
        sleep 0.5
        start_peers
        compare "$row" 1 "$run/$row.$round.json" "${mocked[@]}" "${spans[@]}"
    done
}

need
bin=${CARGO_TARGET_DIR:-$root/target}/release
[ -n "${NO_BUILD:-}" ] || cargo build --release --workspace --quiet
ulimit -n "$(ulimit -Hn)"
note_load "before"
start_mock
start_peers
for row in "${rows[@]}"; do measure "$row"; done
stop_peers
note_load "after"
machine=$(grep -m1 'model name' /proc/cpuinfo | cut -d: -f2 | tr -cs 'A-Za-z0-9' '-' | sed 's/^-//;s/-$//')
commit=$(git describe --always --dirty --exclude '*' 2>/dev/null || echo unknown)
mkdir -p "$root/bench/results"
result="$root/bench/results/$machine-$commit.json"
[ "$kind" = full ] || result="${result%.json}-quick.json"
# Part of the rows is a look, no result.
[ ${#rows[@]} -eq 5 ] || result="$run/result.json"
python3 "$here/table.py" "$run" "$kind" "$(nginx -v 2>&1 | sed 's,.*/,,')" \
    "$(haproxy -v | sed -n '1s/.*version \([0-9.]*\).*/\1/p')" "$result"
