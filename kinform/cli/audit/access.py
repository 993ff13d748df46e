"""The rules of RBAC: who may list and watch a resource in all namespaces.

Only ClusterRoleBindings give permissions for all namespaces. Rules with `resourceNames` give none for a whole
collection. Other authorizers than RBAC are unknown here.
Source: "Using RBAC Authorization" (kubernetes.io).
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

EVERYONE = ("system:authenticated", "system:serviceaccounts")
"""Groups of every service account."""


class _Named(msgspec.Struct, frozen=True):
    name: str = ""


class _Rule(msgspec.Struct, frozen=True, rename="camel"):
    verbs: list[str] = []
    api_groups: list[str] | None = None
    resources: list[str] | None = None
    resource_names: list[str] | None = None

    def covers(self, verb: str, group: str, plural: str) -> bool:
        return (
            not self.resource_names
            and not {verb, "*"}.isdisjoint(self.verbs)
            and not {group, "*"}.isdisjoint(self.api_groups or ())
            and not {plural, "*"}.isdisjoint(self.resources or ())
        )


class ClusterRole(msgspec.Struct, frozen=True):
    """A ClusterRole. The server has already added the rules of aggregated roles."""

    metadata: _Named = _Named()
    rules: list[_Rule] | None = None


class _Subject(msgspec.Struct, frozen=True):
    kind: str = ""
    name: str = ""
    namespace: str = ""


class _RoleRef(msgspec.Struct, frozen=True):
    kind: str = ""
    name: str = ""


class ClusterRoleBinding(msgspec.Struct, frozen=True, rename="camel"):
    """A ClusterRoleBinding."""

    role_ref: _RoleRef = _RoleRef()
    subjects: list[_Subject] | None = None


class Access:
    """The permissions of service accounts in all namespaces.

    Args:
        roles: All ClusterRoles.
        bindings: All ClusterRoleBindings.
    """

    def __init__(self, roles: Iterable[ClusterRole], bindings: Iterable[ClusterRoleBinding]) -> None:
        rules = {role.metadata.name: role.rules or [] for role in roles}
        self._rules: dict[tuple[str, str, str], list[_Rule]] = {}
        for binding in bindings:
            for subject in binding.subjects or ():
                identity = (subject.kind, subject.namespace if subject.kind == "ServiceAccount" else "", subject.name)
                self._rules.setdefault(identity, []).extend(rules.get(binding.role_ref.name, ()))

    def may_follow(self, namespace: str, service_account: str, group: str, plural: str) -> bool:
        """Returns whether a service account may follow a resource in all namespaces.

        Args:
            namespace: The namespace of the service account.
            service_account: Its name.
            group: The API group of the resource; `""` for the core group.
            plural: The plural of the resource; `"*"` for every one.
        """
        rules = self._rules_of(namespace, service_account)
        return all(any(rule.covers(verb, group, plural) for rule in rules) for verb in ("list", "watch"))

    def _rules_of(self, namespace: str, service_account: str) -> list[_Rule]:
        groups = (*EVERYONE, f"system:serviceaccounts:{namespace}")
        identities = [
            ("ServiceAccount", namespace, service_account),
            ("User", "", f"system:serviceaccount:{namespace}:{service_account}"),
            *(("Group", "", group) for group in groups),
        ]
        return [rule for identity in identities for rule in self._rules.get(identity, ())]
