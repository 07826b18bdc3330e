
# Puts staged configuration in place, each file by one rename.
record_of() { printf '%s/config/%s' "$state" "$(printf '%s' "$1" | tr / %)"; }
digest_of() { sha256sum < "$1" | cut -d ' ' -f 1; }

# 0: in place, 1: staged and not in place, 2: neither.
look() {
    staged=$1.ostler-$run
    if [ -e "$staged" ]; then return 1; fi
    [ -e "$1" ] && [ "$(cat "$(record_of "$1")" 2> /dev/null)" = "$(digest_of "$1")" ] || return 2
}

effect() {
    for file in $files; do
        seen=0
        look "$file" || seen=$?
        case $seen in
        1)
            # The package may have set owner and rights anew since it was staged.
            cp --attributes-only --preserve=mode,ownership,xattr "$file" "$staged"
            sync "$staged"
            mv -f "$staged" "$file"
            ;;
        2) refuse "nothing is staged for $file" 'stage the configuration again' ;;
        esac
        fact "$file" "$(digest_of "$file")"
    done
}

probe() {
    for file in $files; do
        look "$file" || absent "the staged configuration is not in place in $file"
    done
    holds
}
