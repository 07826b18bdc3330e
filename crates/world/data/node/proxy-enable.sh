
# Puts a server back into this load balancer and waits until it has passed a real health check.
effect() {
    look || refuse "HAProxy does not answer at $socket" 'see: systemctl status haproxy'
    [ "$found" = 1 ] || refuse "HAProxy has no server $backend/$server" 'see haproxy.cfg on this node'
    order "set server $backend/$server state ready"
    until_s=$(($(date +%s) + patience_s))
    look
    while [ "$health" != 2 ] && [ "$(date +%s)" -lt "$until_s" ]; do
        sleep 0.05
        look
    done
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
