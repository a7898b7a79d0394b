"""How requests reach the model: which version answers, what is done to them on the way, and under which hosts."""

from typing import Annotated, Literal

from pydantic import Field

from pantala.api.base import Block, Duration, Label, ObjectName, Quantity, atomic, list_map

VersionName = Annotated[str, Field(min_length=1, max_length=20, pattern=r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$")]
"""The name of a version: a DNS label of at most 20 characters."""

HeaderName = Annotated[str, Field(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]*$")]
"""The name of an HTTP header; names with a colon are HTTP/2's own."""

HeaderValue = Annotated[str, Field(max_length=512, pattern=r"^[\x20-\x7e]*$")]
"""The value of an HTTP header: printable ASCII, taken as it stands."""

Method = Literal["GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH"]

AddressRange = Annotated[str, Field(min_length=2, max_length=43, pattern=r"^[0-9a-fA-F:.]+(/[0-9]{1,3})?$")]
"""An IP address, or a range of them in CIDR notation."""

Prefix = Annotated[str, Field(min_length=2, max_length=128, pattern=r"^(/[A-Za-z0-9._~-]+)+$")]
"""The beginning of the path of a URL, in whole parts: /models/resnet."""


class Share(Block):
    """The share of one version in the requests."""

    version: VersionName = Field(examples=["v1"])
    """Version that gets the share."""
    weight: Annotated[int, Field(ge=0, le=100)] = Field(examples=[80])
    """Its share in percent; all shares make 100. A version with 0 and nothing else to do is parked."""


class Mirror(Block):
    """A version that gets copies of requests; its answers are thrown away."""

    version: VersionName = Field(examples=["v3"])
    """Version that gets the copies. It must have no share, so that its figures are those of copies alone."""
    percent: Annotated[int, Field(ge=1, le=100)] = Field(default=100, examples=[25])
    """How many of the requests are copied, in percent."""


class HeaderMatch(Block):
    """A condition on one header of a request."""

    name: HeaderName = Field(examples=["x-model-version"])
    """Name of the header; case does not matter."""
    type: Literal["Exact", "Prefix", "RegularExpression"] = Field(default="Exact", examples=["Exact"])
    """How the value is compared: Exact, Prefix, or RegularExpression (RE2, on the whole value)."""
    value: Annotated[str, Field(min_length=1, max_length=256, pattern=r"^[\x20-\x7e]+$")] = Field(examples=["v2"])
    """What it is compared with."""


class TrafficRule(Block):
    """Requests that go to one version, whatever the shares."""

    name: Label = Field(examples=["pin"])
    """Name of the rule, as it appears in the route."""
    headers: Annotated[tuple[HeaderMatch, ...], Field(min_length=1, max_length=4), atomic()] | None = Field(
        default=None, examples=[[{"name": "x-model-version", "value": "v2"}]]
    )
    """Conditions on headers, all of which must hold. Default: none."""
    prefix: Prefix | None = Field(default=None, examples=["/v2/models/resnet/versions"])
    """Beginning of the path, in whole parts, behind `expose.prefix`. Default: any path."""
    version: VersionName = Field(examples=["v2"])
    """Version that gets the requests. While it has no ready replica the shares decide about them."""


class Retries(Block):
    """Which requests are sent again."""

    attempts: Annotated[int, Field(ge=0, le=10)] = Field(examples=[2])
    """How often at most, besides the first time; 0 for never."""
    retry_on: (
        Annotated[
            str,
            Field(
                min_length=1,
                max_length=256,
                pattern=r"^(5xx|gateway-error|reset|reset-before-request|connect-failure|refused-stream|retriable-4xx|cancelled|deadline-exceeded|resource-exhausted|unavailable|internal|[45][0-9]{2})(,(5xx|gateway-error|reset|reset-before-request|connect-failure|refused-stream|retriable-4xx|cancelled|deadline-exceeded|resource-exhausted|unavailable|internal|[45][0-9]{2}))*$",
            ),
        ]
        | None
    ) = Field(default=None, examples=["connect-failure,refused-stream"])
    """Conditions of Envoy or status codes, with commas. Default: connect-failure,refused-stream: only what no server has begun to process."""
    per_try_timeout: Duration | None = Field(default=None, examples=["30s"])
    """How long one attempt may take. Default: as long as the request as a whole."""


class RateLimit(Block):
    """How many requests a replica takes in a time; those beyond are answered with 429 at once, or RESOURCE_EXHAUSTED by gRPC."""

    requests: Annotated[int, Field(ge=1, le=1_000_000)] = Field(examples=[100])
    """How many requests each replica takes within `per` on each of its ports (HTTP, gRPC), counted by the replica's own sidecar."""
    per: Duration = Field(default="1s", examples=["1s"])
    """The time; at least 50ms."""


class AccessEntry(Block):
    """Requests that an access list is about; all fields that are given must fit."""

    namespaces: Annotated[tuple[Label, ...], Field(min_length=1, max_length=32), atomic()] | None = Field(
        default=None, examples=[["web"]]
    )
    """Namespaces of the clients; known where mutual TLS is on, elsewhere the entry fits no request. Default: any."""
    ip_blocks: Annotated[tuple[AddressRange, ...], Field(min_length=1, max_length=32), atomic()] | None = Field(
        default=None, examples=[["10.0.0.0/8"]]
    )
    """Addresses from which connections come: behind a gateway those of the gateway. Default: any."""
    remote_ip_blocks: Annotated[tuple[AddressRange, ...], Field(min_length=1, max_length=32), atomic()] | None = Field(
        default=None, examples=[["203.0.113.0/24"]]
    )
    """Addresses of clients as X-Forwarded-For tells them: as good as the word of whoever reaches the replicas. Default: any."""
    paths: (
        Annotated[
            tuple[Annotated[str, Field(min_length=1, max_length=256, pattern=r"^/[^\s*{}?#]*\*?$")], ...],
            Field(min_length=1, max_length=32),
            atomic(),
        ]
        | None
    ) = Field(default=None, examples=[["/v2/models/*"]])
    """Paths as the model server sees them, those of gRPC are /SERVICE/METHOD; a * at the end stands for any rest. Default: any."""
    methods: Annotated[tuple[Method, ...], Field(min_length=1, max_length=9), atomic()] | None = Field(
        default=None, examples=[["POST"]]
    )
    """HTTP methods. Default: any."""


class Access(Block):
    """Who may ask what; enforced by the sidecars of the replicas."""

    allow: Annotated[tuple[AccessEntry, ...], Field(min_length=1, max_length=16), atomic()] | None = Field(
        default=None, examples=[[{"namespaces": ["web"]}]]
    )
    """Requests that are let in, if any entry fits; all others are answered with 403. Default: all."""
    deny: Annotated[tuple[AccessEntry, ...], Field(min_length=1, max_length=16), atomic()] | None = Field(
        default=None, examples=[[{"ipBlocks": ["10.0.0.0/8"]}]]
    )
    """Requests that are answered with 403, if any entry fits, even if `allow` has them. Default: none."""


class Cors(Block):
    """Pages of other origins whose scripts may ask (CORS)."""

    allow_origins: Annotated[
        tuple[Annotated[str, Field(min_length=1, max_length=253, pattern=r"^(\*|https?://[A-Za-z0-9.:\[\]-]+)$")], ...],
        Field(min_length=1, max_length=16),
        atomic(),
    ] = Field(examples=[["https://app.example.com"]])
    """Origins, such as https://app.example.com, or * for all."""
    allow_methods: Annotated[tuple[Method, ...], Field(min_length=1, max_length=9), atomic()] | None = Field(
        default=None, examples=[["GET", "POST"]]
    )
    """Methods that they may use. Default: those that need no permission."""
    allow_headers: Annotated[tuple[HeaderName, ...], Field(min_length=1, max_length=32), atomic()] | None = Field(
        default=None, examples=[["content-type"]]
    )
    """Headers that they may send. Default: those that need no permission."""
    expose_headers: Annotated[tuple[HeaderName, ...], Field(min_length=1, max_length=32), atomic()] | None = Field(
        default=None, examples=[["x-request-id"]]
    )
    """Headers of answers that they may read. Default: those that need no permission."""
    max_age: Duration | None = Field(default=None, examples=["24h"])
    """How long a browser may remember the permission, in whole seconds. Default: as browsers do."""
    allow_credentials: bool = Field(default=False, examples=[True])
    """Whether they may send cookies and keys."""


class HeaderChanges(Block):
    """Changes of headers."""

    set: Annotated[dict[HeaderName, HeaderValue], Field(min_length=1, max_length=16)] | None = Field(
        default=None, examples=[{"x-team": "vision"}]
    )
    """Headers that get this value, whatever they had; an empty one takes the header away. Default: none."""
    add: Annotated[dict[HeaderName, HeaderValue], Field(min_length=1, max_length=16)] | None = Field(
        default=None, examples=[{"x-via": "pantala"}]
    )
    """Headers that get this value besides those they have. Default: none."""
    remove: Annotated[tuple[HeaderName, ...], Field(min_length=1, max_length=16), atomic()] | None = Field(
        default=None, examples=[["x-internal"]]
    )
    """Headers that are taken away. Default: none."""


class Headers(Block):
    """Changes of the headers of requests and answers."""

    request: HeaderChanges | None = None
    """On the way to the model server. Default: none."""
    response: HeaderChanges | None = None
    """On the way back. Default: none."""


class Limits(Block):
    """Bounds beyond which requests are refused at once, in place of waiting."""

    max_connections: Annotated[int, Field(ge=1, le=1_000_000)] | None = Field(default=None, examples=[1000])
    """Connections of one gateway or client sidecar to a version. Default: the mesh's."""
    max_pending_requests: Annotated[int, Field(ge=1, le=1_000_000)] | None = Field(default=None, examples=[100])
    """Requests of one gateway or client sidecar that wait for a connection; more are answered with 503. Default: `maxConnections`, or else the mesh's."""
    max_requests: Annotated[int, Field(ge=1, le=1_000_000)] | None = Field(default=None, examples=[200])
    """Requests of one gateway or client sidecar under way at a time; more are answered with 503. Default: the mesh's."""
    max_body_size: Quantity | None = Field(default=None, examples=["64Mi"])
    """Largest body of an HTTP request; a larger one is answered with 413 by the replica's sidecar, which holds a body until it is complete: needs sidecars. gRPC is left alone. Default: the model server's own bound."""


class OutlierDetection(Block):
    """Replicas that fail again and again get no requests for a while; has no effect on a version with one replica."""

    consecutive_errors: Annotated[int, Field(ge=1, le=1000)] = Field(default=5, examples=[5])
    """Answers 5xx in a row after which a replica is left out."""
    interval: Duration = Field(default="10s", examples=["10s"])
    """How often it is looked at."""
    base_ejection_time: Duration = Field(default="30s", examples=["30s"])
    """How long it is left out at first; each further time is longer by as much."""
    max_ejection_percent: Annotated[int, Field(ge=1, le=100)] = Field(default=50, examples=[50])
    """Most replicas of a version that may be left out at a time, in percent."""


class Jwt(Block):
    """An issuer of JSON Web Tokens whose tokens are let in."""

    issuer: Annotated[str, Field(min_length=1, max_length=253, pattern=r"^[!-)+-~]+$")] = Field(
        examples=["https://accounts.example.com"]
    )
    """The issuer (iss) that tokens must name; no space and no *."""
    audiences: (
        Annotated[
            tuple[Annotated[str, Field(min_length=1, max_length=253, pattern=r"^[\x21-\x7e]+$")], ...],
            Field(min_length=1, max_length=8),
            atomic(),
        ]
        | None
    ) = Field(default=None, examples=[["resnet"]])
    """Audiences (aud), one of which tokens must name. Default: any."""
    jwks_uri: (
        Annotated[
            str,
            Field(
                max_length=512,
                pattern=r"^https?://[A-Za-z0-9.:\[\]-]+(/([A-Za-z0-9._~!&()*+,;=:@/-]|%[0-9A-Fa-f]{2})*)?(\?([A-Za-z0-9._~!&()*+,;=:@/?-]|%[0-9A-Fa-f]{2})*)?$",
            ),
        ]
        | None
    ) = Field(default=None, examples=["https://accounts.example.com/.well-known/jwks.json"])
    """Where the issuer's public keys are; the mesh reads them. Default: as the issuer's OpenID configuration says."""
    jwks: Annotated[str, Field(min_length=2, max_length=16384)] | None = Field(default=None, examples=['{"keys": []}'])
    """The issuer's public keys themselves, as JSON. Default: they are read from `jwksUri`."""


class ApiKey(Block):
    """One key that is let in, told by its checksum: the key itself stays with its owner."""

    name: Label = Field(examples=["team-a"])
    """Whose key it is."""
    sha256: Annotated[str, Field(min_length=64, max_length=64, pattern=r"^[0-9a-f]{64}$")] = Field(
        examples=["233a83f6ed32c43a62c224294a218eac330df400cba84a80f476fa9c553d9b9e"]
    )
    """SHA-256 of the key, 64 hexadecimal digits: printf %s "$KEY" | sha256sum. Make keys at random: openssl rand -hex 32; at most 1024 characters."""


class ApiKeys(Block):
    """Keys in a header of the request."""

    header: HeaderName = Field(default="x-api-key", examples=["x-api-key"])
    """Header that holds the key; in `authorization` it stands behind the word Bearer."""
    keys: Annotated[tuple[ApiKey, ...], Field(min_length=1, max_length=64), list_map("name")] = Field(
        examples=[[{"name": "team-a", "sha256": "233a83f6ed32c43a62c224294a218eac330df400cba84a80f476fa9c553d9b9e"}]]
    )
    """Keys that are let in."""


class Authentication(Block):
    """Who is let in; enforced by the sidecars of the replicas. Exactly one of jwt and apiKeys."""

    jwt: Annotated[tuple[Jwt, ...], Field(min_length=1, max_length=8), list_map("issuer")] | None = Field(
        default=None, examples=[[{"issuer": "https://accounts.example.com"}]]
    )
    """Issuers of tokens; a request needs a valid token of one of them, in its Authorization header behind the word Bearer, or gets 401 or 403. Default: none."""
    api_keys: ApiKeys | None = None
    """Keys; a request needs one of them, or gets 401. Default: none."""


class Rollout(Block):
    """How a new version takes over."""

    keep_stable: Duration = Field(default="10m", examples=["10m"])
    """How long the version that had the traffic keeps its replicas, so that the way back is instant."""


class Traffic(Block):
    """Which version answers, and what is done to requests on the way."""

    target: VersionName | None = Field(default=None, examples=["v2"])
    """Version that gets all traffic once it is ready; until then those before it keep answering. Default: `split`, or the only version."""
    split: Annotated[tuple[Share, ...], Field(min_length=1, max_length=16), atomic()] | None = Field(
        default=None, examples=[[{"version": "v1", "weight": 80}, {"version": "v2", "weight": 20}]]
    )
    """Shares of versions in the requests, by hand; needs Istio or the Gateway API. Default: all for `target`."""
    mirrors: Annotated[tuple[Mirror, ...], Field(min_length=1, max_length=4), atomic()] | None = Field(
        default=None, examples=[[{"version": "v3", "percent": 100}]]
    )
    """Versions that get copies of requests; needs Istio or the Gateway API. Default: none."""
    rules: Annotated[tuple[TrafficRule, ...], Field(min_length=1, max_length=16), atomic()] | None = Field(
        default=None,
        examples=[[{"name": "pin", "headers": [{"name": "x-model-version", "value": "v2"}], "version": "v2"}]],
    )
    """Requests that go to one version whatever the shares; the first rule that fits decides. Needs Istio or the Gateway API. Default: none."""
    rollout: Rollout | None = None
    """How a new version takes over. Default: at once when it is ready, and the version before it is parked when it has no traffic any more."""
    timeout: Duration | None = Field(default=None, examples=["300s"])
    """How long a request may take before it is answered with 504; needs Istio or the Gateway API. Default: as long as it takes."""
    retries: Retries | None = None
    """Which requests are sent again; needs Istio. Default: two attempts more for what no server has begun to process; by the Gateway API as its implementation has it."""
    rate_limit: RateLimit | None = None
    """How many requests each replica takes in a time; needs Istio, with sidecars. Default: any number."""
    access: Access | None = None
    """Who may ask what; needs Istio, with sidecars. Default: everybody, everything."""
    authentication: Authentication | None = None
    """Who is let in; needs Istio, with sidecars. Default: everybody."""
    cors: Cors | None = None
    """Pages of other origins whose scripts may ask; needs Istio or the Gateway API. Default: none."""
    headers: Headers | None = None
    """Changes of headers; needs Istio or the Gateway API. Default: none."""
    limits: Limits | None = None
    """Bounds beyond which requests are refused at once; needs Istio. Default: those of the mesh and of the server."""
    outlier_detection: OutlierDetection | None = None
    """Replicas that fail again and again are left out for a while; needs Istio. Default: they are not."""


NodePortNumber = Annotated[int, Field(ge=30000, le=32767)]


class NodePorts(Block):
    """Ports of every node that lead to the model."""

    http: NodePortNumber | None = Field(default=None, examples=[30080])
    """Port for HTTP, 30000 to 32767. Default: a free one, that the status tells."""
    grpc: NodePortNumber | None = Field(default=None, examples=[30081])
    """Port for gRPC, 30000 to 32767. Default: a free one, where the server speaks gRPC."""


class GatewayRef(Block):
    """A Gateway: of Istio where Istio routes, of the Gateway API where that does."""

    kind: Literal["Gateway"] = Field(default="Gateway", examples=["Gateway"])
    """Kind of the object."""
    namespace: Label | None = Field(default=None, examples=["istio-system"])
    """Its namespace. Default: that of the model."""
    name: ObjectName = Field(examples=["ingress"])
    """Name of the Gateway."""


class LoadBalancer(Block):
    """A Service of type LoadBalancer in front of the version that answers."""

    load_balancer_class: (
        Annotated[str, Field(min_length=1, max_length=253, pattern=r"^[a-z0-9.-]+/[A-Za-z0-9._-]+$")] | None
    ) = Field(default=None, examples=["example.com/internal"])
    """Implementation that shall serve it; it cannot change. Default: the cloud's."""
    source_ranges: Annotated[tuple[AddressRange, ...], Field(min_length=1, max_length=32), atomic()] | None = Field(
        default=None, examples=[["203.0.113.0/24"]]
    )
    """Addresses of clients that it lets in, if the cloud can. Default: all."""
    annotations: (
        Annotated[dict[str, Annotated[str, Field(max_length=512)]], Field(min_length=1, max_length=16)] | None
    ) = Field(default=None, examples=[{"example.com/internal": "true"}])
    """Annotations for the cloud. Default: none."""


Host = Annotated[
    str,
    Field(
        min_length=3,
        max_length=253,
        pattern=r"^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?(\.[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?)+$",
    ),
]
"""A DNS name of at least two labels, in lower case."""


class Expose(Block):
    """How the model is reached from outside of the cluster. An empty block gives it its automatic host at the installation's gateway."""

    hosts: Annotated[tuple[Host, ...], Field(min_length=1, max_length=8), atomic()] | None = Field(
        default=None, examples=[["resnet.models.example.com"]]
    )
    """Hosts under which a gateway leads to the model; needs Istio or the Gateway API. Default: NAME.NAMESPACE.DOMAIN with the domain of the installation, if `gatewayRef` or `prefix` is set or the block is empty."""
    gateway_ref: GatewayRef | None = None
    """Gateway that leads to the model. Default: that of the installation."""
    prefix: Prefix | None = Field(default=None, examples=["/models/resnet"])
    """Beginning of the path at the gateway, in whole parts; the model server sees the path without it. Several models may share a host under different prefixes. Default: every path."""
    load_balancer: LoadBalancer | None = Field(default=None, examples=[{"sourceRanges": ["203.0.113.0/24"]}])
    """A Service of type LoadBalancer; {} takes the cloud's defaults. It reaches the version that answers most requests, and no other. Default: none."""
    node_port: NodePorts | None = Field(default=None, examples=[{"http": 30080}])
    """A Service of type NodePort; {} takes any free port. It reaches the version that answers most requests, and no other. Default: none."""
