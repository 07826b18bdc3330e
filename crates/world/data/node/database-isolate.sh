
# Takes this node out of the database cluster with its data as they are.
effect() {
    if ! is_stopped; then
        is_member || refuse 'the database on this node is not a synced member of the cluster' 'bring the cluster in order first'
        fact cached-downto "$(wsrep local_cached_downto)"
    fi
    hold_back
    systemctl stop mariadb.service
}

probe() {
    is_stopped || absent 'the database on this node still runs'
    seqno=$(grastate seqno)
    fact uuid "$(grastate uuid)"
    fact seqno "$seqno"
    if [ "${seqno:--1}" -lt 0 ]; then
        absent 'the database on this node did not stop cleanly: its position is not known' \
            'start it again and let it sync before another attempt'
    fi
    holds
}
