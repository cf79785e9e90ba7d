"""`make run`: the demo's world on http://localhost:8000 until Ctrl-C, its data kept in var/run."""

from __future__ import annotations

import argparse
import json
import shlex
import sys
import time
from pathlib import Path

from app import container as containers
from app.container import Container
from app.local.demo import scenes
from app.local.demo.cast import BLACK_LAMP, BOUGHT, BROWN_BOTTLE, SHOPIFY, WOOCOMMERCE, Case
from app.local.demo.commands import CommandError, Commands
from app.local.demo.people import People
from app.local.demo.shops import Shops, shopify_order, woocommerce_order
from app.local.demo.stage import Stage
from app.local.demo.story import Story
from app.local.demo.view import View
from app.local.processes import ProcessFailedError
from app.local.server import ServerError
from app.local.world import PortTakenError, World, quiet
from app.services import shops

FOLDER = Path("var/run")
PORT = 8000
TIME_SCALE = 10.0
SHIPS_AFTER = 20.0
_EXAMPLES = (
    Case("shopify", SHOPIFY, "Ada Lovelace", ((BROWN_BOTTLE, 1),), BOUGHT),
    Case("woocommerce", WOOCOMMERCE, "Ada Lovelace", ((BLACK_LAMP, 1),), BOUGHT),
)


class UnfinishedError(RuntimeError):
    """The kept world lacks something that cannot be made twice."""


def main(arguments: list[str]) -> int:
    """Serve until Ctrl-C; the exit code."""
    parser = argparse.ArgumentParser(prog="make run ARGS=…", description=__doc__)
    parser.add_argument("--folder", type=Path, default=FOLDER, help="where the data is kept (default: %(default)s)")
    parser.add_argument("--port", type=int, default=PORT, help="default: %(default)s")
    parser.add_argument("--time-scale", type=float, default=TIME_SCALE, help="how much faster time runs")
    options = parser.parse_args(arguments)
    story = Story(sys.stdout, lag=0)
    story.say("Demo", "Starting PostgreSQL, Valkey, three simulators, web, worker and scheduler …")
    try:
        with World(
            options.folder,
            time_scale=options.time_scale,
            web_port=options.port,
            web_host="localhost",
            ships_after=SHIPS_AFTER,
        ) as world:
            container = containers.build(quiet(world.environment), name="waybill-run")
            try:
                _furnish(world, container, story)
            finally:
                container.close()
            story.plain(_guide(world))
            _serve(world)
    except (UnfinishedError, PortTakenError, ProcessFailedError, ServerError, CommandError) as error:
        story.plain(str(error))
        return 1
    except KeyboardInterrupt:
        story.plain("\nStopped. The data is kept; `make run` goes on with it.")
        return 0
    finally:
        story.end()
    return 0


def _furnish(world: World, container: Container, story: Story) -> None:
    """Shops, account and links at the first start, fresh tokens at each; one order on each storefront."""
    view, commands = View(container), Commands(container)
    cases = {case.key: case for case in _EXAMPLES}
    people = People(world, container, commands, view, story)
    stage = Stage(world, commands, view, story, Shops(world), people, cases, patience=60.0)
    known, furnished = shops.listed(container), world.folder / "furnished"
    if known and not furnished.exists():
        raise UnfinishedError(f"The first start was interrupted while the shops were made. Delete {world.folder}.")
    if known:
        scenes.grant_tokens(stage)
        scenes.connect_account(stage, int(known[0]["id"]))
    else:
        scenes.opening(stage)
        furnished.touch()
    for key in cases:
        stage.buy(key)
    story.flush()


def _serve(world: World) -> None:
    """Until Ctrl-C, or until one of the processes ends. Raises `ProcessFailedError`."""
    while True:
        time.sleep(0.5)
        for process in world.processes.values():
            if not process.is_running():
                raise ProcessFailedError(
                    f"The process {process.name!r} has ended, so all ends here. Nothing is lost: `make run` goes on "
                    f"with the same data. The end of {process.log}:\n{process.tail()}"
                )


def _guide(world: World) -> str:
    root = Path.cwd()
    folder = world.folder.relative_to(root) if world.folder.is_relative_to(root) else world.folder
    python = Path(sys.executable)
    bin_folder = python.parent.relative_to(root) if python.is_relative_to(root) else python.parent
    supplier = world.simulator_url("aliexpress")
    bottle, lamp = _EXAMPLES
    env = f"./{folder}/env" if not folder.is_absolute() else f"{folder}/env"
    return f"""
Waybill serves on {world.url}   (Ctrl-C ends it, the data stays in {folder})

  Is it ready?                {world.url}/readyz
  Numbers                     {world.url}/metrics
  Orders at AliExpress        {supplier}/orders   (pay there; sellers ship {SHIPS_AFTER:g} s after payment)
  What the simulators hold    {supplier}/_control/state
                              {world.simulator_url("shopify")}/_control/state
                              {world.simulator_url("woocommerce")}/_control/state
  Logs                        {folder / "logs"}

Each start buys one order in each of the two shops. Time runs {world.time_scale:g} times faster.
In another terminal, in this folder:

  . {env}     # settings of this world, all keys are made up
  {bin_folder}/flask order list
  {bin_folder}/flask order show '#1001'
  {bin_folder}/flask paylist

Another order at the Shopify shop, and one at the WooCommerce shop:

{_curl(world.simulator_url("shopify"), shopify_order(bottle))}

{_curl(world.simulator_url("woocommerce"), woocommerce_order(lamp))}
"""


def _curl(url: str, order: dict[str, object]) -> str:
    kind = shlex.quote("Content-Type: application/json")
    return f"  curl -s {url}/_control/orders -H {kind} -d {shlex.quote(json.dumps(order))}"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
