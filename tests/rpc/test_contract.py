"""The contract keeps its own rules, and every RPC of it is tested."""

from __future__ import annotations

import ast
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from banter.v1 import error_reason_pb2, options_pb2
from google.protobuf import descriptor_pb2, descriptor_pool, json_format, message_factory
from google.rpc import code_pb2, status_pb2

from banter_grpc import resources
from banter_grpc.errors.constraints import CONSTRAINTS
from banter_grpc.rpc.errors import CODES
from banter_grpc.rpc.methods import methods_of
from banter_grpc.rpc.policy import PolicyError, read_policy
from banter_grpc.server import SERVICES
from tests.support import contract

METHODS = [pytest.param(method, id=method.full_name) for method in contract.methods()]


def test_every_service_of_the_contract_is_served() -> None:
    declared = {f"{file.package}.{service.name}" for file in contract.our_files() for service in file.service}
    assert declared == {service.full_name for service in SERVICES}


def test_buf_finds_no_fault() -> None:
    buf = Path(sys.executable).with_name("buf")
    done = subprocess.run(
        [buf, "lint", resources.contract_image()],
        cwd=contract.ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_stubs_are_fresh() -> None:
    """The image holds the .proto files as they are now: an activated environment rebuilds nothing by itself."""
    for file in contract.our_files():
        written = (contract.ROOT / "protos" / file.name).read_text()
        names = [m.name for m in file.message_type] + [e.name for e in file.enum_type] + [s.name for s in file.service]
        found = re.findall(r"^(?:message|enum|service) (\w+)", written, re.MULTILINE)
        assert sorted(found) == sorted(names), "stubs are stale: run uv run python tools/contract.py"
        for value in (value for enum in file.enum_type for value in enum.value):
            assert f"{value.name} = {value.number}" in written, "stubs are stale: run uv run python tools/contract.py"


@pytest.mark.parametrize("method", METHODS)
def test_an_rpc_has_a_policy_and_says_its_errors(method) -> None:
    read_policy(method)
    comment = contract.comment(method)
    assert "Errors:" in comment, f"{method.full_name}: its comment ends with its errors, or `Errors: none of its own.`"
    assert contract.promised_reasons(method) <= CODES.keys()
    for code, reasons in re.findall(r"([A-Z_]+) \(([A-Z_, ]+)\)", comment.partition("Errors:")[2]):
        for reason in reasons.split(", "):
            assert code_pb2.Code.Name(CODES[reason]) == code, f"{method.full_name}: {reason} is no {code}"


@pytest.mark.parametrize("method", METHODS)
def test_an_rpc_is_tested(method) -> None:
    """Its test class has ordinary cases, and names each error of its comment."""
    paths = (contract.ROOT / "tests" / "rpc").glob(f"test_{contract.stem(method)}*.py")
    nodes = [node for path in paths for node in ast.parse(path.read_text()).body]
    classes = {node.name: node for node in nodes if isinstance(node, ast.ClassDef)}
    assert f"Test{method.name}" in classes, f"no file of {contract.stem(method)} has a class Test{method.name}"
    texts = {
        node.value
        for node in ast.walk(classes[f"Test{method.name}"])
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    }
    assert contract.promised_reasons(method) <= texts


def test_a_method_without_a_policy_keeps_the_server_from_starting() -> None:
    file = descriptor_pb2.FileDescriptorProto(name="bare.proto", package="bare", syntax="proto3")
    file.message_type.add(name="Nothing")
    file.service.add(name="Bare").method.add(name="Do", input_type=".bare.Nothing", output_type=".bare.Nothing")
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)  # pyright: ignore[reportDeprecated]

    class Handler:
        async def Do(self, _request, _caller): ...

    with pytest.raises(PolicyError, match=r"bare\.Bare\.Do has no policy"):
        methods_of(pool.FindServiceByName("bare.Bare"), Handler())


