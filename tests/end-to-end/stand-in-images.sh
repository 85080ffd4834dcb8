#!/bin/sh
# Makes stand-ins for the base images of the compose file where none can be pulled: the same tags, from this machine's own
# glibc, busybox and CA bundle, and from the nats-server that the tests use. Prints the tags that it made.
#   stand-in-images.sh NATS_SERVER
set -eu

have() { docker image inspect "$1" >/dev/null 2>&1 || timeout 120 docker pull -q "$1" >/dev/null 2>&1; }

# A root folder with busybox as every common program, and the libraries that Rust's binaries are linked to.
root() {
    command -v busybox >/dev/null || { echo "busybox is missing (Debian: busybox-static)" >&2; exit 3; }
    mkdir -p "$1/bin" "$1/usr/bin" "$1/usr/local/bin" "$1/etc/ssl/certs" "$1/tmp" "$1/root"
    cp "$(command -v busybox)" "$1/bin/busybox"
    for program in sh cp mkdir chown cat ls wget head base64 tr; do ln -s busybox "$1/bin/$program"; done
    for library in libc.so.6 libgcc_s.so.1 libm.so.6 libdl.so.2 libpthread.so.0 ld-linux-x86-64.so.2 ld-linux-aarch64.so.1; do
        path=$(find /lib /lib64 /usr/lib -name "$library" 2>/dev/null | head -n 1)
        [ -z "$path" ] && continue
        real=$(readlink -f "$(dirname "$path")")/$library
        mkdir -p "$1$(dirname "$real")" && cp -L "$path" "$1$real"
        # The loader is asked for by this path.
        case $library in ld-linux-x86-64*) mkdir -p "$1/lib64" && cp -L "$path" "$1/lib64/$library" ;; esac
    done
    [ -e "$1/lib" ] || ln -s usr/lib "$1/lib"
    if [ -f /etc/ssl/certs/ca-certificates.crt ]; then cp -L /etc/ssl/certs/ca-certificates.crt "$1/etc/ssl/certs/"; fi
    printf 'root:x:0:0:root:/root:/bin/sh\n' > "$1/etc/passwd"
    printf 'root:x:0:\n' > "$1/etc/group"
}

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

debian=debian:bookworm-slim
if ! have "$debian"; then
    root "$work/debian"
    tar -C "$work/debian" -c . | docker import - "$debian" >/dev/null
    echo "$debian"
fi

nats=$(sed -n 's/^ *image: *\(nats:.*\)$/\1/p' "$(dirname "$0")/../../docker-compose.yml")
if ! have "$nats"; then
    root "$work/nats"
    cp "$1" "$work/nats/usr/local/bin/nats-server"
    tar -C "$work/nats" -c . | docker import --change 'ENTRYPOINT ["nats-server"]' - "$nats" >/dev/null
    echo "$nats"
fi
