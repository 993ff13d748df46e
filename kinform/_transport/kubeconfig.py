"""Kubeconfig files: reads and merges them, and gives the access of one context.

Several files are merged as kubectl does it. The first file that has an entry of a name, or a `current-context`, wins.
Missing files are ignored. A relative path in a file is relative to the folder of that file.

Never runs an exec plugin (`exec_plugin` does) and never asks an auth provider (`provider_kubeconfig` does). Never
shows a value of a file in an error, except the names of contexts and the paths of files. Ignores `disable-compression`
(kinform compresses lists, as far as its options say, and never a watch).

Source: "Organizing Cluster Access Using kubeconfig Files" (kubernetes.io); client-go's `tools/clientcmd` (`loader.go`,
`client_config.go`, `validation.go`) and, for impersonation, `transport/round_trippers.go`. The order of credentials is
that of kubernetes_asyncio's `kube_config.py`.
"""

from __future__ import annotations

import base64
import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import msgspec

from kinform._errors import OptionError
from kinform._transport.access import SERVER_NAME, SERVER_URL, ClusterAccess, is_server_name, is_server_url
from kinform._transport.authorization import TOKEN, basic_password, bearer_token, is_token, token_file

# The characters of a header name (RFC 9110, "token"), without `%`: client-go's `headerKeyEscape`.
_HEADER_NAME = "!#$&'*+-.^_`|~"

# YAML can escape what no argument, path or header can contain: NUL, and half a character.
_NO_TEXT = re.compile("[\0\ud800-\udfff]")


class Section:
    """A mapping in a kubeconfig, whose fields are checked when they are read.

    An error names the file, the context and the field. A field that is missing or null is empty.

    Attributes:
        fields: The mapping, as it was parsed.
        path: The file.
        owner: Whose mapping it is, for errors: `"the user of context 'shop'"`.
    """

    def __init__(self, fields: dict[str, Any], path: str, owner: str, prefix: str = "") -> None:
        self.fields = fields
        self.path = path
        self.owner = owner
        self._prefix = prefix

    def __repr__(self) -> str:
        return f"<{self._prefix or 'fields'} of {self.owner} in {self.path}>"

    def error(self, field: str, allowed: str) -> OptionError:
        """Returns the error for a field that has another value than allowed."""
        return OptionError("connect.target", self.path, f"{allowed} in `{self._prefix}{field}` of {self.owner}")

    def text(self, field: str) -> str:
        """Returns a text. A number or a boolean is taken as text, as in kubectl."""
        return self._as_text(field, self.fields.get(field))

    def texts(self, field: str) -> list[str]:
        """Returns a list of texts."""
        return [self._as_text(field, item) for item in self._items(field)]

    def flag(self, field: str) -> bool:
        """Returns a boolean."""
        value = self.fields.get(field)
        if not isinstance(value, bool | None):
            raise self.error(field, "true or false")
        return value is True

    def section(self, field: str) -> Section | None:
        """Returns the mapping in a field, or None if it is missing."""
        value = self.fields.get(field)
        return None if value is None else self._as_section(field, value)

    def sections(self, field: str) -> list[Section]:
        """Returns a list of mappings."""
        return [self._as_section(field, item) for item in self._items(field)]

    def file(self, field: str) -> str:
        """Returns a path, relative to the kubeconfig's folder or absolute."""
        path = self.text(field)
        return path and os.path.normpath(os.path.join(os.path.dirname(os.path.abspath(self.path)), path))

    def pem(self, field: str) -> tuple[str | None, str | None]:
        """Returns the path of an existing PEM file, or the text in `{field}-data`.

        The text has precedence.
        """
        data = f"{field}-data"
        if encoded := "".join(self.text(data).split()):
            try:
                # PEM is ASCII, but a comment between two certificates may not be, and OpenSSL takes ASCII only.
                return None, base64.b64decode(encoded, validate=True).decode("ascii", "ignore")
            except ValueError:
                raise self.error(data, "base64 text") from None
        path = self.file(field)
        if path and not os.path.isfile(path):
            raise self.error(field, f"the path of an existing file (there is no {path})")
        return path or None, None

    def _items(self, field: str) -> list[Any]:
        value = self.fields.get(field)
        if not isinstance(value, list | None):
            raise self.error(field, "a list")
        return value or []

    def _as_text(self, field: str, value: object) -> str:
        text = _to_text(value)
        if text is None:
            raise self.error(field, "text (in quotes if YAML takes it for something else)")
        return text

    def _as_section(self, field: str, value: object) -> Section:
        if not isinstance(value, dict):
            raise self.error(field, "a mapping")
        return Section(value, self.path, self.owner, f"{self._prefix}{field}.")


