#!/bin/sh
# environment.sh demo|test: makes .venv with the locked dependencies, and what the target needs from Debian.
# Does nothing, and needs no network, when the locks, pyproject.toml and Python are those of the last time.
set -eu

# shellcheck source-path=SCRIPTDIR/..
cd "$(dirname "$0")/.."
. deploy/lib.sh

target=${1:-} peers=tests/peers/requirements.lock
case "$target" in
demo) lock=requirements.lock ;;
test) lock=tests/requirements.lock ;;
*) fail "usage: deploy/environment.sh demo|test" "用法：deploy/environment.sh demo|test" ;;
esac

key_of() { # what an environment for the files $@ is made from
    { cat "$@"; .venv/bin/python -VV; pwd -P; } 2>/dev/null | sha256sum
}

is_done() { # is_done STAMP FILES
    stamp=$1
    shift
    [ "$(cat "$stamp" 2>/dev/null)" = "$(key_of "$@")" ]
}

is_usable() { # not so after Debian's Python changed, or when the folder was copied or moved
    .venv/bin/python -m pip --version >/dev/null 2>&1 && grep -qF " $(pwd -P)/.venv" .venv/pyvenv.cfg
}

make_venv() {
    python=$(find_python)
    need_venv "$python"
    say "Creating .venv with $("$python" --version)"
    "$python" -m venv --clear .venv
}

install_project() {
    say "Installing locked dependencies into .venv (first time: about a minute)"
    install_locked .venv "$lock"
    .venv/bin/python -m pip install -qq --no-deps --no-build-isolation --editable . ||
        fail "this project could not be installed into .venv: the lines above say why" "无法将本项目安装到 .venv，原因见上"
}

need_servers() { # real peers of the tests; they start their own brokers on free ports
    missing=
    for program in mosquitto socat mbpoll tshark chromium; do
        command -v "$program" >/dev/null || missing="$missing $program"
    done
    fc-list :lang=zh-cn 2>/dev/null | grep -q . || missing="$missing fonts-noto-cjk" # pictures of the page are looked at
    [ -n "$missing" ] || return 0
    python=${PYTHON:-python3} why="real peers for the tests"
    if ! is_usable && "$python" -c '' 2>/dev/null && ! has_venv "$python"; then # all at once, for whoever asks for them
        missing="$missing python3-venv" why="$why, and to make a Python environment"
    fi
    # shellcheck disable=SC2086
    debian "$why" $missing
}

make_peers() { # Python packages that do not bear ours beside them
    say "Installing independent peers of the tests into build/peers"
    .venv/bin/python -m venv --clear build/peers
    install_locked build/peers "$peers"
    key_of "$peers" >build/peers/.made-for
}

check_machine
[ "$target" = demo ] || need_servers
if ! is_done ".venv/.made-for-$target" "$lock" pyproject.toml; then
    is_usable || make_venv
    install_project
    key_of requirements.lock pyproject.toml >.venv/.made-for-demo # the tests' lock holds all of it
    [ "$target" = demo ] || key_of "$lock" pyproject.toml >.venv/.made-for-test
fi
[ "$target" = demo ] || is_done build/peers/.made-for "$peers" || make_peers
