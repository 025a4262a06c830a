"""The contract as tests read it: every RPC, what its comment promises, and a request that is valid."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from banter.v1 import options_pb2
from google.protobuf import descriptor_pb2
from google.protobuf.descriptor import MethodDescriptor

from banter_grpc import resources
from banter_grpc.server import SERVICES

ROOT = Path(__file__).parents[2]


def methods() -> Iterator[MethodDescriptor]:
    """Every RPC of the contract."""
    for service in SERVICES:
        yield from service.methods


def stem(method: MethodDescriptor) -> str:
    """``user`` for a method of UserService."""
    return method.containing_service.name.removesuffix("Service").lower()


def policy(method: MethodDescriptor) -> options_pb2.Policy:
    """The policy that the contract gives a method."""
    return method.GetOptions().Extensions[options_pb2.policy]


@cache
def image() -> descriptor_pb2.FileDescriptorSet:
    """The self-contained image, comments included."""
    return descriptor_pb2.FileDescriptorSet.FromString(resources.contract_image().read_bytes())


def our_files() -> list[descriptor_pb2.FileDescriptorProto]:
    """The files of the contract, without what they import."""
    return [file for file in image().file if file.package == "banter.v1"]


def comment(method: MethodDescriptor) -> str:
    """The comment of a method, on one line."""
    (file,) = (file for file in image().file if file.name == method.containing_service.file.name)
    service = [s.name for s in file.service].index(method.containing_service.name)
    path = [6, service, 2, method.index]
    (location,) = (location for location in file.source_code_info.location if list(location.path) == path)
    return " ".join(location.leading_comments.split())


def promised_reasons(method: MethodDescriptor) -> set[str]:
    """The reasons that a method's comment names under ``Errors:``."""
    _, _, errors = comment(method).partition("Errors:")
    return {reason for group in re.findall(r"\(([A-Z_, ]+)\)", errors) for reason in group.split(", ")}
