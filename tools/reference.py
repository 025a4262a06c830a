"""Write the reference of the API from the contract: docs/api, a page per service, the errors, and an index.

    uv run python -m tools.reference            # writes what differs
    uv run python -m tools.reference --check    # changes nothing; fails where a page is not what it has to be

It reads the image that other teams get, and nothing else.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from banter.v1 import options_pb2
from buf.validate import validate_pb2
from google.protobuf import descriptor_pb2
from google.rpc import code_pb2

from tools.words import listed, policy_in_words, rules_in_words

ROOT = Path(__file__).resolve().parent.parent
_PACKAGE = "banter.v1"
_ERRORS = "banter/v1/error_reason.proto"
_MADE = "<!-- made from the contract by tools/reference.py: do not edit -->"
_SYNTAX = 12
"""Path of the line `syntax`, before which a file's own comment stands."""

_OF_METHODS = 100
"""Reasons from this number on are those of single methods."""

_Field = descriptor_pb2.FieldDescriptorProto


@dataclass(frozen=True)
class Source:
    """A file of the contract and the comments of its parts, by their path in it."""

    file: descriptor_pb2.FileDescriptorProto
    comments: dict[tuple[int, ...], str]

    @property
    def stem(self) -> str:
        """``user`` of ``banter/v1/user.proto``."""
        return Path(self.file.name).stem

    def comment(self, *path: int) -> str:
        """The comment of a part, without the space that begins each line."""
        lines = self.comments.get(path, "").splitlines()
        return "\n".join(line.removeprefix(" ") for line in lines).strip()


