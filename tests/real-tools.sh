#!/usr/bin/env bash
# Runs the functions under the tools that build and ship them, against `cargo local --cloud-only`: cargo-lambda's watch and
# invoke, then SAM's build, start-api and invoke in containers. The TypeScript client plays a whole session through each. Then
# SAM deploys both deployments of samconfig.toml into ministack, an AWS emulator. It is not part of .ci/run because it needs
# a container engine. docs/reference/real-tools.md has the latest output.
#
#   tests/real-tools.sh [cargo-lambda | sam | deploy]...     (default: all)
#
# With BUILD=--release, cargo-lambda makes the release build, which takes long. Otherwise SAM runs the development build.
#
# It needs the same tools as .ci/run, and for SAM a Linux machine with a running container engine (`docker info`). If SAM's
# image is missing, this script builds one from busybox and this machine's libc, for programs built on this machine.
set -euo pipefail
exec </dev/null
cd "$(dirname "$0")/.."

export SAM_CLI_TELEMETRY=0 PIP_DISABLE_PIP_VERSION_CHECK=1 CARGO_TERM_COLOR=never
target=${CARGO_TARGET_DIR:-target}
case $target in /*) ;; *) target=$PWD/$target ;; esac
tools=$target/tools work=$target/real-tools
image=public.ecr.aws/lambda/provided:al2023-x86_64
mkdir -p "$tools" "$work"
jobs=()

finish() {
    code=$?
    # In reverse order, because a server must outlive its callers.
    for ((i = ${#jobs[@]} - 1; i >= 0; i--)); do kill "${jobs[i]}" 2>/dev/null || true; done
    wait
    [ "$code" = 0 ] || { echo "FAILED; see $work"; tail -n 20 "$work"/*.log; }
}
trap finish EXIT

say() { printf '\n== %s\n' "$*"; }

port() { python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'; }

# background <name> <command…>: runs a command in the background, with a log file of its own.
background() {
    local name=$1
    shift
    "$@" >"$work/$name.log" 2>&1 &
    jobs+=($!)
}

# wait_for <seconds> <address>: waits until the address responds with any status.
wait_for() {
    for _ in $(seq $(($1 * 2))); do
        curl --silent --output /dev/null --max-time 30 "$2" && return
        sleep 0.5
    done
    echo "no response from $2"
    return 1
}

venv() {
    local home=$tools/$1
    shift
    [ "$(cat "$home/.packages" 2>/dev/null)" = "$*" ] && return
    rm -rf "$home"
    python3 -m venv "$home"
    "$home/bin/pip" install --quiet "$@"
    echo "$*" >"$home/.packages"
}

# Starts the local stack without the functions, and stores the settings for the functions.
start_stack() {
    stack=http://localhost:$(port)
    cargo build --quiet -p local
    background stack "$target/debug/local" --port "${stack##*:}" --cloud-only
    wait_for 60 "$stack/local/config"
    curl --silent "$stack/local/config" >"$work/config.json"
}

setting() { jq --raw-output ".environment.$1" "$work/config.json"; }

client() {
    npm ci --prefix clients/typescript --ignore-scripts --no-audit --no-fund --silent
    npm --prefix clients/typescript run --silent build >/dev/null
}

# class <api>: plays a whole session through that address. Zoom's events have no target here, so no session becomes live.
class() { node clients/typescript/build/example/class.js "$stack" "$1"; }

with_cargo_lambda() {
    venv lambda cargo-lambda==1.9.2
    export PATH=$tools/lambda/bin:$PATH
    local api=http://localhost:9000
    say "cargo lambda watch, with the routes of Cargo.toml"
    while IFS='=' read -r name value; do export "$name=$value"; done \
        < <(jq --raw-output '.environment | to_entries[] | "\(.key)=\(.value)"' "$work/config.json")
    # Compile first, because compiling at a function's first call takes longer than the caller's timeout.
    cargo build --quiet --bins
    background watch cargo lambda watch --ignore-changes --quiet
    wait_for 60 "$api/v1/zoom/connection"
    class "$api"

    say "cargo lambda invoke"
    for event in reminder-sweep.schedule outbox-sweep.schedule directory.course-upserted; do
        echo "$ cargo lambda invoke ${event%%.*} --data-file events/$event.json"
        cargo lambda invoke "${event%%.*}" --data-file "events/$event.json"
        echo
    done
    "$target/debug/local" sign --event events/webhook.meeting-started.json >"$work/webhook.json"
    echo '$ cargo local sign --event events/webhook.meeting-started.json >webhook.json'
    echo '$ cargo lambda invoke webhook --data-file webhook.json'
    cargo lambda invoke webhook --data-file "$work/webhook.json"
    echo
}

# Builds a root file system with a shell and the libc to which the functions are linked.
make_image() {
    docker image inspect "$image" >/dev/null 2>&1 && return
    local root=$work/image
    command -v busybox >/dev/null || apt-get install -y -qq busybox-static >/dev/null
    rm -rf "$root"
    mkdir -p "$root"/{bin,etc,lib64,lib/x86_64-linux-gnu,opt,tmp,var/runtime,var/task}
    chmod 1777 "$root/tmp"
    cp "$(command -v busybox)" "$root/bin/busybox"
    for applet in sh cat chmod cp env id ls mkdir mv rm sleep true; do ln -sf busybox "$root/bin/$applet"; done
    echo 'root:x:0:0:root:/root:/bin/sh' >"$root/etc/passwd"
    cp -L /lib64/ld-linux-x86-64.so.2 "$root/lib64/"
    cp -L /lib/x86_64-linux-gnu/{libc.so.6,libm.so.6,libgcc_s.so.1} "$root/lib/x86_64-linux-gnu/"
    tar -C "$root" -c . | docker import -c 'WORKDIR /var/task' -c 'ENV LAMBDA_TASK_ROOT=/var/task' - "$image" >/dev/null
}

# Builds the functions and prepares a deployment.
build() {
    say "${BUILD:+cargo lambda build $BUILD, and }sam build"
    local function
    if [ -n "${BUILD:-}" ]; then
        cargo lambda build --compiler cargo --quiet "$BUILD"
    else
        cargo build --quiet --bins
        for function in functions/*; do
            function=${function##*/}
            install -D "$target/debug/$function" "$target/lambda/$function/bootstrap"
            # The release build has no symbols either.
            strip "$target/lambda/$function/bootstrap"
        done
    fi
    rm -rf "$work/sam"
    infra/release --build-dir "$work/sam" | grep -E 'Build (Succeeded|Failed)'
}

