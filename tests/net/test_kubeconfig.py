"""Kubeconfigs: merging, fields, impersonation, auth providers, and errors."""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from kinform._errors import OptionError, TransportError
from kinform._transport.access import ClusterAccess
from kinform._transport.authorization import MAX_TOKEN_BYTES
from kinform._transport.credentials import KubeconfigSource
from kinform._transport.kubeconfig import Kubeconfig
from tests.support.kubeconfig import write_contexts
from tests.support.tls import CERTIFICATES

CA = (CERTIFICATES / "ca.pem").read_text()


async def load(*paths: Path | str, context: str | None = None) -> ClusterAccess:
    return await KubeconfigSource(os.pathsep.join(map(str, paths)), context).load()


async def load_one(
    folder: Path,
    user: Any = None,
    cluster: Any = None,
    **fields: object,
) -> ClusterAccess:
    """Loads a kubeconfig of one https cluster with fields of its user and cluster."""
    cluster = {"server": "https://127.0.0.1:1"} | (cluster or {})
    path = write_contexts(
        folder / "one", "shop", user=user, **({"clusters": [{"name": "shop", "cluster": cluster}]} | fields)
    )
    return await load(path)


async def error_of(folder: Path, user: Any = None, cluster: Any = None, **fields: object) -> str:
    with pytest.raises(OptionError, match=r"^connect\.target: ") as caught:
        await load_one(folder, user, cluster, **fields)
    assert "secret" not in str(caught.value)
    assert str(folder / "one") in str(caught.value)
    return str(caught.value)


def encoded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def authorization(access: ClusterAccess) -> str | None:
    return None if access.authorization is None else access.authorization()


def text_of(path: str | None, data: str | None = None) -> str | None:
    return data if path is None else Path(path).read_text()


# --- merging


async def test_the_first_file_wins_per_name_and_context(tmp_path: Path) -> None:
    one = write_contexts(tmp_path / "one", "shop", url="http://one")
    two = write_contexts(tmp_path / "two", "till", "shop", url="http://two")
    assert (await load(one, two)).server == "http://one/shop"
    assert (await load(two, one)).server == "http://two/till"
    assert (await load(two, one, context="shop")).server == "http://two/shop"
    assert (await load(one, two, context="till")).server == "http://two/till"


async def test_a_context_may_refer_to_entries_of_other_files(tmp_path: Path) -> None:
    one = write_contexts(tmp_path / "one", "shop", url="http://one", users=[], clusters=None)
    two = write_contexts(tmp_path / "two", "shop", url="http://two", contexts=[], **{"current-context": None})
    access = await load(one, two)
    assert (access.server, authorization(access)) == ("http://two/shop", "Bearer token-of-shop")


async def test_missing_and_empty_files_are_ignored(tmp_path: Path) -> None:
    one = write_contexts(tmp_path / "one", "shop", url="http://one")
    (tmp_path / "empty").touch()
    assert (await load(tmp_path / "none", "", tmp_path / "empty", one)).server == "http://one/shop"
    with pytest.raises(OptionError, match="at least one exists"):
        await load(tmp_path / "none", tmp_path / "neither")


