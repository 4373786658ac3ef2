# shellcheck shell=sh
# Shared by environment.sh and install.sh: what to say, which Python, Debian packages, locked dependencies.
# Sourced, POSIX sh. Nothing here names a package index: pip and apt-get use the machine's own settings.

PATH="$PATH:/usr/sbin:/sbin" # Debian keeps servers there, outside an ordinary user's PATH
export PATH PIP_DISABLE_PIP_VERSION_CHECK=1

say() { printf '%s\n' "$*"; }

fail() { # fail ENGLISH CHINESE
    printf 'Stopped: %s\n停止：%s\n' "$1" "$2" >&2
    exit 1
}

# find_python: prints the first Python from 3.11 to 3.13, 64 bit; the locked packages have wheels for no other.
find_python() {
    for candidate in ${PYTHON:-python3 python3.13 python3.12 python3.11}; do
        if "$candidate" -c 'import sys; sys.exit(not ((3, 11) <= sys.version_info < (3, 14) and sys.maxsize > 2**32))' \
            2>/dev/null; then
            command -v "$candidate"
            return
        fi
    done
    fail "Python 3.11 to 3.13 (64 bit) is needed, found: $("${PYTHON:-python3}" --version 2>&1 || true). Use 64-bit Debian 12 or 13, or name one: PYTHON=/path/to/python3.13" \
        "需要 64 位的 Python 3.11 至 3.13。请使用 64 位 Debian 12 或 13，或指定：PYTHON=/路径/python3.13"
}

check_machine() {
    case "$(uname -m)" in
    x86_64 | aarch64) ;;
    *)
        fail "this machine is $(uname -m); the locked packages come for x86_64 and aarch64. On a Raspberry Pi use the 64-bit system" \
            "本机为 $(uname -m)，所锁定的软件包仅支持 x86_64 和 aarch64。树莓派请使用 64 位系统"
        ;;
    esac
}

# debian WHY PACKAGE...: installs Debian packages, through sudo when not root.
debian() {
    why=$1
    shift
    command -v apt-get >/dev/null || fail "$* is missing ($why) and this system has no apt-get; install it by this system's own means" \
        "缺少 $*，且本系统没有 apt-get，请用本系统的方式安装"
    if [ "$(id -u)" -eq 0 ]; then
        as_root=
    elif command -v sudo >/dev/null; then
        as_root=sudo
        [ -t 0 ] || as_root='sudo -n'
    else
        fail "$* is missing ($why); you are not root and there is no sudo. Ask an administrator for: apt-get install $*" \
            "缺少 $*；您不是 root 且没有 sudo，请管理员执行：apt-get install $*"
    fi
    say "Installing Debian packages: $* ($why)"
    log=$(mktemp)
    # shellcheck disable=SC2086
    $as_root apt-get -qq update >"$log" 2>&1 || say "apt-get update had errors; going on with the lists that are there"
    # shellcheck disable=SC2086
    if ! $as_root env DEBIAN_FRONTEND=noninteractive apt-get -qq install -y --no-install-recommends "$@" >>"$log" 2>&1; then
        tail -n 12 "$log" >&2
        rm -f "$log"
        fail "apt-get could not install $* ($why): the lines above say why. Check the network and run it by hand: ${as_root:+sudo }apt-get install $*" \
            "apt-get 无法安装 $*，原因见上。请检查网络后手动执行：${as_root:+sudo }apt-get install $*"
    fi
    rm -f "$log"
}

has_venv() { "$1" -c 'import ensurepip, venv' 2>/dev/null; }

# need_venv PYTHON: on a fresh Debian python3 comes without ensurepip.
need_venv() {
    has_venv "$1" && return
    debian "to make a Python environment" python3-venv
    has_venv "$1" || fail "$1 still cannot make environments (no ensurepip); use Debian's own: PYTHON=/usr/bin/python3" \
        "$1 仍无法创建虚拟环境（缺少 ensurepip），请使用 Debian 自带的：PYTHON=/usr/bin/python3"
}

# install_locked VENV LOCK: exactly the locked files, checked by hash, never compiled here.
install_locked() {
    "$1/bin/python" -m pip install -qq --require-hashes --only-binary=:all: -r "$2" || fail \
        "pip could not install $2: the lines above say why. Check the network; pip uses the index of this machine's pip settings (pip config list)" \
        "pip 无法安装 $2，原因见上。请检查网络；pip 使用本机 pip 设置中的软件源（pip config list）"
}
