# Shows a configuration file and what is staged beside it. Changes nothing.
# Arguments: the file, the staged file.
read_both() {
    printf 'ostler\t1\n'
    if [ -f "$2" ]; then printf '%s\n' "$(sha256sum < "$2" | cut -d ' ' -f 1)"; else printf 'none\n'; fi
    cat -- "$1"
}
