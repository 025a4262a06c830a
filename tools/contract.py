"""Build the contract: Python stubs, their types, and one self-contained image of everything they need.

    uv run python tools/contract.py

Writes ``build/gen``: the packages ``banter`` and ``buf``, and ``banter.binpb``. What ``client`` has, and the published
service config, come to lie beside the stubs. Only files that changed are rewritten, so that a running development
server is not disturbed for nothing.

``buf/validate/validate.proto`` is not in the tree and not on the network: protovalidate's wheel carries its descriptor.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path

import google.rpc
import grpc_tools
import protovalidate
from google.protobuf import descriptor_pb2, duration_pb2, field_mask_pb2, timestamp_pb2

IMAGE = "banter.binpb"
"""The self-contained image: other teams generate their stubs from it, and buf lints and compares it."""

SERVICE_CONFIG = "service_config.json"
"""Which calls a client may repeat, as gRPC's clients take it."""

ERRORS = ("google/rpc/status.proto", "google/rpc/error_details.proto")
"""What errors are made of. No file of ours imports them, and whoever reads an error needs them."""

_BUF_EXTENSION = bytes([0xD2, 0xF6, 0x03, 0x02, 0x08, 0x01])
"""buf's field 8042 of a file's descriptor, a message whose field 1 (`is_import`) is true: "not ours, do not lint"."""


def build(root: Path) -> Path:
    """Build everything below ``<root>/build/gen`` and return that folder; raises `SystemExit` with protoc's words."""
    target = root / "build" / "gen"
    protos = sorted(str(path.relative_to(root / "protos")) for path in (root / "protos").rglob("*.proto"))
    with tempfile.TemporaryDirectory(prefix="banter-contract-") as folder:
        out, validate = Path(folder, "out"), Path(folder, "validate.binpb")
        out.mkdir()
        validate.write_bytes(_validate_descriptors())
        _protoc(
            root,
            f"--descriptor_set_in={validate}",
            f"--descriptor_set_out={out / IMAGE}",
            "--include_imports",
            "--include_source_info",
            *protos,
            *ERRORS,
        )
        _mark_imports(out / IMAGE, set(protos))
        _protoc(
            root,
            f"--descriptor_set_in={out / IMAGE}",
            f"--python_out={out}",
            f"--grpc_python_out={out}",
            f"--mypy_out=quiet:{out}",
            f"--mypy_grpc_out=quiet:{out}",
            *protos,
        )
        _protoc(
            root,
            f"--descriptor_set_in={out / IMAGE}",
            f"--python_out={out}",
            f"--mypy_out=quiet:{out}",
            "buf/validate/validate.proto",
        )
        for package in {path.parent for path in out.rglob("*_pb2.py")}:
            package.joinpath("__init__.py").touch()
        for package in ("banter", "buf"):
            out.joinpath(package, "__init__.py").touch()
            out.joinpath(package, "py.typed").touch()
        shutil.copytree(root / "client", out, dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pycache__"))
        shutil.copyfile(root / "docs" / SERVICE_CONFIG, out / "banter" / "v1" / SERVICE_CONFIG)
        _synchronise(out, target)
    return target


def _validate_descriptors() -> bytes:
    """validate.proto and what it imports, as one descriptor set."""
    files = descriptor_pb2.FileDescriptorSet()
    validate = files.file.add()
    validate.ParseFromString(protovalidate.ViolationPb.desc().file.proto.to_binary())
    for module in (descriptor_pb2, duration_pb2, field_mask_pb2, timestamp_pb2):
        module.DESCRIPTOR.CopyToProto(files.file.add())
    return files.SerializeToString()


def _protoc(root: Path, *arguments: str) -> None:
    include = Path(grpc_tools.__file__).parent / "_proto"
    common = Path(next(iter(google.rpc.__path__))).parent.parent
    folders = [sysconfig.get_path("scripts"), str(Path(sys.executable).parent), os.environ.get("PATH", "")]
    # protoc takes a file from whichever has it: the descriptor set or the folders.
    command = [
        sys.executable,
        "-m",
        "grpc_tools.protoc",
        *arguments[:1],
        f"-I{root / 'protos'}",
        f"-I{include}",
        f"-I{common}",
        *arguments[1:],
    ]
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, env={**os.environ, "PATH": os.pathsep.join(folders)}
    )
    if done.returncode:
        raise SystemExit(f"protoc refused the contract:\n{done.stderr}")


def _mark_imports(image: Path, ours: set[str]) -> None:
    files = descriptor_pb2.FileDescriptorSet.FromString(image.read_bytes())
    for file in files.file:
        if file.name not in ours:
            file.MergeFromString(_BUF_EXTENSION)
    image.write_bytes(files.SerializeToString(deterministic=True))


def _synchronise(source: Path, target: Path) -> None:
    """Make `target` hold exactly the files of `source`, touching only those that differ."""
    target.mkdir(parents=True, exist_ok=True)
    wanted = {path.relative_to(source) for path in source.rglob("*") if path.is_file()}
    for path in sorted(target.rglob("*")):
        if path.is_file() and "__pycache__" not in path.parts and path.relative_to(target) not in wanted:
            path.unlink()
    for name in sorted(wanted):
        old, new = target / name, source / name
        if not old.exists() or old.read_bytes() != new.read_bytes():
            old.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(new, old.with_name(old.name + ".new"))
            os.replace(old.with_name(old.name + ".new"), old)


if __name__ == "__main__":
    print(build(Path(sys.argv[1]).resolve() if len(sys.argv) > 1 else Path(__file__).resolve().parent.parent))
