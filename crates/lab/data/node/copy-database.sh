# Makes a copy of this node's database in /var/tmp/copy that another node can begin with: it then asks the cluster only for what
# has changed since. A full transfer by the cluster itself would take longer: its script sleeps ten seconds for each node.
copy=/var/tmp/copy
rm -rf "$copy"
mariadb-backup --backup --galera-info --target-dir="$copy" 2>/var/tmp/copy.log || { tail -5 /var/tmp/copy.log >&2; exit 1; }
mariadb-backup --prepare --target-dir="$copy" 2>/var/tmp/copy.log || { tail -5 /var/tmp/copy.log >&2; exit 1; }
for name in xtrabackup_galera_info mariadb_backup_galera_info; do
    [ -e "$copy/$name" ] && position=$(cut -d ' ' -f 1 "$copy/$name")
done
cat > "$copy/grastate.dat" <<STATE
# GALERA saved state
version: 2.1
uuid:    ${position%:*}
seqno:   ${position##*:}
safe_to_bootstrap: 0
STATE
rm -f /var/tmp/copy.log
chown -R mysql:mysql "$copy"