async def test_a_path_is_relative_to_the_file_that_has_it(tmp_path: Path) -> None:
    for name in ("clusters/ca.pem", "users/mine.pem", "users/key.pem"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    cluster = {"server": "https://host", "certificate-authority": "../clusters/ca.pem"}
    one = write_contexts(tmp_path / "clusters/one", "shop", users=[], clusters=[{"name": "shop", "cluster": cluster}])
    user = {"client-certificate": "mine.pem", "client-key": str(tmp_path / "users/key.pem"), "tokenFile": "token"}
    two = write_contexts(tmp_path / "users/two", "shop", user=user, clusters=[])
    (tmp_path / "users/token").write_text("t0\n")
    access = await load(one, two)
    assert access.ca_file == str(tmp_path / "clusters/ca.pem")
    assert access.certificate_file == str(tmp_path / "users/mine.pem")
    assert access.key_file == str(tmp_path / "users/key.pem")
    assert authorization(access) == "Bearer t0"


async def test_an_entry_of_another_context_is_not_checked(tmp_path: Path) -> None:
    more = [{"name": "broken", "cluster": 3}, {"name": "shop", "cluster": {"server": "https://host"}}]
    assert (await load_one(tmp_path, clusters=more)).server == "https://host"


# --- the cluster


async def test_fields_of_the_cluster(tmp_path: Path) -> None:
    access = await load_one(
        tmp_path,
        cluster={
            "server": "https://host:6443/k8s/",
            "insecure-skip-tls-verify": True,
            "tls-server-name": "name",
            "proxy-url": "http://proxy:3128",
            "disable-compression": True,
        },
    )
    assert (access.server, access.verify, access.tls_server_name, access.proxy_url) == (
        "https://host:6443/k8s",
        False,
        "name",
        "http://proxy:3128",
    )


async def test_inline_certificates_have_precedence_over_files(tmp_path: Path) -> None:
    folded = "\n".join(encoded(CA)[at : at + 60] for at in range(0, len(encoded(CA)), 60))
    access = await load_one(
        tmp_path,
        {
            "client-certificate": "none.pem",
            "client-certificate-data": encoded("certificate é"),
            "client-key-data": encoded("key"),
        },
        {"certificate-authority": "none.pem", "certificate-authority-data": folded},
    )
    assert access.ca_data == CA
    assert access.certificate_data == "certificate "  # PEM is ASCII
    assert access.key_data == "key"
    assert access.ca_file is access.certificate_file is access.key_file is None


async def test_empty_and_null_fields_are_missing(tmp_path: Path) -> None:
    names = ("certificate-authority", "certificate-authority-data", "proxy-url", "insecure-skip-tls-verify")
    access = await load_one(tmp_path, None, dict.fromkeys(names, None) | {"certificate-authority-data": ""})
    assert (access.ca_file, access.ca_data, access.proxy_url, access.verify) == (None, None, None, True)


async def test_certificates_are_not_read_for_an_http_server(tmp_path: Path) -> None:
    user = {"client-certificate": "none.pem", "client-key": "none.pem", "token": "t0"}
    access = await load_one(tmp_path, user, {"server": "http://host", "certificate-authority": "none.pem"})
    assert access.certificate_file is access.ca_file is None
    assert authorization(access) == "Bearer t0"


# --- the user


@pytest.mark.parametrize(
    ("user", "header"),
    [
        ({"token": "t0", "tokenFile": "none"}, "Bearer t0"),
        ({"token": "t0", "username": "me", "password": "p"}, "Bearer t0"),
        ({"token": "t0\n"}, "Bearer t0"),
        ({"token": 123}, "Bearer 123"),
        ({"username": "me", "password": 123}, f"Basic {encoded('me:123')}"),
        ({"username": "mé", "password": ""}, f"Basic {encoded('mé:')}"),
        ({"token": "t0", "auth-provider": {"name": "azure"}}, "Bearer t0"),
        ({"token": None}, None),
    ],
)
async def test_a_token_is_preferred_to_a_password(tmp_path: Path, user: Any, header: str | None) -> None:
    assert authorization(await load_one(tmp_path, user)) == header


async def test_a_user_may_be_null_and_http_needs_none(tmp_path: Path) -> None:
    assert authorization(await load_one(tmp_path, users=[{"name": "shop", "user": None}])) is None
    contexts = [{"name": "shop", "context": {"cluster": "shop"}}]
    assert authorization(await load_one(tmp_path, None, {"server": "http://host"}, contexts=contexts)) is None
    assert "a user in" in await error_of(tmp_path, contexts=contexts)


async def test_a_token_file_is_read_at_each_request(tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text("first")
    access = await load_one(tmp_path, {"token": "", "tokenFile": "token"})
    token.write_text(" second\n")
    assert authorization(access) == "Bearer second"
    for broken in ("", "secret\nsecret"):
        token.write_text(broken)
        with pytest.raises(OSError, match="does not contain a bearer token") as caught:
            authorization(access)
        assert "secret" not in str(caught.value)


@pytest.mark.parametrize("contents", [b"hunter2 hunter2", b"hunter2\xff", b"x" * (MAX_TOKEN_BYTES + 1), b"", None])
async def test_a_file_that_is_no_token_is_refused_at_once(tmp_path: Path, contents: bytes | None) -> None:
    if contents is None:
        os.mkfifo(tmp_path / "token")
    else:
        (tmp_path / "token").write_bytes(contents)
    with pytest.raises(TransportError, match="token does not contain a bearer token") as caught:
        await load_one(tmp_path, {"tokenFile": "token"})
    assert "hunter2" not in repr((caught.value, caught.value.__cause__, caught.value.__context__))


async def test_the_error_names_a_missing_token_file(tmp_path: Path) -> None:
    with pytest.raises(TransportError, match=f"{tmp_path}/none") as caught:
        await load_one(tmp_path, {"tokenFile": "none"})
    assert not caught.value.reached


@pytest.mark.parametrize(
    ("user", "cluster"),
    [
        ({"token": "t0", "username": "me", "password": "p"}, {"proxy-url": "http://proxy:1", "tls-server-name": "n"}),
        ({"username": "me", "password": "é"}, {"server": "https://host/", "insecure-skip-tls-verify": True}),
        ({"tokenFile": "token"}, {"certificate-authority": str(CERTIFICATES / "ca.pem")}),
        ({"client-certificate-data": encoded(CA), "client-key-data": encoded(CA)}, {"server": "https://host:1/a/b"}),
        ({"client-certificate": "token"}, {"certificate-authority-data": encoded(CA)}),
        ({}, {}),
    ],
)
async def test_the_access_is_that_of_kubernetes_asyncio(tmp_path: Path, user: Any, cluster: Any) -> None:
    from kubernetes_asyncio.config.kube_config import load_kube_config

    from kinform._transport.lean_import import Configuration

    (tmp_path / "token").write_text("t0")
    access = await load_one(tmp_path, {"unused": 1} | user, cluster)
    other = Configuration()
    await load_kube_config(str(tmp_path / "one"), client_configuration=other)
    assert access.server == other.host
    assert authorization(access) == other.api_key.get("BearerToken")
    assert (access.verify, access.tls_server_name, access.proxy_url) == (
        other.verify_ssl,
        other.tls_server_name,
        other.proxy,
    )
    for path, data, file in (
        (access.ca_file, access.ca_data, other.ssl_ca_cert),
        (access.certificate_file, access.certificate_data, other.cert_file),
        (access.key_file, access.key_data, other.key_file),
    ):
        assert text_of(path, data) == text_of(file)


async def test_impersonation_becomes_headers(tmp_path: Path) -> None:
    user = {
        "as": "jane",
        "as-uid": 7,
        "as-groups": ["dev", "ops team"],
        "as-user-extra": {"reason": ["why", "how"], "acme.com/Scope%é": ["all"]},
    }
    assert (await load_one(tmp_path, user)).headers == (
        ("Impersonate-User", "jane"),
        ("Impersonate-Uid", "7"),
        ("Impersonate-Group", "dev"),
        ("Impersonate-Group", "ops team"),
        ("Impersonate-Extra-reason", "why"),
        ("Impersonate-Extra-reason", "how"),
        ("Impersonate-Extra-acme.com%2FScope%25%C3%A9", "all"),
    )


@pytest.mark.parametrize(
    "fields", [{"as-uid": "secret"}, {"as-groups": ["secret"]}, {"as-user-extra": {"secret": ["secret"]}}]
)
async def test_impersonation_needs_a_user(tmp_path: Path, fields: Any) -> None:
    assert "`as` of the user of context 'shop'" in await error_of(tmp_path, fields)


@pytest.mark.parametrize("name", ["name", "api.shop_1.example", "münchen.example", "10.0.0.1", "fd00::1", "x" * 63])
async def test_a_server_name_is_a_host_name_or_an_address(tmp_path: Path, name: str) -> None:
    assert (await load_one(tmp_path, cluster={"tls-server-name": name})).tls_server_name == name


# --- errors


@pytest.mark.parametrize(
    ("user", "cluster", "field"),
    [
        ({}, {"server": "secret"}, "`server` of the cluster of"),
        ({}, {"server": "https://me:secret@host"}, "`server` of the cluster of"),
        ({}, {"server": ["secret"]}, "`server` of the cluster of"),
        ({}, {"insecure-skip-tls-verify": "secret"}, "true or false in `insecure-skip-tls-verify`"),
        ({}, {"insecure-skip-tls-verify": "false"}, "true or false in `insecure-skip-tls-verify`"),
        ({}, {"tls-server-name": "https://secret"}, "a host name or an IP address in `tls-server-name` of"),
        ({}, {"tls-server-name": "secret:443"}, "`tls-server-name` of the cluster of"),
        ({}, {"tls-server-name": ".secret"}, "`tls-server-name` of the cluster of"),
        ({}, {"tls-server-name": "secret."}, "`tls-server-name` of the cluster of"),
        ({}, {"tls-server-name": "secret" * 11}, "`tls-server-name` of the cluster of"),
        ({}, {"tls-server-name": "secret." * 40 + "x"}, "`tls-server-name` of the cluster of"),
        ({}, {"tls-server-name": "*.secret"}, "`tls-server-name` of the cluster of"),
        ({}, {"certificate-authority-data": "secret"}, "base64 text in `certificate-authority-data`"),
        ({}, {"certificate-authority": "none"}, "`certificate-authority` of the cluster of"),
        ({"client-certificate": "none"}, {}, "`client-certificate` of the user of"),
        ({"client-certificate-data": "AAAA", "client-key": "none"}, {}, "`client-key` of the user of"),
        ({"token": "secret secret"}, {}, "`token` of the user of"),
        ({"token": ["secret"]}, {}, "text (in quotes if YAML takes it for something else) in `token`"),
        ({"username": "\0secret"}, {}, "`username` of the user of"),
        ({"as": "secret\n"}, {}, "`as` of the user of"),
        ({"as": "me", "as-groups": "secret"}, {}, "a list in `as-groups`"),
        ({"as": "me", "as-groups": [["secret"]]}, {}, "`as-groups` of the user of"),
        ({"as": "me", "as-user-extra": ["secret"]}, {}, "a mapping in `as-user-extra`"),
        ({"as": "me", "as-user-extra": {"a": "secret"}}, {}, "a list in `as-user-extra.a`"),
        ({"exec": "secret"}, {}, "a mapping in `exec`"),
        ({"auth-provider": {"name": "secret"}}, {}, "gcp or oidc in `auth-provider.name`"),
    ],
)
async def test_an_error_names_file_context_and_field(tmp_path: Path, user: Any, cluster: Any, field: str) -> None:
    text = await error_of(tmp_path, {"unused": 1} | user, cluster)
    assert field in text
    assert "context 'shop'" in text


@pytest.mark.parametrize(
    "text",
    [
        "- secret",
        "a: [secret",
        "a: !secret b",
        "? [secret]\n: a",
        "a: 2020-99-99",
        "a: \0secret",
        "[" * 2000,
        "users: {secret: a}",
        "users: [[secret]]",
        "users: [{name: {secret: a}}]",
        "current-context: [secret]",
    ],
)
async def test_an_invalid_file_is_an_option_error(tmp_path: Path, text: str) -> None:
    good, bad = write_contexts(tmp_path / "good", "shop"), tmp_path / "bad"
    bad.write_text(text)
    with pytest.raises(OptionError) as caught:
        await load(good, bad)
    assert str(bad) in str(caught.value)
    assert "secret" not in str(caught.value)


async def test_a_folder_is_not_a_kubeconfig(tmp_path: Path) -> None:
    with pytest.raises(OptionError, match="can be read"):
        await load(tmp_path)


SCALARS = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=8), st.just("https://h"), st.just("shop")
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=2),
    max_leaves=4,
)
CLUSTER_FIELDS = ("server", "certificate-authority", "certificate-authority-data", "insecure-skip-tls-verify")
USER_FIELDS = ("token", "tokenFile", "username", "client-certificate", "client-key-data", "as", "as-groups")
USERS = st.dictionaries(st.sampled_from([*USER_FIELDS, "as-user-extra", "as-uid", "auth-provider"]), VALUES)
CLUSTERS = st.dictionaries(st.sampled_from([*CLUSTER_FIELDS, "tls-server-name", "proxy-url"]), VALUES)