class Context(msgspec.Struct, frozen=True, kw_only=True):
    """A context with its cluster and its user.

    Attributes:
        name: The name of the context.
        cluster: The fields of the cluster.
        user_name: The name of the user, or `""`.
        user: The fields of the user; empty if the context has no user.
        namespace: The namespace of the context, or `"default"`.
    """

    name: str
    cluster: Section
    user_name: str
    user: Section
    namespace: str

    def __repr__(self) -> str:
        return f"<Context {self.name!r}>"

    def access(self) -> ClusterAccess:
        """Returns the access without what an exec plugin or an auth provider gives.

        Raises:
            OptionError: A field is not valid, or a certificate file is missing.
        """
        cluster, user = self.cluster, self.user
        server = cluster.text("server").rstrip("/")
        if not is_server_url(server):
            raise cluster.error("server", SERVER_URL)
        server_name = cluster.text("tls-server-name")
        if server_name and not is_server_name(server_name):
            raise cluster.error("tls-server-name", SERVER_NAME)
        ca_file = ca_data = certificate_file = certificate_data = key_file = key_data = None
        if _is_https(server):
            ca_file, ca_data = cluster.pem("certificate-authority")
            certificate_file, certificate_data = user.pem("client-certificate")
            if certificate_file or certificate_data:
                key_file, key_data = user.pem("client-key")
        return ClusterAccess(
            server=server,
            verify=not cluster.flag("insecure-skip-tls-verify"),
            ca_file=ca_file,
            ca_data=ca_data,
            tls_server_name=server_name or None,
            certificate_file=certificate_file,
            certificate_data=certificate_data,
            key_file=key_file,
            key_data=key_data,
            proxy_url=cluster.text("proxy-url") or None,
            headers=tuple(_impersonation_headers(user)),
            authorization=self._authorization(),
            namespace=self.namespace,
        )

    def _authorization(self) -> Callable[[], str] | None:
        user = self.user
        if token := user.text("token").strip():
            if not is_token(token):
                raise user.error("token", TOKEN)
            return bearer_token(token)
        if path := user.file("tokenFile"):
            return token_file(path)
        username, password = user.text("username"), user.text("password")
        return basic_password(username, password) if username or password else None


