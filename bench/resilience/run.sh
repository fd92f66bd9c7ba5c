#!/usr/bin/env bash
# What does it cost to watch over endpoints? The same requests and events through a Ringway that asks three endpoints in turn
# and remembers nothing, and through two that have balancing by load, circuit breaker, retries, adaptive deadlines, health checks
# and bounds, round by round in turn. bench/README.md says how to read what it prints.
#
#   bench/resilience/run.sh [ROUNDS]         exit code 1 if a median is above GOAL (1.03) times the plain one
set -euo pipefail

rounds=${1:-5}
goal=${GOAL:-1.03}
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$here/../.." && pwd)
cd "$root"
gateway_cpu=${GATEWAY_CPU:-1}
client_cpu=${CLIENT_CPU:-0}
run=$(mktemp -d)
started=()
mocks=(18001 18002 18003)

finish() {
    for pid in "${started[@]}"; do kill -KILL "$pid" && wait "$pid"; done 2>/dev/null || true
    rm -rf "$run"
}
trap finish EXIT
trap 'exit 130' INT TERM

# Waits until something listens on a port of 127.0.0.1, and says what its log does if it does not.
listening() {
    for _ in $(seq 200); do
        (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null && return
        sleep 0.05
    done
    echo "nothing listens on port $1: $2" >&2
    cat "$run/$2.log" >&2 || true
    exit 1
}

# start NAME PORT: the gateway of NAME.toml; its process is then in $NAME.
start() {
    RINGWAY_SHARDS=1 RINGWAY_CPUS=$gateway_cpu \
        taskset -c "$gateway_cpu" "$bin/ringway" serve --config "$here/$1.toml" >"$run/$1.log" 2>&1 &
    started+=("$!")
    printf -v "$1" '%s' "$!"
    listening "$2" "$1"
}

bin=${CARGO_TARGET_DIR:-$root/target}/release
[ -n "${NO_BUILD:-}" ] || cargo build --release --workspace --quiet
settings=()
for port in "${mocks[@]}"; do
    "$bin/ringway-loadtest" mock --cpu "$client_cpu" --tick-us 0 --listen "127.0.0.1:$port" >"$run/mock$port.log" 2>&1 &
    started+=("$!")
    listening "$port" "mock$port"
    settings+=(--mock "http://127.0.0.1:$port")
done
start plain 18087
start weighted_least_connections 18088
start peak_ewma 18089
settings+=(
    --setting "plain=http://127.0.0.1:18087,$plain"
    --setting "least_connections=http://127.0.0.1:18088,$weighted_least_connections"
    --setting "peak_ewma=http://127.0.0.1:18089,$peak_ewma"
)

# compare SCENARIO SECONDS: the three of them; the figures are then in $run/SCENARIO.json.
compare() {
    "$bin/ringway-loadtest" compare "$1" --rounds "$rounds" --cpus "$client_cpu" --warmup 1 --duration "$2" \
        "${settings[@]}" --output "$run/$1.json" | grep -E "CPU us|NOT CLEAN|ERROR" || true
}

compare saturation 3
compare steady 3
compare events_1000x20 4

# The figures that the goal is about; those of `steady` are mostly what it costs to wake up.
python3 - "$run" "$goal" <<'PYTHON'
import json, sys

folder, goal = sys.argv[1], float(sys.argv[2])
is_kept = True
for scenario, what in [("saturation", "CPU us/request"), ("events_1000x20", "CPU us/event")]:
    try:
        report = json.load(open(f"{folder}/{scenario}.json"))
    except OSError:
        sys.exit(f"{scenario}: no figures")
    if not report["is_clean"]:
        print(f"{scenario}: a run was not clean: its figures are void")
        is_kept = False
    for ratio in report["ratios"]:
        over = ratio["over_first"]
        if ratio["what"] != what or over is None:
            continue
        verdict = "kept" if over <= goal else f"ABOVE {goal}"
        print(f"{scenario:<16} {what:<15} {ratio['through']:<18} x {over:.3f}  {verdict}")
        is_kept &= over <= goal
sys.exit(0 if is_kept else 1)
PYTHON
