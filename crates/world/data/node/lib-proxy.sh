
# HAProxy's runtime socket.
socket=$(sed -n 's/^[[:space:]]*stats[[:space:]]\{1,\}socket[[:space:]]\{1,\}\([^[:space:]]*\).*/\1/p' /etc/haproxy/haproxy.cfg 2> /dev/null | sed -n 1p)
socket=${socket#unix@}
socket=${socket:-/run/haproxy/admin.sock}

ask() { printf '%s\n' "$1" | socat -t 5 - "UNIX-CONNECT:$socket"; }

# An order; HAProxy answers with an empty line when it did it.
order() {
    reply=$(ask "$1") || refuse "HAProxy does not answer at $socket" 'see: systemctl status haproxy'
    [ -z "$reply" ] || refuse "HAProxy refused \`$1\`: $reply"
}

# Reads the backend: `found`, `health` (2 is up), `admin` (0 is ready), `others` that take requests, `checked` (whether
# it has health checks at all).
look() {
    reply=$(ask "show servers state $backend") || return 1
    set -- "$(printf '%s\n' "$reply" | awk -v server="$server" '
        $1 ~ /^[0-9]+$/ && NF > 8 {
            if ($4 == server) { found = 1; health = $6; admin = $7; checked = int($14 / 2) % 2 }
            else if (($6 == 1 || $6 == 2) && $7 == 0) others++
        }
        END { print found + 0, health + 0, admin + 0, others + 0, checked + 0 }')"
    # shellcheck disable=SC2086
    set -- $1
    found=$1 health=$2 admin=$3 others=$4 checked=$5
}

# Reads `sessions` and what the last health check said.
count() {
    reply=$(ask 'show stat') || return 1
    set -- "$(printf '%s\n' "$reply" | awk -F , -v backend="$backend" -v server="$server" '
        NR == 1 { sub(/^# */, ""); for (i = 1; i <= NF; i++) at[$i] = i }
        $1 == backend && $2 == server { print $at["scur"] + 0, $at["status"], $at["check_status"], $at["check_code"] }')"
    # shellcheck disable=SC2086
    set -- $1
    sessions=${1:-0} check="${2-} ${3-} ${4-}"
}

# 1, 2, 4, 32, 64 are kinds of maintenance, 8 and 16 of drain.
is_maint() { [ $((admin & 103)) -ne 0 ]; }
