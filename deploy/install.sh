#!/bin/sh
# Installs, upgrades or removes the gateway on Debian 12 or 13 or 64-bit Raspberry Pi OS, from this source folder.
#
#   sudo deploy/install.sh              install, or upgrade: configuration and state stay
#   sudo deploy/install.sh --onvif      the same, with what ONVIF cameras need (60 MB more); later upgrades keep it
#   sudo deploy/install.sh --uninstall  remove the program; configuration and state stay
#   sudo deploy/install.sh --uninstall --purge   remove them too
#
# Every release has an environment of its own, which is checked with the present configuration before `current` points
# to it; the one before stays, so that going back is one `ln -sfn`.
set -eu
umask 022 # the daemon's user must be able to read the program

# shellcheck source-path=SCRIPTDIR/..
cd "$(dirname "$0")/.."
. deploy/lib.sh

NAME=community-gateway
OPT=/opt/$NAME
ETC=/etc/$NAME
STATE=/var/lib/$NAME
UNIT=/etc/systemd/system/$NAME.service
MODULES=/etc/modules-load.d/$NAME.conf
COMMAND=/usr/local/bin/gateway

step() { say "→ $*"; }

has_systemd() { [ -d /run/systemd/system ]; }

usage() {
    fail "usage: sudo deploy/install.sh [--onvif | --uninstall [--purge]]" \
        "用法：sudo deploy/install.sh [--onvif | --uninstall [--purge]]"
}

need_root() {
    [ "$(id -u)" -eq 0 ] || fail "this writes to /opt, /etc and systemd and so needs root: sudo deploy/install.sh" \
        "需要写入 /opt、/etc 和 systemd，请以 root 运行：sudo deploy/install.sh"
}

as_gateway() { # run as the daemon's user: what it cannot read, the daemon could not either
    setpriv --reuid="$NAME" --regid="$NAME" --init-groups "$@"
}

make_user() {
    getent passwd "$NAME" >/dev/null && return
    step "user $NAME, member of dialout: serial lines belong to that group"
    useradd --system --user-group --groups dialout --home-dir "$STATE" --no-create-home --shell /usr/sbin/nologin "$NAME"
}

choose_lock() { # sets lock: a box that has ONVIF keeps it
    lock=requirements.lock
    for package in "$OPT"/current/lib/python3*/site-packages/onvif; do
        [ ! -d "$package" ] || onvif=yes
    done
    [ -z "$onvif" ] || lock=deploy/onvif.lock
}

make_release() { # sets release; built aside and renamed when complete, so that a half one is never used
    python=$(find_python)
    need_venv "$python"
    key=$({
        "$python" -VV
        cat pyproject.toml "$lock"
        find gateway drivers -type f ! -path '*/__pycache__/*' -exec sha256sum {} + | sort
    } | sha256sum | cut -c1-12)
    release=$OPT/releases/$key
    if [ -e "$release/complete" ]; then
        step "release $key is already built"
        return
    fi
    step "release $key: environment of its own under $OPT, packages checked by hash (about a minute)"
    rm -rf "$release"
    "$python" -m venv "$release"
    install_locked "$release" "$lock"
    source=$(mktemp -d)
    cp -R pyproject.toml README.md LICENSE gateway drivers "$source"
    "$release/bin/python" -m pip install -qq --no-deps --no-build-isolation "$source" ||
        fail "this project could not be installed: the lines above say why" "无法安装本项目，原因见上"
    rm -rf "$source"
    for packages in "$release"/lib/python3*/site-packages; do
        echo "$OPT/extra" >"$packages/extra.pth" # third parties' drivers stay through upgrades
    done
    touch "$release/complete"
}

make_config() {
    install -d -m 0750 -o root -g "$NAME" "$ETC" "$ETC/secrets"
    if [ -e "$ETC/gateway.yaml" ]; then
        step "configuration $ETC/gateway.yaml stays as it is"
    else
        step "first configuration: $ETC/gateway.yaml, from config/minimal.yaml"
        install -m 0640 -o root -g "$NAME" config/minimal.yaml "$ETC/gateway.yaml"
        first=yes
    fi
    install -d -m 0700 -o "$NAME" -g "$NAME" "$STATE"
}