class Kubeconfig:
    """The files, merged.

    Attributes:
        paths: The paths, separated by `os.pathsep`, as they were given.
        current_context: The `current-context`, or `""`.
    """

    def __init__(self, paths: str) -> None:
        """Reads the files.

        Raises:
            OptionError: A file cannot be read, is not YAML or has no list of named entries; or no file exists.
        """
        self.paths = paths
        self.current_context = ""
        self._entries: dict[str, dict[str, Section]] = {kind: {} for kind in ("clusters", "contexts", "users")}
        files = [os.path.expanduser(path) for path in paths.split(os.pathsep) if path]
        files = [path for path in dict.fromkeys(files) if os.path.exists(path)]
        if not files:
            raise OptionError("connect.target", paths, "kubeconfig files of which at least one exists")
        for path in files:
            self._merge(read_file(path))

    def context(self, name: str | None) -> Context:
        """Returns a context by its name, or the current context.

        Raises:
            OptionError: There is no such context, or it has no cluster or no user.
        """
        contexts = self._entries["contexts"]
        chosen = name or self.current_context
        if not chosen:
            allowed = f"the name of a context, since {self.paths} sets no current-context; it has {list(contexts)}"
            raise OptionError("connect.context", name, allowed)
        if chosen not in contexts:
            raise OptionError("connect.context", chosen, f"a context of {self.paths}, which has {list(contexts)}")
        context = _fields(contexts[chosen], "context", f"context {chosen!r}")
        cluster = self._referred(context, "cluster", chosen)
        user_name = context.text("user")
        if user_name or _is_https(cluster.text("server")):
            user = self._referred(context, "user", chosen)
        else:
            user = Section({}, context.path, f"the user of context {chosen!r}")
        namespace = context.text("namespace") or "default"
        return Context(name=chosen, cluster=cluster, user_name=user_name, user=user, namespace=namespace)

    def _referred(self, context: Section, field: str, name: str) -> Section:
        """Returns the cluster or the user that a context refers to."""
        entry = self._entries[f"{field}s"].get(context.text(field))
        if entry is None:
            raise context.error(field, f"the name of a {field} in the kubeconfig")
        return _fields(entry, field, f"the {field} of context {name!r}")

    def _merge(self, file: Section) -> None:
        current_context = file.text("current-context")
        self.current_context = self.current_context or current_context
        for kind, entries in self._entries.items():
            for entry in file.sections(kind):
                name = entry.text("name")
                if not name:
                    raise entry.error("name", "a name")
                entries.setdefault(name, entry)


def _to_text(value: object) -> str | None:
    """Returns a scalar as text, or None if it is something else, such as a date."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int | float):
        return str(value)
    return value if isinstance(value, str) and not _NO_TEXT.search(value) else None


def _is_https(server: str) -> bool:
    return server.lower().startswith("https:")


def _fields(entry: Section, field: str, owner: str) -> Section:
    """Returns the mapping of a named entry: `user` in an entry of `users`."""
    if field not in entry.fields:
        raise entry.error(field, f"a mapping for {owner}")
    section = entry.section(field)
    return Section({} if section is None else section.fields, entry.path, owner)


def read_file(path: str) -> Section:
    """Returns the top-level mapping of a kubeconfig.

    Raises:
        OptionError: The file cannot be read, or is not a YAML mapping.
    """
    # Imported here: a pod needs no YAML, 0.8 MiB.
    import yaml

    try:
        document = yaml.load(Path(path).read_bytes(), getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    except OSError as error:
        raise OptionError("connect.target", path, f"a kubeconfig that can be read ({error.strerror})") from None
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        mark = getattr(error, "problem_mark", None)
        where = f", line {mark.line + 1}" if mark is not None else ""
        allowed = f"a kubeconfig that is valid YAML ({type(error).__name__}{where})"
        raise OptionError("connect.target", path, allowed) from None
    if document is None:  # an empty file, as kubectl takes it
        document = {}
    if not isinstance(document, dict):
        raise OptionError("connect.target", path, "a kubeconfig: a YAML mapping")
    return Section(document, path, "the file")


def _impersonation_headers(user: Section) -> Iterator[tuple[str, str]]:
    """Yields the headers of `as`, `as-uid`, `as-groups` and `as-user-extra`."""
    name = user.text("as")
    extra = user.section("as-user-extra") or Section({}, user.path, user.owner)
    headers = [("as", "Impersonate-User", name), ("as-uid", "Impersonate-Uid", user.text("as-uid"))]
    headers = [header for header in headers if header[2]]
    headers += [("as-groups", "Impersonate-Group", group) for group in user.texts("as-groups")]
    for key in extra.fields:
        text = _to_text(key)
        if not text:
            raise user.error("as-user-extra", "a mapping from text to lists of text")
        escaped = quote(text, safe=_HEADER_NAME)
        headers += [("as-user-extra", f"Impersonate-Extra-{escaped}", value) for value in extra.texts(key)]
    if headers and not name:
        raise user.error("as", "the name of a user, since there is another field of impersonation")
    for field, header, value in headers:
        if not value.isprintable():
            raise user.error(field, "printable text")
        yield header, value
