#!/usr/bin/env bash
# Counts what the functions cost on a cold start and on a warm call, in instructions, memory and bytes, each figure beside
# its budget; ends with an error if one is over it. Needs valgrind, zip and openssl. The release build takes minutes; with
# `--all` every function is built, to see its size, and not only those that are run.
#
# Callgrind's files stay under target/bench. With `CARGO_PROFILE_RELEASE_STRIP=debuginfo` they have names to show, and the
# programs are larger for it: callgrind_annotate target/bench/callgrind.join.1
set -euo pipefail
cd "$(dirname "$0")/.."

for tool in valgrind zip openssl; do
    command -v $tool >/dev/null || { echo "$tool is missing: apt-get install $tool"; exit 2; }
done

packages=(hello join sessions webhook)
[ "${1:-}" != --all ] || packages=(hello $(ls functions))
cargo build --release "${packages[@]/#/--package=}"

# A chain such as AWS's: an RSA leaf under an intermediate under a root, which the functions are told by AWS_CA_BUNDLE.
files=target/bench
mkdir -p $files
certify() { # <name> <subject> <extensions> <issuer>
    openssl genpkey -quiet -algorithm RSA -pkeyopt rsa_keygen_bits:2048 -out $files/"$1"-key.pem
    openssl req -new -key $files/"$1"-key.pem -subj "$2" -out $files/"$1".csr
    local by=(-signkey $files/"$1"-key.pem)
    [ "$1" = "$4" ] || by=(-CA $files/"$4".pem -CAkey $files/"$4"-key.pem -CAcreateserial)
    openssl x509 -req -in $files/"$1".csr -days 3650 -sha256 -extfile <(printf '%b' "$3") "${by[@]}" -out $files/"$1".pem 2>/dev/null
}
if [ ! -f $files/key.pem ]; then
    authority='basicConstraints=critical,CA:TRUE\nkeyUsage=critical,keyCertSign,cRLSign\n'
    certify root '/C=US/O=Bench/CN=Bench Root CA 1' "$authority" root
    certify intermediate '/C=US/O=Bench/CN=Bench RSA 2048 M01' "$authority" root
    certify leaf '/CN=localhost' 'subjectAltName=DNS:localhost\nextendedKeyUsage=serverAuth\n' intermediate
    cat $files/leaf.pem $files/intermediate.pem >$files/chain.pem
    mv $files/leaf-key.pem $files/key.pem
fi

cargo run --quiet --package bench -- target/release $files
