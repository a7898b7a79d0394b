"""Examples at the end of every `--help`: what a person types first, each with a word on why."""

from __future__ import annotations

_EXAMPLES: dict[str, tuple[tuple[str, str], ...]] = {
    "": (
        ("Check a file, see what it becomes, apply it, and look at it:", "pantala validate model.yaml"),
        ("", "pantala render model.yaml"),
        ("", "kubectl apply -f model.yaml"),
        ("", "pantala status resnet"),
    ),
    "digest": (
        ("The line for `digest:` of a version:", "pantala digest s3://models/resnet/1/resnet.mar"),
        ("An S3 store that is not AWS:", "pantala digest --endpoint https://s3.example.com s3://models/resnet/1/"),
    ),
    "doctor": (
        ("Is Dragonfly in order for all models?", "pantala doctor"),
        ("For those of one namespace:", "pantala doctor -n vision --dragonfly-namespace p2p"),
        (
            "The next steps alone:",
            "pantala doctor -o json | jq -r '.findings[] | select(.severity != \"ok\").next'",
        ),
    ),
    "fetch": (
        (
            "What the init container of a Triton pod does:",
            "pantala fetch --uri s3://models/add/ --to /models --layout triton --model-name add",
        ),
        (
            "Weights that must be these and no others:",
            "pantala fetch --uri https://example.com/resnet.mar --to /tmp/weights --digest sha256:9f86d0...",
        ),
    ),
    "gpus": (
        ("What is left, on all nodes?", "pantala gpus"),
        ("Who has the cards of a node, card by card?", "pantala gpus --node gpu-1 -o wide"),
        (
            "Nodes with 8 GiB left on one card that HAMi shares:",
            "pantala gpus --provider hami -o json | jq -r '.resources[] | select(.unit == \"MiB\" and .freeOnOneCard >= 8192).node'",
        ),
    ),
    "operator": (
        (
            "From a shell, on the cluster of the kubeconfig:",
            "pantala operator --kubeconfig ~/.kube/config --log-format plain",
        ),
        (
            "With rights in two namespaces only:",
            "pantala operator --namespace vision --namespace speech --lease-namespace vision",
        ),
    ),
    "refresh": (
        ("See what would change, and write nothing:", "pantala refresh resnet -n vision --dry-run"),
        ("Without a question, for scripts:", "pantala refresh resnet -n vision --yes"),
    ),
    "render": (
        ("All objects of a model, without the operator's books:", "pantala render --brief model.yaml"),
        ("Would the API server take them?", "pantala render model.yaml | kubectl apply --dry-run=server -f -"),
        (
            "The routes too, as Istio gets them:",
            "pantala render --mesh istio --gateway istio-system/ingress --domain models.example.com model.yaml",
        ),
        ("What would change in the cluster?", "pantala render --diff model.yaml"),
        ("Only the images:", "pantala render -o json model.yaml | jq '.. | .image? // empty'"),
    ),
    "status": (
        ("All models of the cluster:", "pantala status -A"),
        ("One model, until Ctrl-C:", "pantala status resnet -n vision --watch"),
        (
            "How its replicas started, and from where their weights came:",
            "pantala status resnet -n vision --cold-start",
        ),
        (
            "Names of what is not ready:",
            "pantala status -A -o json | jq -r '.models[] | select(.ready | not).name'",
        ),
    ),
    "top": (
        ("All models of the cluster, the busiest cards first:", "pantala top -A --sort-by gpu"),
        ("One model and its pods, until Ctrl-C:", "pantala top resnet -n vision --watch"),
        (
            "Names of models with a measure that is missing:",
            "pantala top -A -o json | jq -r '.models[] | select(any(.versions[]; .autoscaler.reason)).name'",
        ),
    ),
    "validate": (
        ("All samples:", "pantala validate manifests/samples/*.yaml"),
        ("What a pipe brings:", "helm template models ./chart | pantala validate -"),
    ),
}


def epilog(command: str) -> str:
    """The examples of a command, or of `pantala` itself for an empty name, as click keeps them unwrapped."""
    lines = ["\b", "Examples:"]
    for words, line in _EXAMPLES.get(command, ()):
        lines += ([f"  # {words}"] if words else []) + [f"  {line}"]
    return "\n".join(lines)
