# shellcheck shell=sh disable=SC2034,SC2154
# Shared by the scripts of this directory: where caches are, how progress is shown. Read with `.`.

: "${HOME:=/root}"
export HOME
cache=${NORTHGATE_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/northgate-edge}
root=$(cd "$tools/../.." && pwd -P)

say() {
    printf '%s\n' "$*" >&2
}

die() {
    say "${0##*/}: $*"
    exit 1
}

# Twelve hexadecimal digits that stand for what is on standard input.
key() {
    sha256sum | cut -c1-12
}

# Waits for the lock NAME in the cache and keeps it until this shell ends (the children too: an
# orphaned build must end before the next one starts).
lock() {
    mkdir -p "$cache"
    exec 9>"$cache/.lock-$1"
    flock -n 9 || { say "waiting for another run that builds $1"; flock 9; }
}

# progress WHAT LOG COMMAND...: runs COMMAND without standard input and its output in LOG, says
# every ten seconds how far it is, and shows the end of LOG when it fails.
progress() {
    what=$1 log=$2 ticks=0
    shift 2
    say "$what ..."
    started=$(date +%s)
    "$@" >"$log" 2>&1 </dev/null &
    job=$!
    trap 'kill "$job" 2>/dev/null; exit 130' INT TERM HUP
    while kill -0 "$job" 2>/dev/null; do
        sleep 0.2
        ticks=$((ticks + 1))
        [ $((ticks % 50)) -ne 0 ] ||
            say "  $(($(date +%s) - started)) s: $(tail -n 1 "$log" | tr '\r' '\n' | tail -n 1 | cut -c1-100)"
    done
    trap - INT TERM HUP
    if wait "$job"; then
        say "$what: done in $(($(date +%s) - started)) s"
    else
        tail -n 30 "$log" >&2
        die "$what failed; the whole output is in $log"
    fi
}
