#!/usr/bin/env bash
# How soon is an endpoint asked that a source has just named, and what does a source that never rests cost requests? 1,000 endpoints in
# 50 upstreams, from files and, where etcd is there, from etcd. bench/README.md says how to read what it prints.
#
#   bench/discovery/run.sh [ROUNDS]          exit code 1 if a goal was missed
set -euo pipefail

rounds=${1:-1}
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$here/../.." && pwd)
cd "$root"
run=$(mktemp -d)
started=()
sources=(file)
command -v etcd >/dev/null && sources+=(etcd)
[ -z "${SOURCES:-}" ] || read -ra sources <<<"$SOURCES"
changes=${CHANGES:-100}
rate=${RATE:-1000}
storm_rate=${STORM_RATE:-100}
window=${WINDOW_S:-10}
pairs=${PAIRS:-6}

finish() {
    for pid in "${started[@]}"; do kill -KILL "$pid" 2>/dev/null || true; done
    if [ -n "${KEEP:-}" ]; then echo "kept: $run"; else rm -rf "$run"; fi
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

# One window of load; what it found goes to a file.
load() {
    "$bin/ringway-loadtest" run steady --model m0 --rate "$rate" --warmup 1 --duration "$2" --through "http://127.0.0.1:$port" \
        --pid "$pid" --output "$1" | grep -E "NOT CLEAN|ERROR|LOST" || true
}

for tool in curl python3; do
    command -v "$tool" >/dev/null && continue
    echo "$tool is not there" >&2
    exit 71
done
bin=${BIN:-${CARGO_TARGET_DIR:-$root/target}/release}
[ -n "${NO_BUILD:-}" ] || cargo build --release --workspace --quiet

# One mock is all endpoints: they differ by their addresses in 127.0.0.0/8.
"$bin/ringway-loadtest" mock --listen 0.0.0.0:18301 >"$run/mock.log" 2>&1 &
started+=("$!") && disown
listening 18301 mock

echo "$(date +%T) $rounds rounds of ${sources[*]}; load average $(cut -d' ' -f1-3 /proc/loadavg)"
port=18310
for source in "${sources[@]}"; do
    port=$((port + 1))
    if [ "$source" = etcd ]; then
        etcd --data-dir "$run/etcd" --listen-client-urls http://127.0.0.1:18321 --advertise-client-urls http://127.0.0.1:18321 \
            --listen-peer-urls http://127.0.0.1:18322 >"$run/etcd-server.log" 2>&1 &
        started+=("$!") && disown
        listening 18321 etcd-server
    fi
    python3 "$here/drive.py" prepare "$run" "$source" "$port"
    RINGWAY_SHARDS=${SHARDS:-2} "$bin/ringway" serve --config "$run/$source.toml" >"$run/$source.log" 2>&1 &
    pid=$! && started+=("$pid") && disown
    listening "$port" "$source"
    python3 "$here/drive.py" await "$run" "$source" "$port"
    for round in $(seq "$rounds"); do
        python3 "$here/drive.py" changes "$run" "$source" "$port" "$changes" >"$run/$source.changes.$round" &
        driver=$!
        part=0
        while kill -0 "$driver" 2>/dev/null; do
            load "$run/$source.beside.$round.$part.json" 5
            part=$((part + 1))
        done
        wait "$driver"
        for pair in $(seq "$pairs"); do
            # Every other pair the other way round. Off: the same is written where nobody looks.
            order=(off on)
            [ $((pair % 2)) -eq 1 ] || order=(on off)
            for kind in "${order[@]}"; do
                python3 "$here/drive.py" storm "$run" "$source" "$port" "$storm_rate" "$((window + 3))" "$kind" \
                    >"$run/$source.$kind.$round.$pair.storm" &
                driver=$!
                load "$run/$source.$kind.$round.$pair.json" "$window"
                wait "$driver"
            done
        done
        echo "$(date +%T) $source: round $round is over"
    done
    curl -sf "http://127.0.0.1:$((port + 20))/metrics" >"$run/$source.metrics"
    # Ends it, so that the next source has the machine.
    kill "$pid" 2>/dev/null || true
done
python3 "$here/table.py" "$run" "${sources[@]}"
