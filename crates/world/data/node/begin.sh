# Starts one attempt of a step as a transient unit, at most once. The step's script comes on standard input.
# Arguments: prefix of the step's units, unit, the attempt's directory, its log, its limit in seconds, --,
# then the arguments of the script, each `$` doubled because systemd expands variables in them.
set -u
PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
LC_ALL=C
export PATH LC_ALL
umask 077

refused() {
    printf 'refused\t%s\nhint\t%s\n' "$(printf '%s' "$1" | tr '\n\t' '  ')" "${2-}"
    exit 0
}

# Looks at all units of ours: `finished`, and `running` if that is an attempt of this very step.
look_around() {
    finished='' running='' installing=''
    unit_id='' unit_active='' unit_sub=''
    states=$(systemctl show 'ostler-*.service' -p Id -p ActiveState -p SubState 2> /dev/null)
    while IFS= read -r line; do
        case $line in
        Id=*) unit_id=${line#*=} ;;
        ActiveState=*) unit_active=${line#*=} ;;
        SubState=*) unit_sub=${line#*=} ;;
        esac
        case $line in '') ;; *) continue ;; esac
        take
    done <<END
$states

END
    policy=/usr/sbin/policy-rc.d
    if [ -z "$installing" ] && [ -e "$policy" ] && grep -q '^# ostler: no service starts' "$policy"; then
        if [ -e "$policy.ostler-kept" ]; then mv -f "$policy.ostler-kept" "$policy"; else rm -f "$policy"; fi
    fi
}
take() {
    [ -n "$unit_id" ] || return 0
    case $unit_active/$unit_sub in
    active/exited | failed/*)
        finished="$finished $unit_id"
        ;;
    active/* | activating/* | deactivating/*)
        installing=perhaps
        # Another step's name may begin with this one's: only a bare number behind it is an attempt of this step.
        attempt=${unit_id#"$prefix"}
        attempt=${attempt%.service}
        case $attempt in '' | *[!0-9]*) ;; *) running=$unit_id ;; esac
        ;;
    esac
    unit_id='' unit_active='' unit_sub=''
}

# What came of finished units is in their result files; without this they would pile up until a reboot. Nobody waits.
tidy() {
    # shellcheck disable=SC2086
    [ -z "$finished" ] || {
        systemctl stop --no-block $finished
        systemctl reset-failed $finished
    } < /dev/null > /dev/null 2>&1 &
}

begin() {
    prefix=$1 unit=$2 place=$3 log=$4 limit=$5
    shift 6
    printf 'ostler\t1\n'
    command -v systemd-run > /dev/null || refused 'this node has no systemd-run' 'ostler needs nodes that run systemd'
    mkdir -p "$place" "${log%/*}" || refused "$place and ${log%/*} cannot be made" 'see to the file system of /var'
    exec 9> "$place/lock" && flock -w 10 9 || refused "another ostler holds $place/lock" 'try again'
    if [ -e "$place/begun" ]; then
        printf 'started\n'
        exit 0
    fi
    [ ! -e "$place/closed" ] || refused 'this attempt was given up before it was started' 'make another attempt'
    look_around
    [ -z "$running" ] || refused "an earlier attempt is still running as $running" "wait for it, or stop it with: systemctl stop $running"
    cat > "$place/script" && cat /proc/sys/kernel/random/boot_id > "$place/begun" || {
        rm -f "$place/begun"
        refused "$place cannot be written" 'see to the free space of /var'
    }
    # What serves on this node goes before what changes it. What the step starts by systemd is not slowed by this.
    if ! said=$(systemd-run --quiet --no-ask-password --unit="$unit" --description="ostler: $unit" \
        --property=Type=exec --property=RemainAfterExit=yes --property=RuntimeMaxSec="$limit" \
        --property=TimeoutStopSec=20 --property=Nice=10 --property=IOSchedulingPriority=7 \
        --property=WorkingDirectory=/ --property=StandardInput=null \
        --property=StandardOutput="append:$log" --property=StandardError="append:$log" \
        /bin/sh "$place/script" "$@" 2>&1 9>&-); then
        case $(systemctl show "$unit" -p LoadState 2> /dev/null) in
        LoadState=loaded) ;;
        LoadState=not-found)
            rm -f "$place/begun"
            : > "$place/closed"
            refused "systemd did not start $unit: $said"
            ;;
        # Whether it runs cannot be told: whoever settles the step finds out.
        *) ;;
        esac
    fi
    printf 'started\n'
    tidy 9>&-
}
