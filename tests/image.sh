#!/usr/bin/env bash
# Builds the image of the local stack from target/package, starts it, and waits until it is healthy. It needs a
# container engine, and the base image or access to its registry. Run it after `python3 infra/package`.
set -euo pipefail
exec </dev/null
cd "$(dirname "$0")/.."

# The Dockerfile expects the package under target/, wherever cargo builds.
package=${CARGO_TARGET_DIR:-target}/package
[ "$package" -ef target/package ] || { mkdir -p target/package && cp "$package"/live-classes-*.tar.gz target/package/; }

image=live-classes:test container=
finish() {
    code=$?
    if [ -n "$container" ]; then
        [ "$code" = 0 ] || docker logs "$container"
        docker rm --force --volumes "$container" >/dev/null
    fi
    exit "$code"
}
trap finish EXIT

docker build --quiet --tag "$image" --file local/Dockerfile .
container=$(docker run --detach --publish 127.0.0.1::4000 "$image")
address=http://$(docker port "$container" 4000)

health=starting
for _ in $(seq 60); do
    health=$(docker inspect --format '{{.State.Health.Status}}' "$container")
    [ "$health" = starting ] || break
    sleep 1
done
[ "$health" = healthy ] || { echo "the container is $health"; exit 1; }
get() { curl --silent --show-error --fail "$@"; }
get --output /dev/null "$address/local/config"
user=$(docker exec "$container" id --user)
[ "$user" != 0 ] || { echo "the container runs as root"; exit 1; }

# The state is in the volume, so it outlives a restart.
now=2030-01-01T00:00:00Z
get --output /dev/null "$address/local/clock" --data "{\"now\": \"$now\", \"frozen\": true}"
docker restart "$container" >/dev/null
address=http://$(docker port "$container" 4000)
get --retry 20 --retry-delay 1 --retry-all-errors "$address/local/clock" | grep --quiet "$now"
echo "OK: the image is healthy, runs as user $user, and keeps its state"