@given(user=USERS | VALUES, cluster=CLUSTERS | VALUES, context=VALUES)
@example(user={}, cluster={"server": "https://h"}, context={"cluster": "shop", "user": "shop"})
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
async def test_any_value_loads_or_is_an_error_of_kinform(tmp_path: Path, user: Any, cluster: Any, context: Any) -> None:
    path = tmp_path / "one"
    for chosen in (context, {"cluster": "shop", "user": "shop"}):
        document = {
            "current-context": "shop",
            "contexts": [{"name": "shop", "context": chosen}],
            "clusters": [{"name": "shop", "cluster": cluster}],
            "users": [{"name": "shop", "user": user}],
        }
        path.write_text(json.dumps(document))
        try:
            access = await load(path)
        except (OptionError, TransportError):
            continue
        assert access.server == "https://h"
        assert all(value.isprintable() for _, value in access.headers)


# --- secrets and imports


def test_no_repr_shows_a_credential(tmp_path: Path) -> None:
    path = write_contexts(tmp_path / "one", "shop", user={"token": "s3cret", "client-key-data": encoded("s3cret")})
    context = Kubeconfig(str(path)).context(None)
    for shown in (context, context.user, context.cluster, context.access()):
        assert "s3cret" not in repr(shown)
        assert encoded("s3cret") not in repr(shown)


def test_a_plain_kubeconfig_needs_no_kubernetes_asyncio(tmp_path: Path) -> None:
    path = write_contexts(tmp_path / "one", "shop")
    program = f"""
import asyncio, sys
from kinform._transport.credentials import KubeconfigSource, find_source
asyncio.run(find_source("http://host", context=None, token="t", ca=None, verify=True).load())
assert "yaml" not in sys.modules
access = asyncio.run(KubeconfigSource({str(path)!r}, None).load())
assert access.authorization() == "Bearer token-of-shop"
print(sorted({{"kubernetes_asyncio", "aiohttp"}} & set(sys.modules)))
"""
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert ran.stdout == "[]\n"
