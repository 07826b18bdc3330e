# Debug logging of one service, for a while. What takes it back is written to disk, enabled and due before anything is
# changed: a timer of the node's own, which survives a restart of the node and needs nobody.
set -u
PATH=${TRIED_PATH:-/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin}
LC_ALL=C
export PATH LC_ALL
# Where it is kept; other places only in tests.
state=${TRIED_ROOT:-}/var/lib/ostler/debug
units=${TRIED_ROOT:-}/etc/systemd/system
stamps=${TRIED_ROOT:-}/var/lib/systemd/timers
processes=${TRIED_ROOT:-}/proc

refuse() {
    printf 'refused\t%s\t%s\n' "$1" "$2"
}

# The file that the service reads last: what stands there counts.
last_file() {
    pid=$1 project=$2
    found=$(tr '\0' '\n' < "$processes/$pid/cmdline" | awk '
        expected { file = $0; expected = 0; next }
        $0 == "--config-file" { expected = 1; next }
        sub(/^--config-file=/, "") { file = $0 }
        END { print file }')
    printf '%s\n' "${found:-${TRIED_ROOT:-}/etc/$project/$project.conf}"
}

# UNIT SECONDS WHO WAY(signal|restart)
on() {
    unit=$1 seconds=$2 who=$3 way=$4
    lease="$state/$unit.lease"
    if [ -e "$lease" ]; then
        refuse lease "it is on already until $(sed -n 's/^until=//p' "$lease")"
        return
    fi
    pid=$(systemctl show -p MainPID --value "$unit.service" 2> /dev/null)
    if [ "${pid:-0}" -eq 0 ] 2> /dev/null || [ -z "$pid" ]; then
        refuse down "$unit does not run here"
        return
    fi
    project=${unit#openstack-} project=${project%%-*}
    file=$(last_file "$pid" "$project")
    if [ ! -f "$file" ]; then
        refuse file "the configuration of $unit was not found at $file"
        return
    fi
    file=$(readlink -f "$file")
    until=$(date -u -d "+$seconds seconds" '+%Y-%m-%d %H:%M:%S UTC')
    if [ "$way" = signal ]; then
        tell="systemctl kill -s HUP --kill-who=main $unit.service"
    else
        tell="systemctl try-restart $unit.service"
    fi
    # A file that is as it was is not newer than the process that has read it.
    sum=$(cksum < "$file") was=$(stat -c %Y "$file")
    mkdir -p "$state" && chmod 700 "$state" || return 1
    # The way back first.
    cat > "$state/$unit.sh" << UNDO
#!/bin/sh
# Takes debug logging of $unit back, $until at the latest. Written by ostler for $who.
sed -i --follow-symlinks '/^# >>> ostler debug/,/^# <<< ostler debug/d' '$file' || exit 1
[ "\$(cksum < '$file')" != '$sum' ] || touch -d '@$was' '$file'
$tell
rm -f '$lease' '$units/timers.target.wants/ostler-debug-$unit.timer' '$units/ostler-debug-$unit.timer' '$units/ostler-debug-$unit.service' '$stamps/stamp-ostler-debug-$unit.timer'
systemctl daemon-reload
systemctl stop --no-block 'ostler-debug-$unit.timer' 2> /dev/null
rm -f '$state/$unit.sh'
UNDO
    cat > "$units/ostler-debug-$unit.service" << UNIT
[Unit]
Description=Takes debug logging of $unit back
[Service]
Type=oneshot
ExecStart=/bin/sh $state/$unit.sh
UNIT
    cat > "$units/ostler-debug-$unit.timer" << UNIT
[Unit]
Description=The end of debug logging of $unit
[Timer]
OnCalendar=$until
AccuracySec=1s
Persistent=true
[Install]
WantedBy=timers.target
UNIT
    printf 'unit=%s\nfile=%s\nuntil=%s\nwho=%s\nway=%s\n' "$unit" "$file" "$until" "$who" "$way" > "$lease"
    sync "$lease" "$state/$unit.sh" 2> /dev/null
    if ! said=$(systemctl daemon-reload 2>&1 && systemctl enable --now "ostler-debug-$unit.timer" 2>&1); then
        rm -f "$lease" "$state/$unit.sh" "$units/ostler-debug-$unit.timer" "$units/ostler-debug-$unit.service"
        systemctl daemon-reload
        refuse timer "the timer that takes it back cannot be started: $(printf '%s' "$said" | tr '\n\t' '  ')"
        return
    fi
    # The last mention of an option counts, and a section may be there twice.
    last=$(tail -c 1 "$file" | wc -l)
    {
        [ "$last" -eq 1 ] || printf '\n'
        printf '# >>> ostler debug, for %s, taken back by itself at %s\n[DEFAULT]\ndebug = true\n# <<< ostler debug\n' "$who" "$until"
    } >> "$file"
    $tell
    sleep "${TRIED_PAUSE:-3}"
    now=$(systemctl show -p MainPID --value "$unit.service")
    if ! systemctl -q is-active "$unit.service"; then
        systemctl start "ostler-debug-$unit.service"
        refuse ended "$unit ended when it was told; debug logging was taken back"
        return
    fi
    stayed=false
    [ "$now" = "$pid" ] && stayed=true
    show "$lease" "stayed?=$stayed"
}

# LEASE [COLUMN]
show() {
    printf 'row\tdebug'
    while IFS= read -r line; do printf '\t%s' "$line"; done < "$1"
    printf '\t%s\n' "${2:-}"
}

# UNIT
off() {
    unit=$1
    if [ ! -e "$state/$unit.lease" ]; then
        refuse none "debug logging of $unit is not on by a lease of ostler"
        return
    fi
    show "$state/$unit.lease"
    systemctl start "ostler-debug-$unit.service" || refuse undo "it could not be taken back: see journalctl -u ostler-debug-$unit.service"
}

status() {
    for lease in "$state"/*.lease; do
        [ -e "$lease" ] && show "$lease"
    done
    return 0
}

debug() {
    printf 'ostler\t1\n'
    word=$1
    shift
    "$word" "$@"
    printf 'end\t1\n'
}
