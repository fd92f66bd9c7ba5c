#!/usr/bin/env bash
# What does it cost to keep streams for clients that may come back, to give them heartbeats, to meter and to pace them? The same
# 4,000 streams of 5 events a second through nginx and six Ringways in turn, on one CPU. bench/README.md says how to read what
# it prints.
#
#   bench/streams/run.sh [ROUNDS]            exit code 1 if a goal was missed
set -euo pipefail

rounds=${1:-3}
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$here/../.." && pwd)
cd "$root"
gateway_cpu=${GATEWAY_CPU:-1}
client_cpu=${CLIENT_CPU:-0}
run=$(mktemp -d)
started=()
names=(plain heartbeats resume metered throttled all)

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

# start NAME PORT: the gateway of NAME.toml; its process is then in $NAME.
start() {
    RINGWAY_SHARDS=1 RINGWAY_CPUS=$gateway_cpu \
        taskset -c "$gateway_cpu" "$bin/ringway" serve --config "$here/$1.toml" >"$run/$1.log" 2>&1 &
    started+=("$!")
    printf -v "$1" '%s' "$!"
    disown
    listening "$2" "$1"
}

start_nginx() {
    sed "s,RUN,$run,g" "$here/../peers/nginx.conf" >"$run/nginx.conf"
    taskset -c "$gateway_cpu" nginx -p "$run" -e "$run/nginx.log" -c "$run/nginx.conf" &
    local master=$!
    started+=("$master") && disown
    listening 18081 nginx
    # The master of nginx does no work, but its memory is its users' too; workers outlive a master that is killed.
    nginx="$master,$(pgrep -d, -P "$master")"
    for pid in ${nginx//,/ }; do [ "$pid" = "$master" ] || started+=("$pid"); done
}

for tool in nginx python3; do
    command -v "$tool" >/dev/null && continue
    echo "$tool is not there: bench/peers/run.sh installs what it needs" >&2
    exit 71
done
bin=${CARGO_TARGET_DIR:-$root/target}/release
[ -n "${NO_BUILD:-}" ] || cargo build --release --workspace --quiet
ulimit -n "$(ulimit -Hn)"
"$bin/ringway-loadtest" mock --cpu "$client_cpu" --tick-us "${TICK_US:-0}" --listen 127.0.0.1:18001 >"$run/mock.log" 2>&1 &
started+=("$!") && disown
listening 18001 mock
start_nginx
settings=(--setting "nginx=http://127.0.0.1:18081,$nginx" --setting "direct=http://127.0.0.1:18001")
port=18101
for name in "${names[@]}"; do
    start "$name" "$port"
    settings+=(--setting "$name=http://127.0.0.1:$port,${!name}")
    port=$((port + 1))
done

echo "$(date +%T) events, $rounds rounds; load average $(cut -d' ' -f1-3 /proc/loadavg)"
"$bin/ringway-loadtest" compare events_keyed --rounds "$rounds" --cpus "$client_cpu" --mock http://127.0.0.1:18001 \
    "${settings[@]}" --output "$run/events.json" | grep -E "NOT CLEAN|ERROR|LOST" || true

# Memory that a process has taken it seldom gives back: each of these is a fresh one.
echo "$(date +%T) memory; load average $(cut -d' ' -f1-3 /proc/loadavg)"
for name in plain heartbeats resume; do
    end "${!name}"
    case $name in plain) port=18101 ;; heartbeats) port=18102 ;; resume) port=18103 ;; esac
    start "$name" "$port"
    "$bin/ringway-loadtest" compare idle_8000 --rounds 1 --cpus "$client_cpu" --mock http://127.0.0.1:18001 \
        --setting "$name=http://127.0.0.1:$port,${!name}" --output "$run/idle.$name.json" |
        grep -E "NOT CLEAN|ERROR|LOST" || true
done

python3 "$here/table.py" "$run" "${RESULT:-$run/result.json}"
