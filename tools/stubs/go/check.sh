# Arguments: ADDRESS TOKEN PHONE_NUMBER.
command -v go >/dev/null || { echo "skipped: there is no go"; exit; }
export GOTOOLCHAIN=local CGO_ENABLED=0
go list -m >/dev/null 2>&1 || { echo "skipped: this go is older than go.mod asks for"; exit; }
go mod download 2>download.log || { echo "skipped: go reaches no module proxy"; exit; }
go build -o bin/ tool
buf generate
go build -o bin/client .
bin/client "$@"
