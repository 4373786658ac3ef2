"""A box in one file, and a box made from it: backup, restore."""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Optional

import typer

from gateway.cli import show
from gateway.cli.language import say
from gateway.cli.where import CONFIG, ConfigOption, JsonOption, StateDirOption, chosen
from gateway.errors import Text

if TYPE_CHECKING:
    from gateway.database import Hole


def backup(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="What to write, a tar; none may be there yet.")],
    config: ConfigOption = CONFIG,
    state_folder: StateDirOption = None,
    json: JsonOption = False,
) -> None:
    """Write all that this box is into one file.

    The gateway may run meanwhile. Configuration, keys, every event on disk and how far each uplink has it. The file
    holds every secret of the site: only its owner may read it, and it belongs where nobody else does.
    """
    from gateway.backup import Box, left_out, write
    from gateway.yamlmarks import read

    found = chosen(config)[0].loaded  # a pushed revision may run
    whole = found.config
    here = {path for path in found.document.files if path.is_file()}
    files = {*read(config).files, *here, *_named(whole)}
    box = Box(whole.gateway.id, tuple(whole.uplinks), config, files, state_folder or whole.gateway.state_dir)
    manifest = write(file, box, datetime.now(UTC))
    size_bytes, absent = file.stat().st_size, left_out(box)
    if json:
        named = sorted(manifest.members)
        show.document({"file": str(file), "bytes": size_bytes, "members": named, "left_out": list(map(str, absent))})
        return
    size = show.size(size_bytes)
    english = f"{file}: {size}, {len(manifest.members)} files. It holds every secret of this site: keep it locked away."
    chinese = f"{file}:{size},{len(manifest.members)} 个文件。其中含本站点的全部密钥和密码,请妥善保管。"
    show.put(say(Text(english, chinese)))
    for path in absent:
        outside = Text(
            f"{path} is not in it: it stands outside the configuration's folder; keep a copy of your own",
            f"未包含 {path}:它不在配置目录内,请自行备份",
        )
        show.complain(say(outside))


def _named(part: Any) -> Iterator[Path]:
    """Every file that the configuration names, wherever in it."""
    if isinstance(part, Path) or (isinstance(part, str) and "/" in part and "://" not in part):
        if Path(part).is_file():
            yield Path(part)
    elif isinstance(part, dict | list | tuple):
        for inner in part.values() if isinstance(part, dict) else part:
            yield from _named(inner)
    elif hasattr(type(part), "model_fields"):
        for name in type(part).model_fields:
            yield from _named(getattr(part, name))


def restore(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="What `gateway backup` wrote.")],
    state_folder: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option("--state-dir", metavar="DIR", help="The state folder to fill; else as on the old box."),
    ] = None,
    config_folder: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option("--config", "-c", metavar="DIR", help="The configuration's folder; else as on the old box."),
    ] = None,
    unchanged: Annotated[
        bool,
        typer.Option("--unchanged", help="The old box has not run since the backup: no number is skipped."),
    ] = False,
    force: Annotated[bool, typer.Option("--force", help="Move what is there aside.")] = False,
    json: JsonOption = False,
) -> None:
    """Make this box the one in a backup.

    No gateway may run here. Every stream goes on with numbers that the old box cannot have used, and each uplink is
    told which never come. All of the file is checked before anything is written.
    """
    from gateway.backup import read
    from gateway.folder import held
    from gateway.restore import Target, place

    manifest = read(file)
    state_dir, config_dir = state_folder or manifest.state_dir, config_folder or manifest.config.parent
    target = Target(state_dir, config_dir, datetime.now(UTC), force=force, unchanged=unchanged)
    with held(state_dir):
        holes = place(file, manifest, target)
    if json:
        skipped = {f"{hole.uplink}.{hole.lane.value}": [hole.first, hole.last] for hole in holes}
        places = {"config": str(config_dir / manifest.config.name), "state_dir": str(state_dir)}
        show.document({"gateway": manifest.gateway, "time": manifest.time.isoformat(), **places, "skipped": skipped})
        return
    _tell(manifest.gateway, config_dir / manifest.config.name, state_dir, holes)


def _tell(gateway: str, config: Path, state_dir: Path, holes: "Sequence[Hole]") -> None:
    show.put(say(Text(f"this box is {gateway} now: {config}, {state_dir}", f"本机现为 {gateway}:{config},{state_dir}")))
    heads = (Text("stream", "数据流"), Text("skips numbers", "跳过序号"), Text("to", "至"))
    if holes:
        show.table(heads, [(f"{hole.uplink}.{hole.lane.value}", str(hole.first), str(hole.last)) for hole in holes])
    show.put(
        say(
            Text(
                "Never start the old box again with this identity. Start this one: systemctl start community-gateway",
                "旧网关切勿再以此身份启动。启动本机:systemctl start community-gateway",
            )
        )
    )
