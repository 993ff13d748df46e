"""`python -m tests.docs.reference`: fills in the generated parts of pages.

A page marks them by `<!-- from the code: NAME -->` and `<!-- end -->`, where NAME is a public name (`kinform.Scope`),
`errors`, `metrics`, `shared metrics`, `metrics of caches`, `metrics of recorders`, `metrics of work queues`, `metrics
of elections`, `metrics of shards`, `decisions of elections`, `options of kinform COMMAND`, `JSON of kinform COMMAND`,
`types of signatures`, `rooms`, `graph of rooms` or `files of FOLDER`. The constants that a page quotes are filled in as
well: see `constants`. Text outside of these marks is written by hand and stays as it is.
"""

from __future__ import annotations

import ast
import enum
import importlib
import inspect
import re
import sys
import textwrap
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import click
import msgspec
import prometheus_client

import kinform
import kinform.controllers
import kinform.testing
from kinform.cli._app import COMMANDS
from tests.docs import constants, election, metrics, rooms, signature_types
from tests.docs.markdown import ROOT, pages

_REGION = re.compile(r"(<!-- from the code: (?P<name>.+?) -->\n).*?(<!-- end -->)", re.DOTALL)
_SECTION = re.compile(r"(Args|Attributes|Returns|Raises|Yields):")
_ENTRY = re.compile(r"(?P<name>[\w*, ]+): (?P<text>.*)")
_PARAMETERS = {"Args": "Arguments", "Attributes": "Attributes", "Raises": "Raises"}

# Public by name for the sake of other modules; their arguments are not public.
_OMITTED_MEMBERS = {
    ("kinform._listwatch.stream", "steps"),
    ("kinform._options", "program"),
    ("kinform.testing._faults", "event"),
    ("kinform.testing._faults", "refusal"),
}
# The only members that users call.
_SHOWN_MEMBERS = {kinform.Writer: (), kinform.Changes: ("aclose",)}
_WITHOUT_SIGNATURE = {"Changes", "Connection", "Selector", "Store", "Stream", "Term", "Writer"}


def filled(page: str) -> str:
    """Returns the page with every region and every constant as the code has it now."""
    return constants.filled(_REGION.sub(lambda found: f"{found[1]}\n{rendered(found['name'])}\n{found[3]}", page))


def names(page: str) -> list[str]:
    """Returns the names of the regions of a page."""
    return [found["name"] for found in _REGION.finditer(page)]


def rendered(name: str) -> str:
    """Returns the Markdown of a region."""
    if name == "types of signatures":
        return signature_types.program()
    if name == "rooms":
        return rooms.table()
    if name == "graph of rooms":
        return rooms.graph()
    if name.startswith("files of "):
        return rooms.files(name.removeprefix("files of "))
    if name == "errors":
        tree = inspect.getdoc(importlib.import_module("kinform._errors")) or ""
        lines = [line for line in tree.splitlines() if line.startswith("    ")]
        return f"```text\n{textwrap.dedent(chr(10).join(lines))}\n```\n"
    if name in metrics.NAMED:
        return metrics.named_table(name)
    if name in metrics.TABLES:
        return metrics.table(name)
    if name == "decisions of elections":
        return election.table()
    if name.startswith("options of kinform "):
        return _options(name.removeprefix("options of kinform "))
    if name.startswith("JSON of kinform "):
        return _json(name.removeprefix("JSON of kinform "))
    module, _, attribute = name.rpartition(".")
    return _public(attribute, getattr(importlib.import_module(module), attribute))


# Public names


def _public(name: str, found: Any) -> str:
    if isinstance(found, type(kinform.Change)):
        return _alias(name)
    if not inspect.isclass(found):
        return _callable(name, found, level=3)
    parts = [_heading(name, 3)]
    fields = _fields(found)
    constructible = not issubclass(found, BaseException) and not getattr(found, "_is_protocol", False)
    if fields is None and constructible and name not in _WITHOUT_SIGNATURE:
        parts.append(_signature(name, found))
    bases = [base.__name__ for base in found.__bases__ if _is_public(base)]
    if bases:
        parts.append(f"A kind of {', '.join(f'`{base}`' for base in bases)}.\n")
    parts.append(_doc(found, fields or {}))
    members = _members(found)
    shown = _SHOWN_MEMBERS.get(found, members)
    parts += [_member(name, key, members[key]) for key in shown if _is_documented(key, members[key])]
    return "\n".join(parts)


def _alias(name: str) -> str:
    """Returns an alias of events, and the string below it."""
    statements = ast.parse(inspect.getsource(kinform._events)).body
    for statement, after in pairwise(statements):
        if isinstance(statement, ast.AnnAssign) and ast.unparse(statement.target) == name:
            assert statement.value is not None
            assert isinstance(after, ast.Expr)
            code = f"{name}[T] = {ast.unparse(statement.value)}"
            return f"{_heading(name, 3)}\n```text\n{code}\n```\n\n{_flow(ast.literal_eval(after.value))}\n"
    raise LookupError(name)


def _is_public(found: type) -> bool:
    modules = (kinform, kinform.controllers, kinform.testing)
    return any(getattr(module, found.__name__, None) is found for module in modules)


