"""What the API server says to the ReplicaSet about pods that cannot be made, read off the Deployment."""

import pytest

from pantala.status.diagnosis import diagnose
from pantala.status.reasons import Reason

QUOTA = 'pods "resnet-v1-7c9f-x" is forbidden: exceeded quota: compute, requested: requests.cpu=2, used: requests.cpu=3, limited: requests.cpu=4'
REFUSED = {
    "quota": (QUOTA, Reason.QUOTA_EXCEEDED, "Raise the ResourceQuota"),
    "quota without a request": (
        'pods "x" is forbidden: failed quota: compute: must specify requests.cpu for: fetch,server',
        Reason.QUOTA_EXCEEDED,
        "Set in `resources`",
    ),
    "limit range": (
        'pods "x" is forbidden: maximum memory usage per Container is 1Gi, but limit is 8Gi',
        Reason.LIMIT_RANGE,
        "what the LimitRange allows",
    ),
    "pod security, socket": (
        'pods "x" is forbidden: violates PodSecurity "baseline:latest": hostPath volumes (volume "dragonfly")',
        Reason.POD_SECURITY,
        "set `distribution.proxy` or `distribution.mode: Direct`, or change the namespace's Pod Security level.",
    ),
    "pod security, socket and cache": (
        'violates PodSecurity "restricted:latest": restricted volume types (volumes "dragonfly", "models" use type "hostPath")',
        Reason.POD_SECURITY,
        "set `storage.cache.emptyDir` or `storage.cache.pvc`, or change the namespace's Pod Security level.",
    ),
    "pod security, volume of the template": (
        'pods "x" is forbidden: violates PodSecurity "baseline:latest": hostPath volumes (volume "etc")',
        Reason.POD_SECURITY,
        "Change `template.spec` or the namespace's Pod Security level.",
    ),
    "pod security": (
        'pods "x" is forbidden: violates PodSecurity "restricted:latest": runAsNonRoot != true',
        Reason.POD_SECURITY,
        "Pod Security level",
    ),
    "service account": (
        'pods "x" is forbidden: error looking up service account vision/models: serviceaccount "models" not found',
        Reason.PODS_REJECTED,
        "Create the ServiceAccount",
    ),
    "webhook": (
        'admission webhook "policy.example.com" denied the request: no latest tag',
        Reason.PODS_REJECTED,
        "no latest tag",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_pods_that_cannot_be_made(case: str) -> None:
    """The reason, the words and the next step."""
    text, reason, step = REFUSED[case]
    progress = {"type": "Progressing", "status": "True", "reason": "NewReplicaSetCreated"}
    failure = {"type": "ReplicaFailure", "status": "True", "reason": "FailedCreate", "message": text}
    problem = diagnose({"metadata": {"name": "resnet-v1"}, "status": {"conditions": [progress, failure]}}, [])
    assert problem is not None
    assert problem.reason is reason
    assert "Deployment resnet-v1" in problem.message
    assert text in problem.message
    assert step in problem.message