with_sam() {
    venv sam aws-sam-cli==1.170.0
    venv lambda cargo-lambda==1.9.2
    export PATH=$tools/sam/bin:$tools/lambda/bin:$PATH AWS_DEFAULT_REGION=eu-central-1
    docker info >/dev/null || { echo "no container engine is running"; return 1; }
    make_image

    build

    # A container cannot reach the machine's loopback, so the bridge's address forwards to it.
    local bridge inside
    bridge=$(ip -4 -oneline address show docker0 | awk '{ split($4, address, "/"); print address[1] }')
    inside=http://$bridge:${stack##*:}
    background forward python3 tests/forward.py "$bridge" "${stack##*:}"
    # SAM only sets variables that the template names, so AWS_ENDPOINT_URL is added to the built copy. The shell's value would
    # take precedence, and the cargo-lambda part has exported one for the machine's loopback.
    unset AWS_ENDPOINT_URL
    sed -i "s|^\( *\)LOG_LEVEL:.*|\1AWS_ENDPOINT_URL: $inside/local/aws\n&|" "$work/sam/template.yaml"
    jq --arg inside "$inside" --arg stack "$stack" '{Parameters: (.environment
        | del(.AWS_ENDPOINT_URL, .AWS_REGION, .AWS_ACCESS_KEY_ID, .AWS_SECRET_ACCESS_KEY)
        | with_entries(if .key | test("_BASE_URL$|JWKS_URL$|QUEUE_URL$|DLQ_URL$|API_URL$")
                       then .value |= sub($stack; $inside) else . end))}' "$work/config.json" >"$work/env.json"
    export AWS_ACCESS_KEY_ID=local AWS_SECRET_ACCESS_KEY=local
    local api=http://127.0.0.1:$(port)
    local common=(--template "$work/sam/template.yaml" --env-vars "$work/env.json" --skip-pull-image
        --parameter-overrides Architecture=x86_64)

    say "sam local start-api"
    background start-api sam local start-api "${common[@]}" --port "${api##*:}" --warm-containers LAZY
    wait_for 120 "$api/v1/zoom/connection"
    class "$api"

    say "sam local invoke"
    echo '$ sam local invoke ReminderSweepFunction --event events/reminder-sweep.schedule.json'
    sam local invoke ReminderSweepFunction --event events/reminder-sweep.schedule.json "${common[@]}" 2>"$work/invoke.log"
    echo
    echo '$ cargo local sign --event events/webhook.meeting-started.json | sam local invoke WebhookFunction --event -'
    "$target/debug/local" sign --event events/webhook.meeting-started.json >"$work/webhook.json"
    sam local invoke WebhookFunction --event "$work/webhook.json" "${common[@]}" 2>>"$work/invoke.log"
    echo
}

with_deploy() {
    venv sam aws-sam-cli==1.170.0
    venv lambda cargo-lambda==1.9.2
    venv ministack ministack==1.5.33 aws-sam-translator==1.115.0
    export PATH=$tools/sam/bin:$tools/lambda/bin:$PATH AWS_DEFAULT_REGION=eu-central-1
    build
    say "sam deploy, dev and prod"
    local cloud
    cloud=$(port)
    BIND_HOST=127.0.0.1 GATEWAY_PORT=$cloud background ministack "$tools/ministack/bin/ministack"
    wait_for 60 "http://localhost:$cloud/_ministack/health"
    "$tools/sam/bin/python" tests/deployed.py "$work/sam" "http://localhost:$cloud" "$work"
}

[ $# -gt 0 ] || set -- cargo-lambda sam deploy
client
start_stack
for tool in "$@"; do
    case $tool in
        cargo-lambda) with_cargo_lambda ;;
        sam) with_sam ;;
        deploy) with_deploy ;;
        *) echo "unknown tool: $tool"; exit 2 ;;
    esac
done
printf '\nOK: the functions ran under %s\n' "$*"