class Reference:
    """The pages of an image."""

    def __init__(self, image: descriptor_pb2.FileDescriptorSet) -> None:
        self._sources = [_source(file) for file in image.file if file.package == _PACKAGE]
        self._services = [source for source in self._sources if source.file.service]
        self._home = {
            f".{_PACKAGE}.{each.name}": source.stem
            for source in self._services
            for each in (*source.file.message_type, *source.file.enum_type)
        }
        self._maps = {
            f".{_PACKAGE}.{outer.name}.{inner.name}": inner
            for source in self._sources
            for outer in source.file.message_type
            for inner in outer.nested_type
            if inner.options.map_entry
        }

    def pages(self) -> dict[str, str]:
        """Every page by its name."""
        made = {f"{source.stem}.md": self._service(source) for source in self._services}
        return {"README.md": self._index(), "errors.md": self._errors(), **made}

    def _index(self) -> str:
        lines = ["# The API", "", _MADE, ""]
        for source in self._services:
            (service,) = source.file.service
            lines += [f"- [{service.name}]({source.stem}.md): {_first_sentence(source.comment(6, 0))}"]
        lines += ["- [Errors](errors.md): every reason, with an example.", ""]
        lines += [
            "Calls carry `authorization: Bearer <JWT>`. A service that acts for a user adds",
            "`banter-on-behalf-of: <user_id>`, and then counts as that user. Who may call, how often and for how long",
            "is the first table of each method. Besides its own errors, any call can get those",
            "[of what surrounds it](errors.md#of-any-call).",
            "",
        ]
        return "\n".join(lines)

    def _service(self, source: Source) -> str:
        (service,) = source.file.service
        lines = [f"# {service.name}", "", _MADE, "", _flowing(source.comment(6, 0)), ""]
        lines += ["| method | who may call | what it does |", "|---|---|---|"]
        for number, method in enumerate(service.method):
            (_, who), *_ = policy_in_words(_policy(method))
            about = _first_sentence(source.comment(6, 0, 2, number))
            lines.append(f"| [{method.name}](#{method.name.lower()}) | {who} | {_cell(about)} |")
        lines.append("")
        for number in range(len(service.method)):
            lines += self._method(source, number)
        own = {method.input_type for method in service.method} | {method.output_type for method in service.method}
        for number, message in enumerate(source.file.message_type):
            if f".{_PACKAGE}.{message.name}" not in own:
                lines += [f"## {message.name}", "", _flowing(source.comment(4, number)), ""]
                lines += self._fields(source, number)
        for number, enum in enumerate(source.file.enum_type):
            lines += [
                f"## {enum.name}",
                "",
                _flowing(source.comment(5, number)),
                "",
                "| value | what it is |",
                "|---|---|",
            ]
            lines += [
                f"| `{value.name}` | {_cell(source.comment(5, number, 2, place))} |"
                for place, value in enumerate(enum.value)
            ]
            lines.append("")
        return "\n".join(lines)

    def _method(self, source: Source, number: int) -> Iterator[str]:
        method = source.file.service[0].method[number]
        text, errors = _parted(source.comment(6, 0, 2, number))
        yield from (f"## {method.name}", "", _flowing(text), "", "| | |", "|---|---|")
        for name, words in policy_in_words(_policy(method)):
            yield f"| {name} | {words} |"
        yield ""
        names = [message.name for message in source.file.message_type]
        for title, type_name in (
            ("Request", method.input_type),
            ("Answer: a stream of" if method.server_streaming else "Answer", method.output_type),
        ):
            name = type_name.removeprefix(f".{_PACKAGE}.")
            yield from (f"**{title}** `{name}`", "")
            yield from self._fields(source, names.index(name))
        if errors:
            named = [f"[{reason}](errors.md#{reason.lower()}) ({code})" for code, reason in errors]
            yield from (f"**Errors**: {listed(named, 'and')}.", "")
        else:
            yield from ("**Errors**: none of its own.", "")

    def _fields(self, source: Source, number: int) -> Iterator[str]:
        message = source.file.message_type[number]
        rules = message.options.Extensions[validate_pb2.message]
        if not message.field:
            yield from ("It has no fields.", "")
            return
        yield from ("| field | type | rules | what it is |", "|---|---|---|---|")
        for place, field in enumerate(message.field):
            words = rules_in_words(field.options.Extensions[validate_pb2.field])
            if field.options.debug_redact:
                words.append("personal: never in a log")
            about = source.comment(4, number, 2, place)
            cells = (f"`{field.name}`", self._type(message, field, source.stem), "; ".join(words), about)
            yield f"| {' | '.join(_cell(each) for each in cells)} |"
        yield ""
        for one in rules.oneof:
            most = "One" if one.required else "At most one"
            yield from (f"{most} of {listed((f'`{each}`' for each in one.fields), 'and')} is set.", "")
        for place, one in enumerate(message.oneof_decl):
            fields = [f for f in message.field if f.HasField("oneof_index") and f.oneof_index == place]
            if not any(field.proto3_optional for field in fields):
                most = "One" if one.options.Extensions[validate_pb2.oneof].required else "At most one"
                yield from (f"{most} of {listed((f'`{each.name}`' for each in fields), 'and')} is set.", "")
        for rule in rules.cel:
            yield from (f"As a whole: {rule.message or f'`{rule.expression}`'}.", "")

    def _type(self, message: descriptor_pb2.DescriptorProto, field: _Field, stem: str) -> str:
        entry = self._maps.get(field.type_name)
        if entry is not None:
            key, value = entry.field
            return f"map of {self._type(entry, key, stem)} to {self._type(entry, value, stem)}"
        home = self._home.get(field.type_name)
        short = field.type_name.rpartition(".")[2] or _Field.Type.Name(field.type).removeprefix("TYPE_").lower()
        page = "" if home == stem else f"{home}.md"
        shown = f"[{short}]({page}#{short.lower()})" if home else short
        if field.label == _Field.LABEL_REPEATED:
            return f"list of {shown}"
        return f"optional {shown}" if field.proto3_optional else shown

    def _errors(self) -> str:
        (source,) = (source for source in self._sources if source.file.name == _ERRORS)
        by_method = self._promised()
        own: list[str] = []
        general: list[str] = []
        for number, value in enumerate(source.file.enum_type[0].value):
            if value.number:
                reason = value.name.removeprefix("ERROR_REASON_")
                into = own if value.number >= _OF_METHODS else general
                into += _reason(reason, value, source.comment(5, 0, 2, number), by_method.get(reason, []))
        lines = ["# Errors", "", _MADE, "", _flowing(source.comment(_SYNTAX)), ""]
        lines += [
            "## Of any call",
            "",
            "What surrounds every method gives these, before it or instead of it.",
            "",
            *general,
        ]
        lines += ["## Of single methods", "", *own]
        return "\n".join(lines)

    def _promised(self) -> dict[str, list[str]]:
        """The methods that name a reason, as links."""
        found: dict[str, list[str]] = {}
        for source in self._services:
            for number, method in enumerate(source.file.service[0].method):
                for _, reason in _parted(source.comment(6, 0, 2, number))[1]:
                    found.setdefault(reason, []).append(f"[{method.name}]({source.stem}.md#{method.name.lower()})")
        return found


