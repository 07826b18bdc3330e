
# Runs a service's own checking command. What its answer means is read elsewhere.
effect() {
    answer=0
    timeout "$patience_s" setpriv --reuid="$user" --regid="$(id -g "$user")" --init-groups --inh-caps=-all --reset-env -- "$@" || answer=$?
    fact exit "$answer"
}

probe() {
    [ "$code" = 0 ] || absent 'it was interrupted before it answered' 'it only looks: run it again'
    holds
}
