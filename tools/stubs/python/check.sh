# Arguments: ADDRESS TOKEN PHONE_NUMBER.
command -v uv >/dev/null || { echo "skipped: there is no uv"; exit; }
run=(uv run --quiet --no-project --isolated --with-requirements requirements.txt)
mkdir gen
"${run[@]}" python -m grpc_tools.protoc --descriptor_set_in=banter.binpb --python_out=gen --grpc_python_out=gen \
    --mypy_out=quiet:gen --mypy_grpc_out=quiet:gen \
    banter/v1/{user,options,error_reason}.proto buf/validate/validate.proto
"${run[@]}" basedpyright
PYTHONPATH=gen "${run[@]}" python client.py "$@"
