#!/usr/bin/env bash
# stubs.sh FOLDER: what other teams do. Exports the contract into FOLDER, and for each language generates stubs from that
# one file, compiles a client with them and calls a running server. A language whose tools are not here is skipped, and
# says so. Run it by `uv run`, so that `banter` and `buf` are found.
set -euo pipefail
folder=$(mkdir -p "$1" && cd "$1" && pwd)
projects=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)/stubs
chmod 755 "$folder"
banter contract export "$folder/contract"

banter dev --port 0 --data-dir "$folder/data" >"$folder/dev.log" 2>&1 &
server=$!
trap 'kill -INT $server 2>/dev/null; wait $server || true' EXIT
for _ in $(seq 450); do
    grep -q 'buf curl' "$folder/dev.log" && break
    kill -0 $server || { cat "$folder/dev.log"; exit 1; }
    sleep 0.2
done
address=$(sed -n 's/^  address  *\([^ ]*\) .*/\1/p' "$folder/dev.log")
token=$(banter token --service stubs --data-dir "$folder/data")

number=0
for language in python typescript go java; do
    started=$(date +%s%N)
    number=$((number + 1))
    cp -r "$projects/$language" "$folder/$language"
    cp "$folder/contract/banter.binpb" "$folder/$language"
    if ! (cd "$folder/$language" && bash -euo pipefail check.sh "$address" "$token" "+91987651000$number") \
        >"$folder/$language.log" 2>&1; then
        cat "$folder/$language.log"
        echo "$language: failed, as said above"
        exit 1
    fi
    echo "$language: $(tail -n 1 "$folder/$language.log") ($((($(date +%s%N) - started) / 1000000)) ms)"
done
