# Waits for one attempt of a step and says what is known of it. Changes nothing, except that an attempt that was
# never started can never be started after this. The step's script comes on standard input, for its probe.
# Arguments: unit, the attempt's directory, its log, seconds to wait, bytes of the log to show, --, the script's arguments.
set -u
PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
LC_ALL=C
export PATH LC_ALL
umask 077

show() {
    state=$(systemctl show "$unit" -p LoadState -p ActiveState -p SubState -p Result -p ExecMainCode -p ExecMainStatus -p MainPID)
    case $newline$state$newline in
    *"${newline}ActiveState=activating${newline}"* | *"${newline}ActiveState=deactivating${newline}"* | *"${newline}SubState=running${newline}"*) runs=yes ;;
    *) runs= ;;
    esac
    pid=${state#*MainPID=}
    pid=${pid%%"$newline"*}
}

settle() {
    unit=$1 place=$2 log=$3 wait_s=$4 log_bytes=$5
    shift 6
    newline='
'
    printf 'ostler\t1\n'
    mkdir -p "$place" || exit 74
    # Under the same lock as the start: an attempt is either begun or closed, never both.
    exec 9> "$place/lock" && flock -w 30 9 || exit 75
    if [ ! -e "$place/begun" ]; then : > "$place/closed" || exit 74; fi
    exec 9>&-

    until=$(($(date +%s) + wait_s))
    show
    while [ -n "$runs" ] && [ "$(date +%s)" -le "$until" ]; do
        if [ "${pid:-0}" -gt 0 ]; then
            timeout "$((until - $(date +%s) + 1))" tail --pid="$pid" --sleep-interval=0.03 -f /dev/null
        fi
        show
        [ -z "$runs" ] || sleep 0.03
    done

    printf 'boot\t%s\n' "$(cat /proc/sys/kernel/random/boot_id)"
    if [ -e "$place/begun" ]; then printf 'begun\t%s\n' "$(cat "$place/begun")"; fi
    printf '%s\n' "$state" | sed 's/^/unit\t/'
    if [ -e "$place/result" ]; then sed 's/^/recorded\t/' "$place/result"; fi
    if [ -n "$runs" ]; then
        printf 'runs\tyes\n'
    elif [ ! -e "$place/result" ] || [ "$(cat "$place/begun" 2> /dev/null)" != "$(cat /proc/sys/kernel/random/boot_id)" ]; then
        # No record, or one from before a restart: the world itself is asked, once it has come to rest.
        if [ -e "$place/begun" ] && [ "$(cat "$place/begun")" != "$(cat /proc/sys/kernel/random/boot_id)" ]; then
            timeout 60 systemctl is-system-running --wait > /dev/null 2>&1
        fi
        /bin/sh -s -- "$@" | sed 's/^/probed\t/'
    fi
    if [ -e "$log" ]; then tail -c "$log_bytes" "$log" | tr -d '\000\r' | sed 's/^/log\t/'; echo; fi
    printf 'end\t1\n'
}
