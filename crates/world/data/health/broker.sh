# Asks the message broker of this node, if it has one. Its own program takes seconds of processor time for each question,
# so there are three.
set -u
PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
LC_ALL=C
# One scheduler that does not spin: the answer is the same and costs the node less.
RABBITMQ_CTL_ERL_ARGS='+S 1:1 +sbwt none +sbwtdcpu none +sbwtdio none'
export PATH LC_ALL RABBITMQ_CTL_ERL_ARGS

ask() {
    name=$1
    shift
    said=$(timeout 80 rabbitmqctl -q -t 70 "$@" --formatter json 2>&1)
    status=$?
    # On a busy host the program has been seen to answer and then not to end.
    if [ "$status" -eq 124 ]; then
        answer=$(printf '%s' "$said" | tr -d '\n\t' | sed -n 's/^[^[{]*\([[{]"*[^ ].*[]}]\)[^]}]*$/\1/p')
        [ -z "$answer" ] || said=$answer status=0
    fi
    # What it warns of stands before the answer.
    if [ "$status" -eq 0 ]; then
        said=$(printf '%s\n' "$said" | awk 'begun || /^[[{]$/ || /^[[{]["{} \]]/ { begun = 1; print }')
        printf 'json\t%s\t%s\n' "$name" "$(printf '%s' "$said" | tr -d '\n\t')"
    else
        printf 'failed\t%s\t%s\t%s\n' "$name" "$status" "$(printf '%s' "$said" | tr '\n\t' '  ' | cut -c 1-3000)"
    fi
    return "$status"
}

look() {
    printf 'ostler\t1\n'
    # One that is only installed is nobody's concern.
    if ! command -v rabbitmqctl > /dev/null || ! { systemctl -q is-active rabbitmq-server || systemctl -q is-enabled rabbitmq-server; } 2> /dev/null; then
        printf 'end\t1\n'
        return
    fi
    # A broker that does not run is not asked again.
    if ask rabbit.status status; then
        ask rabbit.cluster cluster_status
        ask rabbit.queue list_queues --local name type durable auto_delete messages_ready messages_unacknowledged consumers state members online leader
    fi
    printf 'end\t1\n'
}
