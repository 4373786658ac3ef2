"""The command line in a process of its own: what takes seconds and much memory holds up no alarm."""

import asyncio
import json
import sys
from typing import Any

from gateway.errors import StateError, Text


async def asked(*arguments: str, language: str, patience_s: float) -> Any:
    """What `gateway …` answers as JSON. StateError: what it complained of, in that language."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "gateway", "--lang", language, *arguments, "--json"),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        async with asyncio.timeout(patience_s):
            told, complained = await process.communicate()
    except TimeoutError as error:
        late = Text(f"it takes longer than {patience_s:g} s", f"耗时超过 {patience_s:g} 秒")
        raise StateError(arguments[0], late, Text("try again when less is to be done", "请稍后再试")) from error
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    if process.returncode:
        why = complained.decode("utf-8", "replace").strip() or f"exit status {process.returncode}"
        raise StateError(arguments[0], Text(why, why))
    return json.loads(told)
