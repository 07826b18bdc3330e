
# Puts a server back into this load balancer and waits until it has passed a real health check.
effect() {
    look || refuse "HAProxy does not answer at $socket" 'see: systemctl status haproxy'
    [ "$found" = 1 ] || refuse "HAProxy has no server $backend/$server" 'see haproxy.cfg on this node'
    if [ "$admin" -eq 0 ] && [ "$health" = 2 ]; then return; fi
    if [ "$checked" = 1 ]; then
        # HAProxy takes a server for well that leaves maintenance, until a check fails. Clients must not be the check: it
        # stays drained and counts as down until a real check has passed.
        order "set server $backend/$server state drain"
        order "set server $backend/$server health down"
        until_s=$(($(date +%s) + patience_s))
        look
        while [ "$health" != 2 ]; do
            if [ "$(date +%s)" -ge "$until_s" ]; then
                count
                refuse "$backend/$server stays drained: its health check does not pass ($check)" "see the service on $server"
            fi
            sleep 0.05
            look
        done
    fi
    order "set server $backend/$server state ready"
}

probe() {
    look || unsure "HAProxy does not answer at $socket" 'see: systemctl status haproxy'
    [ "$found" = 1 ] || absent "HAProxy has no server $backend/$server" 'see haproxy.cfg on this node'
    if is_maint; then absent "$backend/$server is in maintenance"; fi
    [ "$admin" -eq 0 ] || absent "$backend/$server is drained"
    if [ "$health" != 2 ]; then
        count
        absent "$backend/$server is ordered ready, but its health check fails: $check" "see the service on $server"
    fi
    holds
}
