"""Asks the auth provider of a kubeconfig for a token: `oidc` and `gcp`.

kubernetes_asyncio does it, and is imported only here: such kubeconfigs are rare, and client-go no longer knows `gcp`.
A provider that renews its token writes it into the kubeconfig, because a refresh token may be accepted once only.

Source: kubernetes_asyncio's `config/kube_config.py`.
"""

from __future__ import annotations

import errno
import logging
import os
import stat

import msgspec

from kinform._errors import OptionError
from kinform._transport.access import ClusterAccess
from kinform._transport.authorization import TOKEN, CredentialError, bearer_token, is_token
from kinform._transport.kubeconfig import Context, read_file
from kinform._transport.lean_import import Configuration

_IRREPLACEABLE = (errno.EBUSY, errno.EXDEV, errno.EACCES, errno.EPERM, errno.EROFS)
"""Errors that say that a file cannot be replaced. Not ENOSPC: a file that is overwritten could lose its end."""

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

    # Only the user is from the kubeconfig. All else is read by `kubeconfig`. Without `exec`: kubernetes_asyncio logs
    # what is wrong with a plugin, and quotes the user.
    user = {name: field for name, field in context.user.fields.items() if name != "exec"}
    loader = KubeConfigLoader(
        config_dict={
            "contexts": [{"name": "it", "context": {"cluster": "it", "user": "it"}}],
            "clusters": [{"name": "it", "cluster": {"server": "http://unused"}}],
            "users": [{"name": "it", "user": user}],
        },
        active_context="it",
        config_persister=lambda _: _save(context),
    )
    failed = ""
    try:
        await loader.load_and_set(Configuration())
    except OSError:
        raise
    except Exception as error:
        failed = type(error).__name__
    if failed:  # not in the `except`: the context of an error is an error, too
        raise CredentialError(failed)
    token = getattr(loader, "token", "").removeprefix("Bearer ")
    if not is_token(token):
        raise CredentialError(f"the auth provider did not give {TOKEN}")
    return msgspec.structs.replace(access, authorization=bearer_token(token))


def _save(context: Context) -> None:
    """Writes the fields of the user into its file.

    Reads the file again, because other programs may have written it in the meantime.
    """
    import yaml

    path = context.user.path
    try:
        file = read_file(path)
        for entry in file.sections("users"):
            if entry.text("name") == context.user_name:
                entry.fields["user"] = context.user.fields
                _replace(os.path.realpath(path), yaml.safe_dump(file.fields, default_flow_style=False))
                return
        why = "its user is no longer in the file"
    except OptionError:
        why = "the file is no longer valid"
    except OSError as error:
        why = error.strerror or type(error).__name__
    _log.warning("kubeconfig %s: a renewed token cannot be saved: %s", path, why)


def _replace(path: str, text: str) -> None:
    """Replaces a file in one step, so that no other program reads half of it.

    Overwrites a file that cannot be replaced, such as one that is mounted by itself into a container.
    """
    import tempfile

    data, state = text.encode(), os.stat(path)
    folder, name = os.path.split(path)
    try:
        descriptor, temporary = tempfile.mkstemp(prefix=f".{name}-", dir=folder)
        try:
            with open(descriptor, "wb") as file:
                file.write(data)
                file.flush()
                os.fchown(descriptor, state.st_uid, state.st_gid)
                os.fchmod(descriptor, stat.S_IMODE(state.st_mode))
                os.fsync(descriptor)
            os.replace(temporary, path)
        except BaseException:
            os.unlink(temporary)
            raise
    except OSError as error:
        if error.errno not in _IRREPLACEABLE:
            raise
        with open(path, "r+b") as file:  # not "wb", which would empty it first
            file.write(data)
            file.truncate()