def _members(found: type) -> dict[str, Any]:
    """Returns the members of a class and of those of its bases that are not public."""
    members: dict[str, Any] = {}
    for base in reversed(found.__mro__):
        if base is found or (base.__module__.startswith("kinform") and not _is_public(base)):
            members |= vars(base)
    return members


def _is_documented(name: str, member: Any) -> bool:
    member = member.fget if isinstance(member, property) else getattr(member, "__func__", member)
    if name.startswith("_") or not inspect.isfunction(member):
        return False
    return bool(inspect.getdoc(member)) and (member.__module__, name) not in _OMITTED_MEMBERS


def _member(owner: str, name: str, member: Any) -> str:
    if isinstance(member, property):
        type_ = _annotation(inspect.get_annotations(member.fget).get("return"))
        return f"{_heading(f'{owner}.{name}', 4)}\nProperty, `{type_}`. {_doc(member, {}).lstrip()}"
    return _callable(f"{owner}.{name}", getattr(member, "__func__", member), level=4)


def _callable(name: str, found: Any, *, level: int) -> str:
    return f"{_heading(name, level)}\n{_signature(name, found)}\n{_doc(found, {})}"


def _heading(name: str, level: int) -> str:
    return f"{'#' * level} {name}\n"


def _signature(name: str, found: Any) -> str:
    target = found.__init__ if inspect.isclass(found) and "__init__" in vars(found) else found
    signature = inspect.signature(target)
    parts: list[str] = []
    keyword_only = False
    for parameter in signature.parameters.values():
        if parameter.name in ("self", "cls"):
            continue
        if parameter.kind is parameter.KEYWORD_ONLY and not keyword_only:
            keyword_only = True
            parts.append("*")
        annotation = _annotation(parameter.annotation)
        default = "" if parameter.default is parameter.empty else f" = {_value(parameter.default)}"
        stars = {parameter.VAR_POSITIONAL: "*", parameter.VAR_KEYWORD: "**"}.get(parameter.kind, "")
        parts.append(f"{stars}{parameter.name}: {annotation}{default}")
    returns = "" if inspect.isclass(found) else f" -> {_returned(found, signature)}"
    before = "async " if inspect.iscoroutinefunction(found) else ""
    line = f"{before}{name}({', '.join(parts)}){returns}"
    if len(line) > 100:
        line = f"{before}{name}(\n" + "".join(f"    {part},\n" for part in parts) + f"){returns}"
    return f"```text\n{line}\n```\n"


def _returned(found: Any, signature: inspect.Signature) -> str:
    """Returns the type of the result: a context manager, if a decorator makes one."""
    annotation = _annotation(signature.return_annotation)
    body = inspect.unwrap(found)
    if body is not found and inspect.isasyncgenfunction(body):
        return annotation.replace("AsyncIterator", "AbstractAsyncContextManager")
    if body is not found and inspect.isgeneratorfunction(body):
        return annotation.replace("Iterator", "AbstractContextManager")
    return annotation


def _annotation(annotation: Any) -> str:
    if annotation is inspect.Signature.empty or annotation is None:
        return "None" if annotation is None else "Any"
    return annotation if isinstance(annotation, str) else getattr(annotation, "__name__", str(annotation))


def _value(value: Any) -> str:
    if isinstance(value, enum.Enum) or inspect.isclass(value):
        return str(value.__name__ if inspect.isclass(value) else value)
    if isinstance(value, msgspec.Struct):
        return f"{type(value).__name__}()" if value == type(value)() else repr(value)
    if value is prometheus_client.REGISTRY:
        return "REGISTRY"
    if isinstance(value, str):
        return f'"{value}"'
    return repr(value)


def _fields(found: type) -> dict[str, tuple[str, str]] | None:
    """Returns type and default of each field of a Struct or dataclass, else None."""
    annotations: dict[str, Any] = {}
    for base in reversed(found.__mro__):
        annotations |= inspect.get_annotations(base)
    if issubclass(found, msgspec.Struct):
        listed = {}
        for field in msgspec.structs.fields(found):
            default = field.default_factory() if callable(field.default_factory) else field.default
            known = default is not msgspec.NODEFAULT
            listed[field.name] = (_annotation(annotations[field.name]), _value(default) if known else "")
        return listed
    if hasattr(found, "__dataclass_fields__"):
        return {name: (_annotation(annotations[name]), "") for name in found.__dataclass_fields__}
    return None


# Docstrings


def _doc(found: Any, fields: dict[str, tuple[str, str]]) -> str:
    prose, sections = _sections(inspect.getdoc(found) or "")
    remaining = dict(sections)
    entries = _entries(remaining.pop("Attributes", ""))
    if fields:
        described = {**_below(found), **entries}
        lines = []
        for name, (type_, default) in fields.items():
            after = f", default `{default}`" if default else ""
            lines.append(f"- `{name}` (`{type_}`{after}): {described.get(name, '')}".rstrip(": ") + "\n")
        prose += "\nFields:\n\n" + "".join(lines)
    elif entries:
        remaining["Attributes"] = "\n".join(f"{name}: {text}" for name, text in entries.items())
    for section, text in remaining.items():
        if section in _PARAMETERS:
            prose += f"\n{_PARAMETERS[section]}:\n\n{_list(_entries(text))}"
        else:
            prose += f"\n{section}: {_flow(text)}\n"
    return prose


