
# Stops the database on a node that is to be given up.
effect() {
    hold_back
    systemctl stop mariadb.service
}

probe() {
    is_stopped || absent 'the database on this node still runs'
    fact uuid "$(grastate uuid)"
    fact seqno "$(grastate seqno)"
    holds
}
