#!/usr/bin/env bash
# What the host is and what it should be for Ringway. README.md in this folder says why.
#
#   host.sh           the differences between what is and what should be
#   host.sh check     every setting, with a verdict; exit 1 if something differs
#   host.sh apply     set what differs, and save what was (needs root; lasts until the next boot)
#   host.sh revert    set again what was saved
#
# apply may be run again and again: what was saved first stays saved. A key that is not there or cannot be written (in
# a container, most cannot) is named and left alone; that is no failure. No value is made smaller than it is.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
saved=/var/lib/ringway/host.saved
thp=/sys/kernel/mm/transparent_hugepage/enabled

# Every setting that can be set: name, file, wanted value, with | between them.
settings() {
    sed -n 's/^\([a-z][^ =]*\) *= *\(.*\)$/\1|\2/p' "$here/sysctl.conf" | while IFS='|' read -r name wanted; do
        printf '%s|/proc/sys/%s|%s\n' "$name" "${name//.//}" "$wanted"
    done
    printf 'transparent_hugepage|%s|madvise\n' "$thp"
    for governor in /sys/devices/system/cpu/cpu[0-9]*/cpufreq/scaling_governor; do
        if [ -e "$governor" ]; then
            name=${governor%/cpufreq/*}
            printf 'governor.%s|%s|performance\n' "${name##*/}" "$governor"
        fi
    done
}

# The value of a file in one line; of a choice like "always [madvise] never" the one in brackets.
value_of() {
    local text
    text=$(tr -s '\t ' ' ' <"$1" 2>/dev/null) || return 1
    case $text in
        *\[*\]*) text=${text#*[} && text=${text%%]*} ;;
    esac
    printf '%s' "$text"
}

# Whether a value is good: sizes may be larger than wanted, and the range of ports wider.
is_good() {
    local name=$1 is=$2 wanted=$3
    case $name in
        net.ipv4.ip_local_port_range)
            [ "${is% *}" -le "${wanted% *}" ] && [ "${is#* }" -ge "${wanted#* }" ]
            ;;
        *somaxconn | *_backlog | *nr_open | *_max) [ "$is" -ge "$wanted" ] ;;
        transparent_hugepage) [ "$is" = "$wanted" ] || [ "$is" = never ] ;;
        *) [ "$is" = "$wanted" ] ;;
    esac
}

row() {
    printf '%-38s %-16s %-16s %s\n' "$@"
}

# Prints every setting, or only those that differ; fails if one differs.
report() {
    local only_differences=$1 differ=0 name file wanted is verdict
    row setting is "should be" verdict
    while IFS='|' read -r name file wanted; do
        if ! is=$(value_of "$file") || [ -z "$is" ]; then
            is=- verdict="not on this host"
        elif is_good "$name" "$is" "$wanted"; then
            verdict=good
        else
            verdict=differs
            differ=$((differ + 1))
        fi
        if [ "$verdict" = differs ] || [ "$only_differences" = no ]; then
            row "$name" "$is" "$wanted" "$verdict"
        fi
    done < <(settings)
    facts "$only_differences" || differ=$((differ + 1))
    [ "$differ" -eq 0 ]
}

# What is a matter of who starts the process, or of the machine: looked at, never set here.
facts() {
    local only_differences=$1 good=0 files kernel verdict
    files=$(ulimit -Hn)
    verdict=good
    if [ "$files" != unlimited ] && [ "$files" -lt 65536 ]; then
        verdict="low: LimitNOFILE=, ulimit -n, or let the shards have their own tables"
        good=1
    fi
    if [ "$verdict" != good ] || [ "$only_differences" = no ]; then
        row "open files, hard limit" "$files" 65536 "$verdict"
    fi
    kernel=$(uname -r)
    verdict=good
    if [ "$(printf '6.1\n%s\n' "$kernel" | sort -V | head -n 1)" != 6.1 ]; then
        verdict="old: io_uring without DEFER_TASKRUN, or epoll"
        good=1
    fi
    if [ "$verdict" != good ] || [ "$only_differences" = no ]; then
        row kernel "${kernel:0:16}" "6.1 or later" "$verdict"
    fi
    return "$good"
}

needs_root() {
    if [ "$(id -u)" -ne 0 ]; then
        echo "host.sh: needs root" >&2
        exit 77
    fi
}

# Writes a value; says so if it cannot be written.
write() {
    local name=$1 file=$2 value=$3
    if { printf '%s\n' "$value" >"$file"; } 2>/dev/null && [ "$(value_of "$file")" = "$value" ]; then
        echo "$name = $value"
    else
        echo "$name cannot be written here: left as it is"
        return 1
    fi
}

apply() {
    needs_root
    local name file wanted is
    while IFS='|' read -r name file wanted; do
        if ! is=$(value_of "$file") || [ -z "$is" ]; then
            echo "$name is not on this host"
        elif ! is_good "$name" "$is" "$wanted"; then
            # Saved before it is written: an apply that is cut off can be reverted too.
            keep "$name" "$file" "$is"
            write "$name" "$file" "$wanted" || forget "$name" "$is"
        fi
    done < <(settings)
    if [ -s "$saved" ]; then
        echo "what was is saved in $saved; host.sh revert brings it back"
    fi
}

# Saves what was, unless something was saved before: that is what was.
keep() {
    mkdir -p "$(dirname "$saved")"
    if ! grep -qs "^$1|" "$saved"; then
        printf '%s|%s|%s\n' "$1" "$2" "$3" >>"$saved"
    fi
}

# Takes back what keep has just saved: nothing was changed.
forget() {
    local rest
    rest=$(grep -v "^$1|.*|$2\$" "$saved" || true)
    if [ -n "$rest" ]; then
        printf '%s\n' "$rest" >"$saved"
    else
        rm -f "$saved"
    fi
}

revert() {
    needs_root
    local name file was left=0
    if [ ! -s "$saved" ]; then
        echo "nothing was applied, so nothing is to be reverted"
        return
    fi
    while IFS='|' read -r name file was; do
        write "$name" "$file" "$was" || left=1
    done <"$saved"
    if [ "$left" -eq 0 ]; then
        rm -f "$saved"
    fi
}

case ${1:-differences} in
    differences) report yes || true ;;
    check) report no ;;
    apply) apply ;;
    revert) revert ;;
    *)
        echo "usage: host.sh [check | apply | revert]" >&2
        exit 64
        ;;
esac
