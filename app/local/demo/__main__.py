"""`python -m app.local.demo`: exits 0 only if everything is as it should be."""

from __future__ import annotations

import argparse
import contextlib
import fcntl
import os
import shutil
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

from app import container as containers
from app.container import Container
from app.local.control import ControlError
from app.local.demo import scenes
from app.local.demo.cast import cases
from app.local.demo.chaos import Chaos
from app.local.demo.commands import CommandError, Commands
from app.local.demo.narrator import Narrator
from app.local.demo.people import People
from app.local.demo.shops import Shops
from app.local.demo.stage import SceneFailedError, Stage
from app.local.demo.story import Story
from app.local.demo.table import STATES, Result
from app.local.demo.view import View
from app.local.world import World, quiet

FOLDER = Path("var/demo")
TIME_SCALE = 100.0
PATIENCE, CHAOS_PATIENCE = 60.0, 200.0


def main(arguments: list[str]) -> int:
    """Play the demo; the exit code."""
    parser = argparse.ArgumentParser(prog="make demo ARGS=…", description=scenes.__doc__)
    parser.add_argument("--chaos", type=int, metavar="SEED", help="kill -9 the worker at random moments")
    parser.add_argument("--folder", type=Path, default=FOLDER, help="wiped at the start (default: %(default)s)")
    parser.add_argument("--time-scale", type=float, default=TIME_SCALE, help="how much faster time runs")
    options = parser.parse_args(arguments)
    with _alone(options.folder):
        return _play(options.folder, options.time_scale, options.chaos)


def _play(folder: Path, time_scale: float, seed: int | None) -> int:
    story = Story(sys.stdout)
    story.say("Demo", f"Waybill places shops' orders at AliExpress, none twice. Time runs {time_scale:g} times faster.")
    story.say("Demo", "Everything is on this machine: shops and AliExpress are simulators, no money moves.")
    story.say("Demo", "Starting PostgreSQL, Valkey, three simulators, web, worker and scheduler …")
    try:
        with World(folder, time_scale=time_scale) as world:
            story.say("Demo", f"All processes run. Their logs are in {_short(folder / 'logs')}.")
            container = containers.build(quiet(world.environment), name="waybill-demo")
            try:
                return _on_stage(world, container, story, seed)
            finally:
                container.close()
    except KeyboardInterrupt:
        story.plain("\nInterrupted.")
        return 130
    finally:
        story.end()


def _on_stage(world: World, container: Container, story: Story, seed: int | None) -> int:
    made, view, commands = cases(), View(container), Commands(container)
    people = People(world, container, commands, view, story)
    patience = PATIENCE if seed is None else CHAOS_PATIENCE
    stage = Stage(world, commands, view, story, Shops(world), people, made, patience)
    narrator = Narrator(world, view, story, made)
    chaos = Chaos(world, story, seed) if seed is not None else None
    trouble = ""
    try:
        scenes.opening(stage)
        for helper in (narrator, people, chaos):
            if helper is not None:
                helper.start()
        try:
            for scene in scenes.SCENES:
                scene(stage)
            story.head("What is still under way comes to its end")
        finally:
            if chaos is not None:
                chaos.end()
        _settle(stage)
    except (SceneFailedError, CommandError, ControlError, OSError) as error:
        trouble = str(error)
    finally:
        for one in (people, narrator):
            one.end()
    result = Result(world, view, made, undisturbed=seed is None)
    # A held order is looked at again now and then, and is not held for that moment.
    until = time.monotonic() + _MOMENT
    while result.differences and time.monotonic() < until:
        time.sleep(0.2)
        result = Result(world, view, made, undisturbed=seed is None)
    return _tell(world, story, result, [*people.failures, *([trouble] if trouble else []), *result.differences])


_MOMENT = 5.0


def _settle(stage: Stage) -> None:
    """Wait until every order stands where it should and the shops show it."""

    def done() -> bool:
        stands = [(case, stage.stand(case)) for case in stage.cases.values()]
        return all(stand and stand.states and set(stand.states) <= STATES[case.end] for case, stand in stands)

    stage.wait("every order comes to its end", done)
    # The last parcels may still be on their way into the shops, and a held order may just be looked at again.
    deadline = time.monotonic() + min(stage.patience, 20)
    while Result(stage.world, stage.view, stage.cases, undisturbed=False).differences and time.monotonic() < deadline:
        time.sleep(0.2)


def _tell(world: World, story: Story, result: Result, differences: list[str]) -> int:
    story.plain(f"\n{result.text()}\n")
    story.plain("Created, paid, do not pay (unpaid AliExpress orders) and times ordered are counted in AliExpress's")
    story.plain(f"ledger, {_short(world.ledger('aliexpress'))}, not by Waybill.\n")
    mails = len(list(world.mails.glob("*.eml")))
    story.plain(f"Mailed: {mails} {'mail' if mails == 1 else 'mails'}, to be looked at in {_short(world.mails)}.\n")
    example = next((row for row in result.rows if row.case.key == "lost-all"), None)
    if example is not None and example.stand is not None:
        story.plain(f"The whole story of an order, here {example.case.number}, which only a person could resolve:")
        story.plain(f"  {_show_command(world, example.stand.order_id)}\n")
    if not differences:
        story.plain(story.colour("Everything is as it should be: each line was ordered exactly once or held.", "1;32"))
        return 0
    story.plain(story.colour("NOT as it should be:", "1;31"))
    for text in dict.fromkeys(differences):
        story.plain(f"  - {text}")
    story.plain(f"Logs: {_short(world.folder / 'logs')}")
    return 1


def _show_command(world: World, order_id: int) -> str:
    """Starts the database of this demo again, for one command."""
    python, flask = _short(Path(sys.executable)), _short(Path(sys.executable).with_name("flask"))
    embedded = f"{python} -m app.local.embedded --fast --data-dir {_short(world.folder)}"
    return f"(. {_short(world.env_file, dot=True)}; {embedded} -- {flask} order show {order_id})"


def _short(path: Path, *, dot: bool = False) -> str:
    """A path as one would type it here."""
    absolute = Path(os.path.abspath(path))  # noqa: PTH100 - resolve() would follow the link of .venv/bin/python
    try:
        text = str(absolute.relative_to(Path.cwd()))
    except ValueError:
        return str(absolute)
    return f"./{text}" if dot else text


@contextlib.contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """An empty folder that is ours alone."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    with folder.with_name(f"{folder.name}.lock").open("a+", encoding="utf-8") as lock:
        _lock(lock, folder)
        # What a killed demo left may still be writing there: out of its way first.
        old = folder.with_name(f"{folder.name}.old")
        try:
            shutil.rmtree(old, ignore_errors=True)
            if folder.exists():
                folder.rename(old if not old.exists() else folder.with_name(f"{folder.name}.old.{os.getpid()}"))
        except PermissionError:
            raise SystemExit(f"{folder} belongs to another user. Delete it, or use --folder.") from None
        shutil.rmtree(old, ignore_errors=True)
        yield


def _lock(lock: TextIO, folder: Path) -> None:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        raise SystemExit(f"Another demo runs in {folder}. Wait for it, or use --folder.") from None


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
