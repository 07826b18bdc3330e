
# How every step's script ends. mode=effect: does it, then asks for the state, and keeps both answers in $place/result.
# mode=probe: only asks, and answers on standard output.
case $mode in
effect)
    # Where the kernel groups tasks by session, niceness counts only within the group: the group is made nice, too.
    echo 10 > /proc/self/autogroup 2> /dev/null || :
    exec 3> "$place/result.partial" || exit 74
    begun_ms=$(date +%s%3N)
    (
        set -e
        trap 'exit 143' TERM
        effect "$@"
    ) < /dev/null
    code=$?
    printf 'code\t%s\n' "$code" >&3
    fact ms "$(($(date +%s%3N) - begun_ms))"
    (probe "$@") < /dev/null
    exec 3>&-
    mv -f "$place/result.partial" "$place/result" || exit 74
    grep -q "^verdict${tab}done\$" "$place/result"
    exit
    ;;
probe)
    code=
    exec 3>&1 > /dev/null 2>&1
    (probe "$@") < /dev/null
    ;;
esac