def _sections(doc: str) -> tuple[str, list[tuple[str, str]]]:
    prose: list[str] = []
    sections: list[tuple[str, list[str]]] = []
    for line in doc.splitlines():
        if _SECTION.fullmatch(line):
            sections.append((line[:-1], []))
        elif sections and (not line or line.startswith(" ")):
            sections[-1][1].append(line)
        else:
            prose.append(line)
    paragraphs = re.split(r"\n\s*\n", "\n".join(prose).strip())
    text = "\n\n".join(each if each.startswith("    ") else _lines(each) for each in paragraphs)
    return text + "\n", [(name, textwrap.dedent("\n".join(lines)).strip()) for name, lines in sections]


def _lines(paragraph: str) -> str:
    """Puts a paragraph, or each item of a list, into a line of its own."""
    return "\n".join(map(_flow, re.split(r"\n(?=- )", paragraph)))


def _entries(text: str) -> dict[str, str]:
    entries: dict[str, str] = {}
    name = ""
    for line in text.splitlines():
        found = None if line.startswith(" ") else _ENTRY.fullmatch(line)
        if found:
            name = found["name"]
            entries[name] = found["text"]
        elif name:
            entries[name] = f"{entries[name]} {line.strip()}".strip()
    return entries


def _list(entries: dict[str, str]) -> str:
    return "".join(f"- `{name}`: {text}\n" for name, text in entries.items())


def _below(found: type) -> dict[str, str]:
    """Returns the strings below the fields of a class and of its bases."""
    described: dict[str, str] = {}
    for base in reversed(found.__mro__):
        if not base.__module__.startswith("kinform"):
            continue
        body = ast.parse(textwrap.dedent(inspect.getsource(base))).body[0]
        assert isinstance(body, ast.ClassDef)
        for statement, after in zip(body.body, body.body[1:], strict=False):
            if isinstance(statement, ast.AnnAssign) and isinstance(statement.target, ast.Name):
                described.pop(statement.target.id, None)
                if isinstance(after, ast.Expr) and isinstance(after.value, ast.Constant):
                    described[statement.target.id] = _flow(inspect.cleandoc(str(after.value.value)))
    return described


def _flow(text: str) -> str:
    return " ".join(text.split())


# The command line


def _options(command: str) -> str:
    found: click.Command = importlib.import_module(COMMANDS[command]).command
    context = click.Context(found, info_name=f"kinform {command}")
    usage = found.get_usage(context).removeprefix("Usage: ")
    rows = "".join(_row(parameter) for parameter in found.params if isinstance(parameter, click.Option))
    return f"```text\n{usage}\n```\n\n{_flow_all(found.help or '')}\n\n| option | default | |\n|---|---|---|\n{rows}"


def _json(command: str) -> str:
    """Returns the fields of a report, and those of the structures in it."""
    module = importlib.import_module(f"kinform.cli.{command}.report")
    structures = {name: found for name, found in vars(module).items() if inspect.isclass(found)}
    shown = [list(structures)[-1]]  # the report is below its parts
    for name in shown:
        types = " ".join(type_ for type_, _ in (_fields(structures[name]) or {}).values())
        shown += [each for each in re.findall(r"\w+", types) if each in structures and each not in shown]
    return "\n".join(_structure(name, structures[name]) for name in shown)


def _structure(name: str, found: Any) -> str:
    described = _entries(dict(_sections(inspect.getdoc(found) or "")[1])["Attributes"])
    fields = _fields(found) or {}
    lines = [f"- `{field}` (`{type_}`): {described[field]}\n" for field, (type_, _) in fields.items()]
    first = (inspect.getdoc(found) or "").splitlines()[0]
    return f"**{name}**: {first}\n\n{''.join(lines)}"


def _row(option: click.Option) -> str:
    value = "" if option.is_flag else " " + (option.metavar or _choices(option))
    default = option.default if option.show_default and not option.is_flag else ""
    written = ", ".join(f"`{flag}{value}`" for flag in option.opts)
    return f"| {written} | {f'`{default}`' if default != '' else ''} | {option.help} |\n".replace("`-", "`-")


def _choices(option: click.Option) -> str:
    kind = option.type
    return "\\|".join(map(str, kind.choices)) if isinstance(kind, click.Choice) else "VALUE"


def _flow_all(text: str) -> str:
    return "\n\n".join(_flow(paragraph) for paragraph in re.split(r"\n\s*\n", text.strip()))


def stale() -> Iterator[str]:
    """Returns the pages that differ from the code."""
    for page in pages():
        if filled(page.read_text()) != page.read_text():
            yield str(page.relative_to(ROOT))


def main() -> int:
    """Fills all pages, and prints the names of those that changed."""
    for name in list(stale()):
        page = ROOT / name
        page.write_text(filled(page.read_text()))
        print(name)
    return 0


if __name__ == "__main__":
    sys.exit(main())
