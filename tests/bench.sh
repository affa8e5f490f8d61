#!/usr/bin/env bash
# Measures the functions on a cold start and on a warm call, in instructions, memory and bytes. Prints each figure with its
# budget (the target) and its ceiling (slightly above the current value), and fails if a figure is over its ceiling. Needs
# valgrind, zip and openssl. The release build takes minutes. `--all` builds all functions and prints their sizes.
#
# Callgrind's files stay under bench/ of the target directory. For symbol names, build with `CARGO_PROFILE_RELEASE_STRIP=debuginfo`, which makes
# the programs larger: callgrind_annotate target/bench/callgrind.join.1
set -euo pipefail
cd "$(dirname "$0")/.."

for tool in valgrind zip openssl; do
    command -v $tool >/dev/null || { echo "$tool is missing: apt-get install $tool"; exit 2; }
done

packages=(hello join sessions webhook)
[ "${1:-}" != --all ] || packages=(hello $(ls functions))
cargo build --release "${packages[@]/#/--package=}"

# Certificates for AWS_CA_BUNDLE. "aws": a chain like AWS's, with an RSA leaf, an intermediate and a root. "short": a P-256
# leaf issued by a root.
target=${CARGO_TARGET_DIR:-target}
files=$target/bench
mkdir -p "$files"
certify() { # <name> <kind of key> <subject> <extensions> <issuer>
    local kind=(-algorithm RSA -pkeyopt rsa_keygen_bits:2048)
    [ "$2" = rsa ] || kind=(-algorithm EC -pkeyopt ec_paramgen_curve:P-256)
    openssl genpkey -quiet "${kind[@]}" -out "$files"/"$1"-key.pem
    openssl req -new -key "$files"/"$1"-key.pem -subj "$3" -out "$files"/"$1".csr
    local by=(-signkey "$files"/"$1"-key.pem)
    [ "$1" = "$5" ] || by=(-CA "$files"/"$5".pem -CAkey "$files"/"$5"-key.pem -CAcreateserial)
    openssl x509 -req -in "$files"/"$1".csr -days 3650 -sha256 -extfile <(printf '%b' "$4") "${by[@]}" -out "$files"/"$1".pem 2>/dev/null
}
if [ ! -f "$files"/short-chain.pem ]; then
    authority='basicConstraints=critical,CA:TRUE\nkeyUsage=critical,keyCertSign,cRLSign\n'
    host='subjectAltName=DNS:localhost\nextendedKeyUsage=serverAuth\n'
    certify aws-root rsa '/C=US/O=Bench/CN=Bench Root CA 1' "$authority" aws-root
    certify aws-intermediate rsa '/C=US/O=Bench/CN=Bench RSA 2048 M01' "$authority" aws-root
    certify aws rsa '/CN=localhost' "$host" aws-intermediate
    cat "$files"/aws.pem "$files"/aws-intermediate.pem >"$files"/aws-chain.pem
    certify short-root p256 '/CN=Bench Root CA 2' "$authority" short-root
    certify short p256 '/CN=localhost' "$host" short-root
    cp "$files"/short.pem "$files"/short-chain.pem
fi

cargo run --quiet --package bench -- "$target/release" "$files"
