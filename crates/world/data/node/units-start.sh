
# Starts units and waits until they are active. A unit that runs since before its package was unpacked runs the old
# code: a node that restarts in the middle of a change starts by itself what was to be down.
unpacked() {
    newest=0
    for package in $packages; do
        for there in "/var/lib/dpkg/info/$package.list" "/var/lib/dpkg/info/$package:"*.list; do
            [ -e "$there" ] || continue
            when=$(stat -c %Y "$there")
            [ "$when" -le "$newest" ] || newest=$when
        done
    done
    echo "$newest"
}

is_old() {
    [ "$(systemctl show "$1" -p ActiveState --value)" = active ] || return 1
    started=$(date -d "$(TZ=UTC systemctl show "$1" -p ExecMainStartTimestamp --value)" +%s 2> /dev/null) || return 1
    [ "$started" -lt "$(unpacked)" ]
}

effect() {
    # shellcheck disable=SC2086
    systemctl reset-failed $units 2> /dev/null || true
    for unit in $units; do
        verb=start
        if is_old "$unit"; then verb=restart; fi
        systemctl "$verb" "$unit" || {
            journalctl --unit="$unit" --lines=15 --output=cat --no-pager
            refuse "$unit does not start" "see: journalctl -u $unit"
        }
    done
}

probe() {
    for unit in $units; do
        active=$(systemctl show "$unit" -p ActiveState --value)
        case $active in
        active) if is_old "$unit"; then absent "$unit runs the code of before its package changed"; fi ;;
        '') unsure "systemd does not say how $unit is" ;;
        *) absent "$unit is $active" "see: journalctl -u $unit" ;;
        esac
    done
    holds
}
