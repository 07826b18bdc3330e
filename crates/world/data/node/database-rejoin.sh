
# Starts the database on this node and waits until it is a synced member of the cluster.
log_since() { journalctl --unit=mariadb.service --since="@$1" --output=cat --no-pager; }

effect() {
    let_go
    since=$(date +%s)
    systemctl reset-failed mariadb.service 2> /dev/null || true
    if ! systemctl start mariadb.service; then
        log_since "$since" | tail -n 20
        refuse 'the database on this node does not start' 'see: journalctl -u mariadb'
    fi
    until is_member; do
        [ "$(date +%s)" -lt $((since + patience_s)) ] || break
        sleep 0.1
    done
    case $(log_since "$since") in
    *'Receiving IST'* | *'IST received'*) fact by IST ;;
    *'SST '*) fact by SST ;;
    esac
}

probe() {
    is_stopped && absent 'the database on this node does not run' 'see: journalctl -u mariadb'
    is_member || absent "the database on this node is not synced: it is $(wsrep local_state_comment 2> /dev/null || echo silent)" 'see: journalctl -u mariadb'
    size=$(wsrep cluster_size)
    [ "$members" -le 1 ] || [ "$size" -gt 1 ] || absent 'the database on this node runs, but alone' 'it must not be written to: stop it, and see to the way to the other members'
    fact cluster-size "$size"
    fact cluster "$(wsrep cluster_state_uuid)"
    holds
}
