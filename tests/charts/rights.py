"""Rights as sets of (verb, API group, resource): those that roles grant, and those that the audit log shows in use."""

from collections.abc import Iterable, Mapping
from http import HTTPStatus
from typing import Any

from tests.cluster.audit import AuditLog, Call

Right = tuple[str, str, str]


def granted(roles: Iterable[Mapping[str, Any]]) -> set[Right]:
    """Everything that the rules of some Roles and ClusterRoles allow."""
    return {
        (verb, group, resource)
        for role in roles
        for rule in role["rules"]
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
    }


def used(calls: Iterable[Call]) -> set[Right]:
    """Everything that some calls needed a right for; discovery needs none that a role of ours gives."""
    found: set[Right] = set()
    for call in calls:
        if (target := call.raw.get("objectRef")) is None or "resource" not in target:
            continue
        group = target.get("apiGroup", "")
        found.add((call.verb, group, call.resource))
        if call.verb == "patch" and call.code == HTTPStatus.CREATED:
            # An apply that makes an object is in the log as a patch, and the API server asks for `create` as well.
            found.add(("create", group, call.resource))
    return found


def account(namespace: str, name: str) -> str:
    """User name of a service account."""
    return f"system:serviceaccount:{namespace}:{name}"


def forbidden(log: AuditLog, user: str, since: int = 0) -> list[str]:
    """What RBAC refused a user, in words; a 403 of an admission plugin (quota, a namespace that ends) is none."""
    return [
        f"{call.verb} {call.resource} {call.namespace}/{call.name}"
        for call in log.calls(since, user=user)
        if call.forbidden and f'User "{user}" cannot ' in call.raw["responseStatus"].get("message", "")
    ]
