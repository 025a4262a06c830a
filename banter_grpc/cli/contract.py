"""`banter contract export`."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from banter_grpc.cli.failures import CommandError

README = """# The contract of banter

`banter.binpb` is one self-contained image (a FileDescriptorSet): every message, service, comment and rule of the
contract, and everything that it imports. No network and no other file is needed to generate clients from it:

    buf generate banter.binpb
    protoc --descriptor_set_in=banter.binpb --python_out=out banter/v1/user.proto

To see whether a newer image breaks clients of an older one:

    buf breaking banter.binpb --against old.binpb
"""


def export(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Where to; made if it is not there.")],
) -> None:
    """Write the contract as one file that stubs for any language are generated from."""
    from banter_grpc import resources

    image = resources.contract_image()
    if not image.exists():
        raise CommandError(f"{image} is not there: build it with uv run python tools/contract.py")
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in ((image.name, image.read_bytes()), ("README.md", README.encode())):
        # Whoever reads it meanwhile gets the old one or the new one.
        new = folder / f".{name}.{os.getpid()}"
        try:
            new.write_bytes(content)
            new.replace(folder / name)
        finally:
            new.unlink(missing_ok=True)
        print(f"wrote {folder / name}")
