#!/bin/sh
# Installs Debian packages, as root: `install.sh PACKAGE…`. Tests and benchmarks start what they need by
# themselves: no service of these packages is started, now or at the next boot, and no PostgreSQL cluster made.
set -e
export DEBIAN_FRONTEND=noninteractive

install() {
  apt-get -o DPkg::Lock::Timeout=180 install --quiet=2 --yes --no-install-recommends "$@" >/dev/null
}

wants() {
  case " $packages " in *" $1 "*) return 0 ;; esac
  return 1
}

packages="$*"
policy=/usr/sbin/policy-rc.d # what Debian asks before it starts a service; 101 forbids it
if [ ! -e $policy ]; then
  trap 'rm -f $policy' EXIT
  printf '#!/bin/sh\nexit 101\n' >$policy
  chmod 755 $policy
fi
apt-get update --quiet=2
if wants postgresql; then
  clusters=/etc/postgresql-common/createcluster.conf
  install postgresql-common
  pg_conftool $clusters set create_main_cluster off
fi
install "$@"
if wants postgresql; then pg_conftool $clusters remove create_main_cluster; fi
if wants etcd-server && command -v systemctl >/dev/null; then systemctl disable --quiet etcd.service; fi
