#!/usr/bin/env bash
# Makes anew what release builds are laid out by: .cargo/ringway.profdata. A gateway that counts its own branches serves the
# scenarios of bench/peers, bench/governed and bench/streams; bench/README.md says what it gains and when to do it.
#
#   bench/profile.sh                         about 10 minutes
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$here/.." && pwd)
cd "$root"
gateway_cpu=${GATEWAY_CPU:-1}
client_cpu=${CLIENT_CPU:-0}
run=$(mktemp -d)
mock=
gateway=

finish() {
    [ -z "$gateway" ] || kill -KILL "$gateway" 2>/dev/null || true
    [ -z "$mock" ] || kill -KILL "$mock" 2>/dev/null || true
    rm -rf "$run"
}
trap finish EXIT
trap 'exit 130' INT TERM

# Waits until something listens on a port of 127.0.0.1.
listening() {
    for _ in $(seq 400); do
        (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null && return
        sleep 0.05
    done
    echo "nothing listens on port $1: $2" >&2
    cat "$run"/*.log >&2 || true
    exit 1
}

# The tool comes with the compiler, and must be of its version.
profdata() {
    find "$(rustc --print sysroot)/lib/rustlib" -name llvm-profdata -type f | head -1
}
[ -n "$(profdata)" ] || rustup component add llvm-tools
tool=$(profdata)
[ -n "$tool" ] || { echo "llvm-profdata is missing: rustup component add llvm-tools" >&2 && exit 71; }

bin=$root/target/profile/release
RINGWAY_PROFILE=generate:$run/raw CARGO_TARGET_DIR=$root/target/profile cargo build --release --workspace
ulimit -n "$(ulimit -Hn)"
"$bin/ringway-loadtest" mock --cpu "$client_cpu" --listen 127.0.0.1:18001 --tick-us 0 >"$run/mock.log" 2>&1 &
mock=$! && disown
listening 18001 mock

# serve CONFIG PORT SCENARIO...: one gateway, which writes what it has counted when it ends.
serve() {
    local config=$1 port=$2 scenario
    shift 2
    LOAD_TEST_SECRET=a-secret-of-32-bytes-for-the-rig RINGWAY_SHARDS=1 RINGWAY_CPUS=$gateway_cpu \
        taskset -c "$gateway_cpu" "$bin/ringway" serve --config "$here/$config.toml" >"$run/gateway.log" 2>&1 &
    gateway=$!
    listening "$port" "$config"
    for scenario in "$@"; do
        echo "$(date +%T) $config: $scenario"
        "$bin/ringway-loadtest" run "$scenario" --through "http://127.0.0.1:$port" --cpus "$client_cpu" \
            --warmup 1 --duration 4 >"$run/last.txt" || { cat "$run/last.txt" >&2 && exit 1; }
    done
    kill -TERM "$gateway"
    wait "$gateway" || true
    gateway=
}

serve peers/ringway 18083 saturation events_1000x20 events_4000x5 new_connections
serve governed/key 18085 governed
serve governed/jwt 18086 governed_jwt
serve streams/resume 18103 events_keyed
serve streams/all 18106 events_keyed

# Sparse: code that did not run here is left as it would be without a profile, not taken for cold.
"$tool" merge --sparse -o .cargo/ringway.profdata "$run"/raw/*.profraw
ls -l .cargo/ringway.profdata
