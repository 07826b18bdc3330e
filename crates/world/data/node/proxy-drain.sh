
# Takes a server out of this load balancer: first no new requests, then out of service when the running ones have ended.
effect() {
    look || refuse "HAProxy does not answer at $socket" 'see: systemctl status haproxy'
    [ "$found" = 1 ] || refuse "HAProxy has no server $backend/$server" 'see haproxy.cfg on this node'
    if [ "$last" != yes ] && [ "$others" = 0 ]; then
        refuse "no other server of $backend takes requests here: $server is the last one" 'bring another server into service first'
    fi
    if is_maint; then return; fi
    order "set server $backend/$server state drain"
    until_s=$(($(date +%s) + patience_s))
    count
    while [ "$sessions" -gt 0 ] && [ "$(date +%s)" -lt "$until_s" ]; do
        sleep 0.05
        count
    done
    # From here on no health checks either: a server that is being changed is not ill.
    order "set server $backend/$server state maint"
    if [ "$sessions" -gt 0 ]; then order "shutdown sessions server $backend/$server"; fi
    fact sessions-cut "$sessions"
    tries=40
    while [ "$sessions" -gt 0 ] && [ "$tries" -gt 0 ]; do
        sleep 0.05
        tries=$((tries - 1))
        count
    done
}

probe() {
    look || unsure "HAProxy does not answer at $socket" 'see: systemctl status haproxy'
    [ "$found" = 1 ] || absent "HAProxy has no server $backend/$server" 'see haproxy.cfg on this node'
    if is_maint; then
        count
        if [ "$sessions" -gt 0 ]; then absent "$backend/$server is out of service, but still has $sessions sessions"; fi
        holds
    fi
    if [ "$admin" -ne 0 ]; then absent "$backend/$server drains, but is still in service for running sessions"; fi
    absent "$backend/$server is in service"
}
