
# Makes this stopped node the first member of a new cluster with the data it has.
effect() {
    if is_member; then return; fi
    is_stopped || refuse 'the database on this node runs, but is no member of a cluster' 'stop it first'
    [ -e "$datadir/grastate.dat" ] || refuse "there is no $datadir/grastate.dat: this node has no data to begin with" 'choose the node that was isolated'
    seqno=$(grastate seqno)
    [ "${seqno:--1}" -ge 0 ] || refuse 'this node did not stop cleanly: its position is not known' 'see: galera_recovery, then choose the node with the newest data'
    fact seqno "$seqno"
    sed -i 's/^safe_to_bootstrap:.*/safe_to_bootstrap: 1/' "$datadir/grastate.dat"
    sync "$datadir/grastate.dat"
    let_go
    systemctl reset-failed mariadb.service 2> /dev/null || true
    if ! galera_new_cluster; then
        journalctl --unit=mariadb.service --lines=20 --output=cat --no-pager
        refuse 'the database on this node does not start' 'see: journalctl -u mariadb'
    fi
    tries=$((patience_s * 10))
    until is_member || [ "$tries" -le 0 ]; do
        tries=$((tries - 1))
        sleep 0.1
    done
}

probe() {
    is_stopped && absent 'the database on this node does not run' 'see: journalctl -u mariadb'
    is_member || absent "the database on this node is not synced: it is $(wsrep local_state_comment 2> /dev/null || echo silent)" 'see: journalctl -u mariadb'
    fact cluster "$(wsrep cluster_state_uuid)"
    fact cluster-size "$(wsrep cluster_size)"
    holds
}
