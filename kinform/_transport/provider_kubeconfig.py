"""Asks the auth provider of a kubeconfig for a token: `oidc` and `gcp`.

kubernetes_asyncio does it, and is imported only here: such kubeconfigs are rare, and client-go no longer knows `gcp`.
A provider that renews its token writes it into the kubeconfig, because a refresh token may be accepted once only.

Source: kubernetes_asyncio's `config/kube_config.py`.
"""

from __future__ import annotations

import logging
from pathlib import Path

import msgspec

from kinform._transport.access import ClusterAccess
from kinform._transport.authorization import TOKEN, CredentialError, bearer_token, is_token
from kinform._transport.kubeconfig import Context
from kinform._transport.lean_import import Configuration

# Shared with `connection`: one logger for all that happens to a connection (docs/reference/logs.md).
_log = logging.getLogger("kinform.connection")


async def ask_provider(context: Context, access: ClusterAccess) -> ClusterAccess:
    """Returns the access with the token of the provider.

    Raises:
        CredentialError: The provider failed. The text contains only the class of the error, since kubernetes_asyncio
            quotes credentials.
        OSError: The provider cannot be reached.
    """
    from kubernetes_asyncio.config.kube_config import KubeConfigLoader

    # Only the user is from the kubeconfig. All else is read by `kubeconfig`.
    loader = KubeConfigLoader(
        config_dict={
            "contexts": [{"name": "it", "context": {"cluster": "it", "user": "it"}}],
            "clusters": [{"name": "it", "cluster": {"server": "http://unused"}}],
            "users": [{"name": "it", "user": context.user.fields}],
        },
        active_context="it",
        config_persister=lambda _: _save(context),
    )
    try:
        await loader.load_and_set(Configuration())
        token = loader.token.removeprefix("Bearer ")
    except OSError:
        raise
    except Exception as error:
        raise CredentialError(type(error).__name__) from None
    if not is_token(token):
        raise CredentialError(f"the auth provider did not give {TOKEN}")
    return msgspec.structs.replace(access, authorization=bearer_token(token))


def _save(context: Context) -> None:
    import yaml

    path = context.user.path
    try:
        Path(path).write_text(yaml.safe_dump(context.user_file, default_flow_style=False))
    except OSError as error:
        _log.warning("kubeconfig %s: a renewed token cannot be saved: %s", path, error.strerror)