def _reason(
    reason: str, value: descriptor_pb2.EnumValueDescriptorProto, comment: str, methods: list[str]
) -> Iterator[str]:
    text, _, example = comment.partition("    {")
    code = code_pb2.Code.Name(value.options.Extensions[options_pb2.status])
    yield from (f"### {reason}", "", f"`{code}`. {_flowing(text)}", "")
    if methods:
        yield from (f"Given by {listed(methods, 'and')}.", "")
    lines = f"    {{{example}".splitlines()
    yield from ("```json", *(line.removeprefix("    ") for line in lines), "```", "")


def _source(file: descriptor_pb2.FileDescriptorProto) -> Source:
    return Source(file, {tuple(each.path): each.leading_comments for each in file.source_code_info.location})


def _policy(method: descriptor_pb2.MethodDescriptorProto) -> options_pb2.Policy:
    return method.options.Extensions[options_pb2.policy]


def _parted(comment: str) -> tuple[str, list[tuple[str, str]]]:
    """A method's comment without its errors, and these as pairs of code and reason."""
    text, _, errors = comment.partition("Errors:")
    groups = re.findall(r"([A-Z_]+)\s+\(([A-Z_,\s]+)\)", errors)
    return text.strip(), [(code, reason) for code, reasons in groups for reason in re.split(r",\s+", reasons.strip())]


def _flowing(text: str) -> str:
    """Paragraphs without line ends; what is indented or a list stays as it is."""
    return "\n\n".join(
        part if part.startswith(("    ", "- ")) else " ".join(part.split()) for part in text.strip().split("\n\n")
    )


def _first_sentence(text: str) -> str:
    return re.split(r"(?<=\.)\s", " ".join(text.split()), maxsplit=1)[0]


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


def stale(root: Path = ROOT, *, write: bool) -> list[Path]:
    """The pages that are not what they have to be, among them those that must not be; mended if `write`."""
    # An image that knows our options and rules, because their modules are imported.
    image = descriptor_pb2.FileDescriptorSet.FromString((root / "build" / "gen" / "banter.binpb").read_bytes())
    folder = root / "docs" / "api"
    wanted = {folder / name: text for name, text in Reference(image).pages().items()}
    found = [path for path, text in wanted.items() if not path.exists() or path.read_text() != text]
    found += [path for path in sorted(folder.glob("*")) if path not in wanted]
    if write:
        folder.mkdir(exist_ok=True)
        for path in found:
            if path in wanted:
                path.write_text(wanted[path])
            else:
                path.unlink()
    return found


if __name__ == "__main__":
    check = sys.argv[1:] == ["--check"]
    differing = stale(write=not check)
    for each in differing:
        print(f"{'stale' if check else 'wrote'}: {each.relative_to(ROOT)}")
    if check and differing:
        raise SystemExit("docs/api is not what the contract says: run uv run python -m tools.reference")