check_config() { # an upgrade must read the configuration that runs now, or it does not happen
    [ -z "$first" ] || return 0
    step "checking $ETC/gateway.yaml with the new release"
    as_gateway "$release/bin/gateway" check --config "$ETC/gateway.yaml" && return
    [ ! -e "$OPT/current" ] || fail "the new release refuses the configuration (above); nothing was changed, the running release stays. Mend $ETC/gateway.yaml and run this again" \
        "新版本不接受现有配置（见上）；未作任何更改，原版本继续运行。请修改 $ETC/gateway.yaml 后重试"
    say "  it is not right yet; installing all the same, since nothing runs with it so far"
}

switch() {
    step "$OPT/current now is release $(basename "$release"); the command is $COMMAND"
    before=$(readlink "$OPT/current" 2>/dev/null || true)
    ln -sfn "$release" "$OPT/current.new"
    mv -T "$OPT/current.new" "$OPT/current"
    ln -sfn "$OPT/current/bin/gateway" "$COMMAND"
    [ "$before" != "$release" ] || return 0
    for old in "$OPT"/releases/*; do
        case "$old" in "$release" | "$before") ;; *) rm -rf "$old" ;; esac
    done
}

restart() { # a new release that does not get ready gives way to the one before
    step "restarting the running daemon: what it accepted is on disk"
    systemctl restart $NAME && return
    [ "$before" != "$release" ] || fail "the daemon did not start: journalctl -u $NAME says why" \
        "守护程序未能启动，原因见：journalctl -u $NAME"
    ln -sfn "$before" "$OPT/current"
    systemctl restart $NAME || true
    fail "the new release did not get ready; the one before runs again. journalctl -u $NAME says why" \
        "新版本未能就绪，已恢复原版本。原因见：journalctl -u $NAME"
}

make_service() {
    step "systemd unit $UNIT; modules for USB serial adapters at boot"
    install -m 0644 deploy/systemd/$NAME.service "$UNIT"
    install -D -m 0644 deploy/systemd/modules-load.conf "$MODULES"
    if ! has_systemd; then
        say "  systemd does not run here: start it yourself with: gateway run --config $ETC/gateway.yaml"
        return
    fi
    while read -r module; do
        case "$module" in '#'* | '') ;; *) modprobe -q "$module" || say "  kernel module $module is not there" ;; esac
    done <"$MODULES"
    systemctl daemon-reload
    systemctl --quiet enable $NAME
    if systemctl --quiet is-active $NAME; then restart; fi
}

next_step() {
    say "Done. Next:"
    say "  1. edit $ETC/gateway.yaml; passwords go into $ETC/secrets (group $NAME, mode 0640)"
    say "  2. sudo -u $NAME gateway check --config $ETC/gateway.yaml"
    say "  3. sudo systemctl restart $NAME; sudo -u $NAME gateway status"
    say "  4. sudo -u $NAME gateway people code: the set-up code, with which the page makes the first account"
    say "完成。接下来：编辑 $ETC/gateway.yaml，用 gateway check 检查，执行 sudo systemctl restart $NAME，"
    say "再用 sudo -u $NAME gateway people code 查看设置码，在网页上创建第一个账号"
}

install_all() {
    first=
    check_machine
    make_user
    choose_lock
    make_release
    make_config
    check_config
    switch
    make_service
    next_step
}

uninstall() {
    step "stopping and removing the service, $OPT and $COMMAND"
    if has_systemd; then systemctl --quiet disable --now $NAME 2>/dev/null || true; fi
    rm -rf "$UNIT" "$UNIT.d" "$MODULES" "$OPT"
    [ "$(readlink "$COMMAND" 2>/dev/null)" != "$OPT/current/bin/gateway" ] || rm -f "$COMMAND"
    if has_systemd; then systemctl daemon-reload; fi
    if [ "$purge" = yes ]; then
        step "purging $ETC, $STATE and the user"
        rm -rf "$ETC" "$STATE"
        ! getent passwd "$NAME" >/dev/null || userdel "$NAME"
    else
        say "Kept: $ETC (configuration, keys) and $STATE (events). Remove them too with --uninstall --purge."
        say "保留：$ETC（配置、密钥）和 $STATE（事件）。如需一并删除：--uninstall --purge"
    fi
}

action=install purge= onvif=
for argument in "$@"; do
    case "$argument" in
    --uninstall) action=uninstall ;;
    --purge) purge=yes ;;
    --onvif) onvif=yes ;;
    *) usage ;;
    esac
done
[ "$action$purge" != installyes ] || usage
[ "$action$onvif" != uninstallyes ] || usage
need_root
if [ "$action" = uninstall ]; then uninstall; else install_all; fi
