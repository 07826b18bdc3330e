
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
    # A node always asks for both ways of copying. It was the small one if what it "installed" is where it stood before.
    way=$(log_since "$since" | sed -n 's/.*IST uuid:[-0-9a-f]* f: \([0-9]*\),.*/from \1/p; s/.*Installed new state from SST: [-0-9a-f]*:\([0-9]*\).*/at \1/p' |
        awk '$1 == "from" { from = $2 } $1 == "at" { at = $2; seen = 1 } END { if (seen) print (from > 0 && at == from - 1) ? "IST" : "SST" }')
    [ -z "$way" ] || fact by "$way"
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
