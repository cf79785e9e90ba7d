"""`python -m app.local.mailbox`: a mail server that delivers nowhere: each mail becomes a file to be looked at."""

from __future__ import annotations

import argparse
import asyncio
import itertools
import sys
from pathlib import Path
from typing import Any

from aiosmtpd.smtp import SMTP

from app.local.ports import LOOPBACK

OWNER, STAFF = "owner@bottles.example", "staff@waybill.example"
"""To whom the local world mails."""


class _Files:
    """Keeps what comes as `0001.eml`, `0002.eml`, … in the order of arrival."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._numbers = itertools.count(1 + len(list(folder.glob("*.eml"))))

    async def handle_DATA(self, _server: Any, _session: Any, envelope: Any) -> str:  # noqa: N802 - aiosmtpd's name
        """One mail has arrived."""
        path = self._folder / f"{next(self._numbers):04}.eml"
        part = path.with_suffix(".part")
        part.write_bytes(envelope.content)
        part.rename(path)
        return "250 kept"


async def _serve(port: int, folder: Path) -> None:
    files = _Files(folder)
    server = await asyncio.get_running_loop().create_server(lambda: SMTP(files), LOOPBACK, port)
    async with server:
        await server.serve_forever()


def main(arguments: list[str]) -> None:
    """Serve until killed."""
    parser = argparse.ArgumentParser(prog="python -m app.local.mailbox", description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--folder", type=Path, required=True)
    options = parser.parse_args(arguments)
    options.folder.mkdir(parents=True, exist_ok=True)
    asyncio.run(_serve(options.port, options.folder))


if __name__ == "__main__":
    main(sys.argv[1:])
