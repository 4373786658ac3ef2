"""The one-time code by which the first person is made: on the console, in the log, and on a label for the box.

Who holds it stands in front of the box, or has its label: there is no password that every box has. It is kept in clear,
for it must be told again, in the state folder where keys are too; and it is gone with the first person.
"""

import hmac
import os
import secrets
from contextlib import suppress
from pathlib import Path

from gateway.errors import StorageError, Text

ALPHABET = "23456789ABCDEFGHJKLMNPQRSTUVWXYZ"  # no 0 and O, no 1 and I
HALF_CHARS = 4
CODE, LABEL = "setup-code", "setup-label.txt"
_LABEL = """\
社区网关 {gateway}
首次使用:用浏览器打开 {address}
设置码:{code}

Community gateway {gateway}
First use: open {address} in a browser
Set-up code: {code}
"""


def new_code() -> str:
    """`ABCD-2345`: 40 bits."""
    letters = [secrets.choice(ALPHABET) for _ in range(2 * HALF_CHARS)]
    return "".join(letters[:HALF_CHARS]) + "-" + "".join(letters[HALF_CHARS:])


def plain(code: str) -> str:
    """As it counts: however it was typed."""
    return "".join(letter for letter in code.upper() if letter in ALPHABET)


class SetupCode:
    """The two files in the state folder."""

    def __init__(self, folder: Path, gateway: str, address: str) -> None:
        self._folder = folder
        self._gateway = gateway
        self.address = address

    def kept(self) -> str | None:
        """The code, or None. StorageError."""
        try:
            text = (self._folder / CODE).read_text("ascii").strip()
        except FileNotFoundError:
            return None
        except (OSError, ValueError) as error:
            raise _refused(self._folder / CODE, error) from error
        return text if len(plain(text)) == 2 * HALF_CHARS else None

    def show(self, *, renew: bool = False) -> str:
        """The code, made where there is none; the label says the same. StorageError."""
        code = None if renew else self.kept()
        if code is None:
            code = new_code()
            self._write(CODE, f"{code}\n")
        self._write(LABEL, _LABEL.format(gateway=self._gateway, address=self.address, code=code))
        return code

    def fits(self, said: str) -> bool:
        """Is it the one? StorageError."""
        code = self.kept()
        return code is not None and hmac.compare_digest(plain(code), plain(said))

    def forget(self) -> None:
        """It is used up. What cannot be deleted opens nothing: there is a person now."""
        for name in (CODE, LABEL):
            with suppress(OSError):
                (self._folder / name).unlink(missing_ok=True)

    def _write(self, name: str, text: str) -> None:
        path = self._folder / name
        aside = path.with_name(f"{name}~")
        try:
            with os.fdopen(os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as file:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
            aside.rename(path)
        except OSError as error:
            raise _refused(path, error) from error


def _refused(path: Path, error: Exception) -> StorageError:
    what = Text(f"the set-up code cannot be kept: {error}", f"设置码无法保存:{error}")
    return StorageError(str(path), what, Text("free space or check the folder's rights", "请清理空间或检查目录权限"))
