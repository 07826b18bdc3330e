
# Puts files back as a backup has them: files by one rename each, directories file by file.
set_dir=$directory/$from/$host

members() { for file in $files; do printf '%s\n' "${file#/}"; done; }

effect() {
    [ -e "$set_dir/manifest" ] || refuse "there is no backup in $set_dir" 'name a run that made a backup on this node'
    (cd "$set_dir" && grep ' files\.tar\.zst$' SHA256SUMS | sha256sum --quiet --check -) ||
        refuse "the backup $set_dir/files.tar.zst is damaged" 'take another backup'
    for file in $files; do
        if [ -d "$file" ]; then
            tar --extract --zstd --file="$set_dir/files.tar.zst" --preserve-permissions --same-owner --numeric-owner \
                --xattrs --acls --directory=/ "${file#/}"
            continue
        fi
        mkdir -p "${file%/*}"
        beside=$(mktemp -d "${file%/*}/.ostler-XXXXXX")
        if ! tar --extract --zstd --file="$set_dir/files.tar.zst" --preserve-permissions --same-owner --numeric-owner \
            --xattrs --acls --directory="$beside" "${file#/}"; then
            rm -rf "$beside"
            refuse "the backup $set_dir has no $file"
        fi
        sync "$beside$file"
        mv -f "$beside$file" "$file"
        rm -rf "$beside"
    done
}

probe() {
    # shellcheck disable=SC2046
    differences=$(tar --compare --zstd --file="$set_dir/files.tar.zst" --numeric-owner --directory=/ $(members) 2>&1) ||
        absent "files differ from the backup in $set_dir: $differences"
    holds
}
