
# Starts units and waits until they are active.
effect() {
    # shellcheck disable=SC2086
    systemctl reset-failed $units 2> /dev/null || true
    for unit in $units; do
        systemctl start "$unit" || {
            journalctl --unit="$unit" --lines=15 --output=cat --no-pager
            refuse "$unit does not start" "see: journalctl -u $unit"
        }
    done
}

probe() {
    for unit in $units; do
        active=$(systemctl show "$unit" -p ActiveState --value)
        case $active in
        active) ;;
        '') unsure "systemd does not say how $unit is" ;;
        *) absent "$unit is $active" "see: journalctl -u $unit" ;;
        esac
    done
    holds
}
