
# Stops units and sees that nothing of them is left.
effect() {
    # shellcheck disable=SC2086
    systemctl stop $units
}

probe() {
    for unit in $units; do
        active=$(systemctl show "$unit" -p ActiveState --value)
        case $active in
        inactive | failed) ;;
        '') unsure "systemd does not say how $unit is" ;;
        *) absent "$unit is $active" "see: systemctl status $unit" ;;
        esac
    done
    holds
}
