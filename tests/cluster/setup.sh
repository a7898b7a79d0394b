#!/bin/sh
# Install the Debian packages of a list (default: debian-packages.txt) that are missing; without root, say which.
set -eu
list=${1:-$(dirname "$0")/debian-packages.txt}
missing=
for package in $(sed 's/#.*//' "$list"); do
    [ "$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null)" = installed ] || missing="$missing $package"
done
if [ -z "$missing" ]; then
    echo "all Debian packages are installed"
elif [ "$(id -u)" != 0 ]; then
    echo "missing Debian packages; as root: apt-get install --no-install-recommends$missing" >&2
    exit 1
else
    echo "installing:$missing"
    apt-get update -qq
    # a service that a package would start (prometheus, containerd) is not wanted: tests start their own
    if [ ! -e /usr/sbin/policy-rc.d ]; then
        printf '#!/bin/sh\nexit 101\n' >/usr/sbin/policy-rc.d
        chmod +x /usr/sbin/policy-rc.d
        trap 'rm -f /usr/sbin/policy-rc.d' EXIT
    fi
    # shellcheck disable=SC2086 # a list of words
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $missing
fi
