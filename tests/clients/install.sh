#!/bin/sh
# Installs what tests/clients needs: SDKs into target/, servers and tools from apt. Idempotent; quick when all is there.
# Changing a version here is enough: what was installed is remembered in a stamp that holds these lines.
set -eu

python_packages="openai==3.54.0 anthropic==2.12.0 httpx==0.28.1 requests==2.32.5 jsonschema==4.25.1 httpx-sse==0.4.3 pyjwt==2.15.1 cryptography==50.0.2 http-message-signatures==3.0.0"
node_packages="openai@6.49.0 @anthropic-ai/sdk@1.12.0 eventsource@4.1.1 jose@6.2.17 http-signature@1.4.0"

# The last that Debian has, in a release that is not this one: its signature is checked by apt, and what it is by its sum.
consul_package="consul=1.8.7+dfsg1-2+b3"
consul_suite="http://deb.debian.org/debian bullseye main"
consul_amd64="e4e888bba104daba1d9161f49bfc52649a7e4efd45b1a7ead5bc54f2cb9c89d9"

root=$(cd "$(dirname "$0")/../.." && pwd)
venv="$root/target/clients-venv"
node="$root/target/clients-node"
consul="$root/target/clients-consul"

say() { echo "tests/clients/install.sh: $*" >&2; }

# Two test runs at once wait for each other.
mkdir -p "$root/target"
exec 9>"$root/target/clients-install.lock"
flock 9

apt_packages=""
need() { # COMMAND PACKAGE
    command -v "$1" >/dev/null 2>&1 || [ -x "/usr/sbin/$1" ] || apt_packages="$apt_packages $2"
}
need nginx nginx-light
need haproxy haproxy
need curl curl
need chromium chromium
need promtool prometheus
need wrk wrk
need openssl openssl
need etcd etcd-server
need etcdctl etcd-client
need node nodejs
need npm npm
need python3 python3
python3 -c 'import venv, ensurepip' >/dev/null 2>&1 || apt_packages="$apt_packages python3-venv"

if [ -n "$apt_packages" ]; then
    as_root=""
    [ "$(id -u)" = 0 ] || as_root="sudo -n"
    # Packages start their servers when they are installed, which nobody wants here.
    if [ ! -e /usr/sbin/policy-rc.d ]; then
        printf '#!/bin/sh\nexit 101\n' | $as_root tee /usr/sbin/policy-rc.d >/dev/null
        $as_root chmod +x /usr/sbin/policy-rc.d
        trap '$as_root rm -f /usr/sbin/policy-rc.d' EXIT
    fi
    say "apt-get install$apt_packages"
    install="$as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends"
    # shellcheck disable=SC2086 # the lists are lists
    $install $apt_packages >&2 || { $as_root apt-get update -q >&2 && $install $apt_packages >&2; }
fi

install_python() {
    [ "$(cat "$venv/stamp" 2>/dev/null || true)" != "$python_packages" ] || return 0
    say "pip install $python_packages"
    rm -rf "$venv"
    python3 -m venv "$venv"
    # shellcheck disable=SC2086
    "$venv/bin/pip" install -q --disable-pip-version-check $python_packages >&2
    echo "$python_packages" >"$venv/stamp"
}

install_node() {
    [ "$(cat "$node/stamp" 2>/dev/null || true)" != "$node_packages" ] || return 0
    say "npm install $node_packages"
    rm -rf "$node"
    mkdir -p "$node"
    echo '{"private":true,"type":"module"}' >"$node/package.json"
    # shellcheck disable=SC2086
    (cd "$node" && npm install --silent --no-audit --no-fund --ignore-scripts $node_packages >&2)
    echo "$node_packages" >"$node/stamp"
}

# Nothing of it becomes part of the system: apt has lists and packages of its own for it.
install_consul() {
    [ "$(cat "$consul/stamp" 2>/dev/null || true)" != "$consul_package" ] || return 0
    say "apt-get download $consul_package"
    rm -rf "$consul"
    mkdir -p "$consul/apt/lists/partial" "$consul/apt/cache/archives/partial" "$consul/apt/parts"
    echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $consul_suite" >"$consul/apt/sources.list"
    cat >"$consul/apt/apt.conf" <<EOF
Dir::Etc::SourceList "$consul/apt/sources.list";
Dir::Etc::SourceParts "$consul/apt/parts";
Dir::State::Lists "$consul/apt/lists";
Dir::Cache "$consul/apt/cache";
Acquire::Languages "none";
Acquire::IndexTargets::deb::DEP-11::DefaultEnabled "false";
APT::Sandbox::User "$(id -un)";
EOF
    (
        cd "$consul/apt"
        export APT_CONFIG="$consul/apt/apt.conf"
        apt-get update -q >&2
        apt-get download -q "$consul_package" >&2
        if [ "$(dpkg --print-architecture)" = amd64 ]; then
            echo "$consul_amd64 " ./consul_*.deb | sha256sum -c --quiet >&2
        fi
        dpkg -x ./consul_*.deb .
    )
    mv "$consul/apt/usr/bin/consul" "$consul/consul"
    rm -rf "$consul/apt"
    echo "$consul_package" >"$consul/stamp"
}

# All wait for their registries most of the time. (`set -e` does not reach into a function that is asked for its
# status, so each is a shell of its own.)
(install_node) &
node_installing=$!
(install_consul) &
consul_installing=$!
(install_python)
wait "$node_installing"
wait "$consul_installing"
