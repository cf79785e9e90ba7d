"""PostgreSQL refuses to run as root, so root lends its servers to an unprivileged user."""

import functools
import os
import pwd
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

_CANDIDATES = ("postgres", "nobody")
# The capability is there because a checkout often lies below a folder that only root may enter (/root).
# access(2) forgets capabilities unless the secure bit is set, and initdb asks access(2).
_KEEP_ACCESS = (
    "--securebits=+no_setuid_fixup",
    "--inh-caps=+dac_override",
    "--ambient-caps=+dac_override",
)


@dataclass(frozen=True)
class Identity:
    """How to start a program as another user: words before the command, or a uid and gid for Popen."""

    prefix: tuple[str, ...] = ()
    uid: int | None = None
    gid: int | None = None
    popen_switches: bool = False

    def popen_options(self) -> dict[str, int | list[int]]:
        """Keyword arguments for `subprocess.Popen`."""
        if not self.popen_switches or self.uid is None or self.gid is None:
            return {}
        return {"user": self.uid, "group": self.gid, "extra_groups": []}

    def own(self, path: Path) -> None:
        """Give a file or folder to that user."""
        if self.uid is not None and self.gid is not None:
            os.chown(path, self.uid, self.gid)


@functools.cache
def unprivileged() -> Identity:
    """Ourselves; as root, `postgres` or `nobody`, with access to the folders that root may enter."""
    if os.geteuid() != 0:
        return Identity()
    account = _account()
    setpriv = shutil.which("setpriv")
    if sys.platform == "linux" and setpriv:
        user = (f"--reuid={account.pw_uid}", f"--regid={account.pw_gid}", "--clear-groups")
        prefix = (setpriv, *user, *_KEEP_ACCESS)
        # A container may have taken the capability away; then the folders must be open to all.
        if subprocess.run([*prefix, "true"], check=False, capture_output=True).returncode == 0:
            return Identity(prefix, account.pw_uid, account.pw_gid)
    return Identity((), account.pw_uid, account.pw_gid, popen_switches=True)


def _account() -> pwd.struct_passwd:
    for name in _CANDIDATES:
        try:
            return pwd.getpwnam(name)
        except KeyError:
            continue
    message = f"PostgreSQL does not run as root and there is no user {' or '.join(_CANDIDATES)} to lend it to"
    raise RuntimeError(message)
