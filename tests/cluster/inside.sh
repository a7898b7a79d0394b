#!/bin/sh
# The first process of a node, in namespaces of its own: when it dies, everything in the node dies.
# Arguments: the node's folder, its host name, and the path of kubelet and of kube-proxy.
set -eu
node=$1 name=$2 kubelet=$3 proxy=$4
PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
export PATH

hostname "$name"
mount --make-rshared /
mount -t tmpfs -o mode=755 tmpfs /run
mkdir -p /run/lock /run/xtables
# default paths stay usable, but each node sees its own
for pair in kubelet:/var/lib/kubelet containerd:/var/lib/containerd cni-lib:/var/lib/cni cni-conf:/etc/cni log:/var/log \
    dragonfly:/var/lib/dragonfly pantala:/var/lib/pantala; do
    mkdir -p "$node/${pair%%:*}"
    mount --bind "$node/${pair%%:*}" "${pair#*:}"
done
mount --make-rshared /var/lib/kubelet
mkdir -p /etc/cni/net.d
cp "$node/10-bridge.conflist" /etc/cni/net.d/

# kubelet sets these for the whole machine (it would reboot on a panic): it finds private files that hold what it wants
mkdir -p "$node/sysctl"
for pair in vm/overcommit_memory=1 vm/panic_on_oom=0 kernel/panic=10 kernel/panic_on_oops=1 \
    kernel/keys/root_maxkeys=1000000 kernel/keys/root_maxbytes=25000000; do
    file=$node/sysctl/$(echo "${pair%=*}" | tr / _)
    echo "${pair#*=}" >"$file"
    mount --bind "$file" "/proc/sys/${pair%=*}"
done

await() { # a file that somebody else makes
    while [ ! -e "$1" ]; do sleep 0.05; done
}
await "$node/network.ready"
echo 1 >/proc/sys/net/ipv4/ip_forward # of this namespace
if [ -e /proc/sys/net/bridge/bridge-nf-call-iptables ]; then
    echo 1 >/proc/sys/net/bridge/bridge-nf-call-iptables
fi

start() {
    program=$1
    shift
    "$@" >>"$node/log/$program.log" 2>&1 &
    echo "$program $!" >>"$node/inside.pids"
}
start containerd containerd --config "$node/containerd.toml"
await /run/containerd/containerd.sock
await "$node/api.ready"
start kubelet "$kubelet" --config="$node/kubelet.yaml" --kubeconfig="$node/kubelet.conf" --hostname-override="$name" \
    --node-ip="$(cat "$node/address")" --v=2
start kube-proxy "$proxy" --config="$node/kube-proxy.yaml" --hostname-override="$name"
while :; do wait || :; sleep 1; done # adopts and reaps whatever loses its parent
