# Runs a program in Python as a unit of this node runs: with its interpreter, as its account, with its configuration.
set -u
PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
LC_ALL=C
PYTHONDONTWRITEBYTECODE=1
export PATH LC_ALL PYTHONDONTWRITEBYTECODE

# UNIT PROJECT PROGRAM TARGET...
look() {
    printf 'ostler\t1\n'
    unit=$1 project=$2 program=$3
    shift 3
    targets=$(printf '%s\n' "$@")
    pid=$(systemctl show -p MainPID --value "$unit" 2> /dev/null)
    if [ "${pid:-0}" -eq 0 ]; then
        printf 'gap\trpc\t%s does not run here any more\n' "$unit"
        return
    fi
    words=$(tr '\0' '\n' < "/proc/$pid/cmdline")
    python=$(printf '%s\n' "$words" | sed -n 1p)
    case ${python##*/} in
        python*) ;;
        # A process that calls itself otherwise: its file names the interpreter.
        *) words=''
            file=$(systemctl show -p ExecStart --value "$unit" | sed -n 's/.*path=\([^ ;]*\).*/\1/p' | sed -n 1p)
            python=$(sed -n '1s/^#![[:space:]]*\([^[:space:]]*python[^[:space:]]*\).*/\1/p' "$file" 2> /dev/null) ;;
    esac
    if [ ! -x "$python" ]; then
        printf 'gap\trpc\tthe Python of %s was not found\n' "$unit"
        return
    fi
    set --
    is_next=false
    while IFS= read -r word; do
        if $is_next; then
            set -- "$@" "--config-file=$word"
            is_next=false
            continue
        fi
        case $word in
            --config-file) is_next=true ;;
            --config-file=* | --config-dir=*) set -- "$@" "$word" ;;
        esac
    done << WORDS
$words
WORDS
    user=$(stat -c %u "/proc/$pid") group=$(stat -c %g "/proc/$pid")
    said=$(cd / && printf '%s\n' "$targets" | timeout 30 setpriv --reuid "$user" --regid "$group" --init-groups "$python" -c "$program" "$project" "$@" 2>&1)
    status=$?
    printf '%s\n' "$said" | sed -n '/^\(row\|gap\|end\)	/p'
    case $said in
        *'end	1') ;;
        # What it complained of last says why.
        *) printf 'gap\trpc\tasking the servers of %s (exit code %s): %s\n' "$project" "$status" "$(printf '%s' "$said" | grep -v '^row' | tail -n 1 | tr '\t' ' ' | cut -c 1-300)" ;;
    esac
}
