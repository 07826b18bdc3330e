#!/bin/sh
# How every step's script begins: it takes its values, and has the words to say what came of it.
# Arguments: NAME=VALUE for each value, then `--`, then a command's own argument list.
set -u
PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
LC_ALL=C
DEBIAN_FRONTEND=noninteractive
export PATH LC_ALL DEBIAN_FRONTEND
umask 077
while [ $# -gt 0 ] && [ "$1" != -- ]; do
    export "${1?}"
    shift
done
[ $# -eq 0 ] || shift

state=/var/lib/ostler/$run
newline='
'
tab=$(printf '\t')

one_line() { printf '%s' "$1" | tr '\n\t' '  '; }
fact() { printf 'fact\t%s\t%s\n' "$1" "$(one_line "$2")" >&3; }

# In `probe`: the state that the step wants is there, is not there, or cannot be told.
holds() {
    printf 'verdict\tdone\n' >&3
    exit 0
}
absent() {
    printf 'why\t%s\nhint\t%s\nverdict\tnot-done\n' "$(one_line "$1")" "$(one_line "${2-}")" >&3
    exit 0
}
unsure() {
    printf 'why\t%s\nhint\t%s\nverdict\tunknown\n' "$(one_line "$1")" "$(one_line "${2-}")" >&3
    exit 0
}

# In `effect`: it cannot be done, for this reason. It counts unless the state is there after all.
refuse() {
    printf 'refusal\t%s\nway-out\t%s\n' "$(one_line "$1")" "$(one_line "${2-}")" >&3
    printf 'refused: %s\n' "$1"
    exit 70
}
