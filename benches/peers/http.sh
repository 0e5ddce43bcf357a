#!/usr/bin/env bash
# CPU time of a request of the example `http`, beside nginx: a Markdown table. Not in .ci/run.
#
#     bash benches/peers/http.sh [ROUNDS] [SECONDS]
#
# Installs nothing; needs nginx and wrk (Debian: apt-get install --no-install-recommends
# nginx-light wrk; and `systemctl disable --now nginx`, if it was started), and two CPUs: servers
# run on the first, wrk on the second.
#
# The servers take turns, each for SECONDS (1) with each load, ROUNDS (5) times. What counts is the
# CPU time of the server's processes and of their threads, user and system, divided by the requests
# that wrk has counted. Others on the machine disturb it less than they do wall time. Both have one
# process that serves. nginx has its usual settings for files: sendfile, no log, once with and once
# without its cache of open files.
set -euo pipefail
cd "$(dirname "$0")/../.."
. ci/lib.sh
rounds=${1:-5} seconds=${2:-1}
for program in nginx wrk; do
    command -v "$program" > /dev/null || fail "$program is missing: see the head of this script"
done
cargo build --release --example http
http=${CARGO_TARGET_DIR:-target}/release/examples/http

scratch=$(mktemp -d)
declare -A pid address
stop() {
    for server in "${!pid[@]}"; do kill "${pid[$server]}" 2> /dev/null || true; done
    wait
    rm -rf "$scratch"
}
trap stop EXIT
mkdir "$scratch/root"
for size in 1024 16384 1048576; do
    head -c "$size" /dev/urandom > "$scratch/root/$size.bin"
done
# nginx drops its privileges, and is to read the files.
chmod -R a+rX "$scratch"

# Starts the example as the server NAME with the options given.
start_http() {
    local name=$1
    shift
    taskset -c 0 "$http" "$@" "$scratch/root" > "$scratch/$name.out" &
    pid[$name]=$!
    until [ -s "$scratch/$name.out" ]; do sleep 0.05; done
    address[$name]=$(sed 's/^listening on //' "$scratch/$name.out")
}

# Starts nginx as the server NAME on PORT, with a line of settings.
start_nginx() {
    local name=$1 port=$2
    cat > "$scratch/$name.conf" << CONF
worker_processes 1;
daemon off;
pid $scratch/$name.pid;
error_log $scratch/$name.log;
events { worker_connections 4096; }
http {
    access_log off; sendfile on; tcp_nopush on; keepalive_requests 1000000000; $3
    server { listen 127.0.0.1:$port; root $scratch/root; }
}
CONF
    taskset -c 0 nginx -c "$scratch/$name.conf" &
    pid[$name]=$!
    address[$name]=127.0.0.1:$port
    until [ -s "$scratch/$name.pid" ]; do sleep 0.05; done
}

# CPU time of the server NAME and its children so far, in ticks of a 100th of a second.
ticks() {
    local process sum=0
    for process in "${pid[$1]}" $(pgrep -P "${pid[$1]}"); do
        # After the name, which may have spaces: fields 14 and 15.
        set -- $(sed 's/.*) //' "/proc/$process/stat")
        sum=$((sum + ${12} + ${13}))
    done
    echo "$sum"
}

start_nginx nginx 18980 ""
start_nginx nginx-cache 18981 "open_file_cache max=1000 inactive=60s;"
start_http kept
start_http reopen --reopen
sleep 0.5

servers="nginx nginx-cache kept reopen"
loads="1024/32 16384/256 1048576/32"
for round in $(seq "$rounds"); do
    for load in $loads; do
        for server in $servers; do
            before=$(ticks "$server")
            taskset -c 1 wrk -t 1 -c "${load#*/}" -d "${seconds}s" \
                "http://${address[$server]}/${load%/*}.bin" > "$scratch/wrk"
            after=$(ticks "$server")
            ! grep -E 'Non-2xx|Socket errors' "$scratch/wrk" >&2 || fail "$server failed"
            requests=$(awk '/requests in/ { print $1 }' "$scratch/wrk")
            [ "$requests" -gt 0 ] || fail "$server has answered nothing in time"
            echo "$load $server $round $(((after - before) * 10000)) $requests"
        done
    done
done > "$scratch/figures"

# Microseconds, the median and the spread of the rounds; ratios within a round.
awk -v servers="$servers" -v loads="$loads" '
    { cpu[$1, $2, $3] = $4 / $5; if ($3 > rounds) rounds = $3 }
    # The median of values, and sorted.
    function median(values, count,    i, j, value) {
        for (i = 2; i <= count; i++) {
            value = values[i]
            for (j = i - 1; j > 0 && values[j] > value; j--) values[j + 1] = values[j]
            values[j + 1] = value
        }
        least = values[1]; most = values[count]
        return (values[int((count + 1) / 2)] + values[int(count / 2) + 1]) / 2
    }
    END {
        print "| bytes / connections | server | µs of CPU for a request | of nginx |"
        print "|---|---|---|---|"
        count = split(servers, server, " "); of = split(loads, load, " ")
        for (l = 1; l <= of; l++) for (s = 1; s <= count; s++) {
            for (r = 1; r <= rounds; r++) {
                time[r] = cpu[load[l], server[s], r]
                ratio[r] = time[r] / cpu[load[l], "nginx", r]
            }
            middle = median(time, rounds)
            printf "| %s | %s | %.1f (%.1f to %.1f) | ", load[l], server[s], middle, least, most
            middle = median(ratio, rounds)
            printf "%.2f (%.2f to %.2f) |\n", middle, least, most
        }
    }' "$scratch/figures"
