#!/usr/bin/env bash
# What do Ringway's policies cost? The same requests through a Ringway without any, with an API key and with a JWT, all
# limits counted, in turn. bench/README.md says how to read what it prints.
#
#   bench/governed/run.sh [ROUNDS]
set -euo pipefail

rounds=${1:-5}
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$here/../.." && pwd)
cd "$root"
gateway_cpu=${GATEWAY_CPU:-1}
client_cpu=${CLIENT_CPU:-0}
run=$(mktemp -d)
started=()

finish() {
    for pid in "${started[@]}"; do kill -KILL "$pid" && wait "$pid"; done 2>/dev/null || true
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

# start NAME PORT: the gateway of NAME.toml.
start() {
    LOAD_TEST_SECRET=a-secret-of-32-bytes-for-the-rig RINGWAY_SHARDS=1 RINGWAY_CPUS=$gateway_cpu \
        taskset -c "$gateway_cpu" "$bin/ringway" serve --config "$here/$1.toml" >"$run/$1.log" 2>&1 &
    started+=("$!")
    printf -v "$1" '%s' "$!"
    listening "$2" "$1"
}

bin=${CARGO_TARGET_DIR:-$root/target}/release
[ -n "${NO_BUILD:-}" ] || cargo build --release --workspace --quiet
"$bin/ringway-loadtest" mock --cpu "$client_cpu" --listen 127.0.0.1:18001 >"$run/mock.log" 2>&1 &
started+=("$!")
listening 18001 mock
start off 18084
start key 18085
start jwt 18086

# compare SCENARIO NAME PORT: NAME beside no policies at all.
compare() {
    "$bin/ringway-loadtest" compare "$1" --rounds "$rounds" --cpus "$client_cpu" --warmup 0.5 --duration 3 \
        --mock http://127.0.0.1:18001 \
        --setting "off=http://127.0.0.1:18084,$off" --setting "$2=http://127.0.0.1:$3,${!2}"
}

compare governed key 18085
compare governed_jwt jwt 18086

echo "a flood of wrong keys: 3,000 good requests a second, first alone, then beside 10,000 refused ones a second"
good() {
    "$bin/ringway-loadtest" run governed --through http://127.0.0.1:18085 --pid "$key" --cpus "$client_cpu" \
        --rate 3000 --warmup 1 --duration 4
}
good
"$bin/ringway-loadtest" run wrong_keys --through http://127.0.0.1:18085 --cpus "$client_cpu" --duration 8 >"$run/flood.txt" &
flood=$!
sleep 1
good
wait "$flood"
cat "$run/flood.txt"