@pytest.mark.parametrize(
    ("policy", "fault"),
    [
        ({"rate_class": 2, "default_deadline": "1s", "max_deadline": "1s"}, "admits nobody"),
        ({"callers": [0], "rate_class": 2, "default_deadline": "1s", "max_deadline": "1s"}, "admits nobody"),
        ({"callers": [2], "default_deadline": "1s", "max_deadline": "1s"}, "rate_class"),
        ({"callers": [2], "rate_class": 2, "default_deadline": "1s"}, "needs default_deadline and max_deadline"),
        ({"callers": [2], "rate_class": 2, "default_deadline": "2s", "max_deadline": "1s"}, "default_deadline <="),
        (
            {"callers": [2], "rate_class": 2, "default_deadline": "1s", "max_deadline": "1s", "owner_field": "who"},
            "owner_field who is no string field",
        ),
    ],
)
def test_a_senseless_policy_is_refused(policy: dict[str, object], fault: str) -> None:
    original = SERVICES[0].methods_by_name["GetUser"]
    options = descriptor_pb2.MethodOptions()
    json_format.ParseDict(policy, options.Extensions[options_pb2.policy])

    class Method:
        full_name, server_streaming, input_type = "x.Y.Z", False, original.input_type

        def GetOptions(self):
            return options

    with pytest.raises(PolicyError, match=re.escape(fault)):
        read_policy(Method())  # type: ignore[arg-type]


def test_a_handler_that_lacks_a_method_keeps_the_server_from_starting() -> None:
    with pytest.raises(TypeError, match="0 of FindOrCreateUser"):
        methods_of(SERVICES[0], object())


def _examples() -> dict[str, str]:
    """The example in the comment of each reason, without the comment's layout."""
    (file,) = (file for file in contract.our_files() if file.name.endswith("error_reason.proto"))
    found: dict[str, str] = {}
    for location in file.source_code_info.location:
        if len(location.path) == 4 and list(location.path[:3]) == [5, 0, 2]:
            name = file.enum_type[0].value[location.path[3]].name
            start = location.leading_comments.find("{")
            found[name] = " ".join(location.leading_comments[start:].split()) if start >= 0 else ""
    return found


@pytest.mark.parametrize("name", [v.name for v in error_reason_pb2.ErrorReason.DESCRIPTOR.values if v.number])
def test_a_reason_has_a_status_and_a_full_example(name: str) -> None:
    reason = name.removeprefix("ERROR_REASON_")
    assert CODES[reason] not in {code_pb2.OK, code_pb2.UNKNOWN}
    example = json_format.ParseDict(json.loads(_examples()[name]), status_pb2.Status())
    assert example.code == CODES[reason]
    infos = [json_format.MessageToDict(detail) for detail in example.details]
    (info,) = (info for info in infos if info["@type"].endswith("ErrorInfo"))
    assert (info["reason"], info["domain"]) == (reason, "banter.v1")
    assert example.message


def test_every_reason_that_the_code_gives_is_in_the_contract() -> None:
    given: set[str] = set()
    for path in (contract.ROOT / "banter_grpc").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "Refusal":
                assert isinstance(node.args[0], ast.Constant), f"{path}:{node.lineno}: a reason is written out"
                given.add(node.args[0].value)
    assert given == CODES.keys(), "each reason of the contract is given somewhere, and each one given is there"


async def test_every_constraint_of_the_schema_means_something(owner_url: str) -> None:
    import psycopg

    async with await psycopg.AsyncConnection.connect(owner_url) as connection:
        rows = await connection.execute(
            """
            SELECT c.conname FROM pg_constraint c JOIN pg_namespace n ON n.oid = c.connamespace
            WHERE n.nspname = 'public' AND c.contype <> 'n' AND c.conrelid <> 0
              AND NOT (SELECT relispartition FROM pg_class WHERE oid = c.conrelid)
              AND c.conrelid::regclass::text !~ '^(_?yoyo|migration_checksums)'
            UNION
            SELECT i.indexrelid::regclass::text FROM pg_index i JOIN pg_class t ON t.oid = i.indrelid
            JOIN pg_namespace n ON n.oid = t.relnamespace
            WHERE n.nspname = 'public' AND i.indisunique AND NOT t.relispartition
              AND t.relname !~ '^(_?yoyo|migration_checksums)'
            """
        )
        names = {name for (name,) in await rows.fetchall()}
    assert names == CONSTRAINTS.keys()


def test_options_of_the_image_can_be_read_by_anybody() -> None:
    """Whoever has only the image finds a method's policy in it."""
    pool = descriptor_pool.DescriptorPool()
    for file in contract.image().file:
        pool.Add(file)  # pyright: ignore[reportDeprecated]
    options = message_factory.GetMessageClass(pool.FindMessageTypeByName("google.protobuf.MethodOptions"))
    method = pool.FindServiceByName("banter.v1.UserService").methods_by_name["GetUser"]
    read = options.FromString(method.GetOptions().SerializeToString())
    extension = pool.FindExtensionByName("banter.v1.policy")
    assert read.Extensions[extension].safe_to_retry  # type: ignore[index]
