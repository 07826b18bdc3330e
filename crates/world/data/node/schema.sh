
# Runs one phase of a schema change as a supported command, and proves it by the heads.
effect() {
    read_heads || refuse "the heads of $database cannot be read: $said" 'see: systemctl status mariadb'
    if [ "$heads" = "$after" ]; then
        fact ran "nothing: the heads were $heads already"
        return
    fi
    if [ "$heads" != "$before" ]; then
        refuse "$database has heads ${heads:-none} where ${before:-none} were planned; nothing was run" 'plan again from what is there'
    fi
    : > "$place/ran"
    sync "$place/ran" "$place"
    setpriv --reuid="$user" --regid="$(id -g "$user")" --init-groups --inh-caps=-all --reset-env -- "$@"
}

probe() {
    read_heads || unsure "the heads of $database cannot be read: $said" 'bring the database on this node back, then ask again'
    if [ "$heads" = "$after" ]; then
        fact heads "$heads"
        [ "${code:-0}" = 0 ] || fact command-exit "$code"
        holds
    fi
    busy=$(sql "select count(*) from information_schema.processlist where command = 'Query' and db = '$database' and info regexp '^[[:space:]]*(alter|create|drop)[[:space:]]'") || busy=0
    if [ "$busy" -gt 0 ]; then unsure "the database still works on a change of $database" 'see: mariadb -e "show full processlist"'; fi
    if [ "$heads" = "$before" ] && [ "$code" != 0 ]; then absent "the heads of $database are still ${heads:-none}"; fi
    if [ ! -e "$place/ran" ]; then absent "the heads of $database are ${heads:-none}, and this attempt ran nothing"; fi
    if [ "$code" = 0 ]; then
        absent "the command said that it succeeded, but the heads of $database are ${heads:-none} and not $after" \
            'the installed package does not hold the migrations that the catalogue expects'
    fi
    unsure "the schema of $database is half-way: its heads are ${heads:-none}, neither ${before:-none} nor $after" \
        "read the log of the step, then finish by running on this node: $*; or restore the database from the backup"
}
