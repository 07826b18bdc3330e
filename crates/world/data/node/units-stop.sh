
# Stops units and sees that nothing of them is left.
effect() {
    # shellcheck disable=SC2086
    systemctl stop $units
}

probe() {
    for unit in $units; do
        active=$(systemctl show "$unit" -p ActiveState --value)
        waits=$(systemctl show "$unit" -p Job --value)
        case $active in
        inactive | failed)
            # While a node starts, what it starts at boot waits for its turn.
            if [ "${waits:-0}" != 0 ]; then unsure "$unit is $active, but systemd is about to change that"; fi
            ;;
        '') unsure "systemd does not say how $unit is" ;;
        *) absent "$unit is $active" "see: systemctl status $unit" ;;
        esac
    done
    holds
}
