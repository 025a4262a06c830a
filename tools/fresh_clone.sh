#!/usr/bin/env bash
# fresh_clone.sh FOLDER: clones this repository for an ordinary user without a home of his own, and runs the README's
# first command there, in its second form: the service is up and answers.
set -euo pipefail
folder=$1/ordinary
mkdir -p "$folder/home"
git clone --quiet . "$folder/banter"
chown -R nobody "$folder"
cd "$folder/banter"
# Without what only root can reach.
nobody=(
    setpriv --reuid=nobody "--regid=$(id -g nobody)" --clear-groups
    env -u VIRTUAL_ENV -u UV_PROJECT_ENVIRONMENT "HOME=$folder/home" "XDG_DATA_HOME=$folder/home/data"
    "XDG_CACHE_HOME=$folder/home/cache" PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
)
"${nobody[@]}" python3 -m venv .boot
"${nobody[@]}" .boot/bin/pip install --quiet --disable-pip-version-check uv
"${nobody[@]}" .boot/bin/uv run --quiet banter dev --port 0 >"$folder/dev.log" 2>&1 &
server=$!
trap 'kill -TERM $server 2>/dev/null; wait $server || true' EXIT
for _ in $(seq 450); do
    grep -q 'buf curl' "$folder/dev.log" && break
    kill -0 $server || { cat "$folder/dev.log"; exit 1; }
    sleep 0.2
done
call=$(grep -m 1 'buf curl.*GetUser' "$folder/dev.log" | sed 's/^ *//; s/^uv run/.boot\/bin\/uv run/')
"${nobody[@]}" bash -c "$call" | grep '"fullName"'
