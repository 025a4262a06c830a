# Arguments: ADDRESS TOKEN PHONE_NUMBER.
command -v mvn >/dev/null && command -v javac >/dev/null || { echo "skipped: there is no mvn, or no javac"; exit; }
if ! mvn -B -q -Dstyle.color=never compile exec:java "-Dexec.args=$*" >mvn.log 2>&1; then
    # What it could not fetch is no fault of ours.
    grep -q "Could not transfer artifact" mvn.log && { echo "skipped: mvn reaches no repository"; exit; }
    cat mvn.log
    exit 1
fi
sed 's/\x1b\[[0-9;]*m//g' mvn.log | grep -v '^$'
