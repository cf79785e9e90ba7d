"""`flask placement …`, `flask alerts`, `flask tasks`."""

from __future__ import annotations

from typing import Any

import click

from app.cli.output import Answer, by_option, command, group, limit_option, moment, root, shop_option
from app.container import Container
from app.services import placement, todo

placing = group("placement", "Whether orders are sent at all.")


@command(placing, "status")
def status(container: Container) -> Answer:
    """Freeze, breakers, and what is in flight."""
    data = placement.status(container)
    return Answer(data, _text(data))


def _text(data: dict[str, Any]) -> str:
    lines = ["Ordering is FROZEN." if data["frozen"] else "Ordering is not frozen."]
    for one in data["freezes"]:
        whose = f"account {one['account']}, " if one["account"] else ""
        lines.append(f"  {whose}since {moment(one['since'])} by {one['by']}: {one['reason']}")
    lines += [f"  To be cleared up before a release: {text}" for text in data["to_clear_up"]]
    open_ones = [one for one in data["breakers"] if one["state"] != "CLOSED"]
    if not open_ones:
        lines.append("No breaker is open.")
    for one in open_ones:
        trial = f", next trial from {moment(one['trial_at'])}" if one["trial_at"] else ""
        lines.append(f"Breaker {one['scope']} is {one['state']} since {moment(one['since'])}{trial}.")
    lines.append(
        f"{data['waiting']} waiting to be ordered, {data['in_flight']} in flight "
        f"(at most {data['at_most_in_flight']}), {data['unclear']} unclear."
    )
    return "\n".join(lines)


@command(placing, "freeze")
@click.option("--reason", required=True, help="Why nothing may be ordered.")
@click.option("--by", required=True, help="Who stops it.")
def freeze(container: Container, reason: str, by: str) -> Answer:
    """Send no more orders until two people release it."""
    placement.freeze(container, reason, by=by)
    return Answer(
        placement.status(container), "Ordering is frozen. `flask placement release --by … --second …` ends it."
    )


@command(placing, "release")
@click.option("--by", required=True, help="Who releases it.")
@click.option("--second", required=True, help="The second person.")
@click.option("--despite", is_flag=True, help="Although `placement status` names something to be cleared up.")
@click.option(
    "--despite-shop",
    "despite_shops",
    type=int,
    multiple=True,
    help="Although the orders of this shop cannot be read. Again for another one.",
)
def release(
    container: Container,
    by: str,
    second: str,
    despite: bool,  # noqa: FBT001 - as click gives it
    despite_shops: tuple[int, ...],
) -> Answer:
    """Let orders be sent again: an act of two people."""
    ended = placement.release(container, by=by, second=second, despite=despite, despite_shops=despite_shops)
    return Answer(placement.status(container) | {"released": ended}, "Orders are sent again.")


@command(root, "alerts")
@click.option("--all", "ended", is_flag=True, help="Those that are over as well.")
@click.option("--end", "alert_id", type=int, help="Say that the cause of this alert is over.")
@limit_option
@by_option
def alerts(
    container: Container,
    ended: bool,  # noqa: FBT001 - click hands options over by name
    alert_id: int | None,
    limit: int,
    by: str,
) -> Answer:
    """What staff must know now."""
    if alert_id is not None:
        todo.end_alert(container, alert_id, actor=by)
        return Answer({"id": alert_id, "ended_by": by}, f"Alert {alert_id} has ended.")
    rows = todo.alerts(container, ended=ended, limit=limit)
    lines = [
        f"{row['id']}  {moment(row['raised_at'])}  {row['kind']}"
        + (f", ended {moment(row['ended_at'])}" if row["ended_at"] else "")
        + f": {row['text']}"
        for row in rows
    ]
    if len(rows) == limit:
        lines.append(f"At most {limit} are shown, the newest first; --limit says how many.")
    return Answer(rows, "\n".join(lines) or "No alert is open.")


@command(root, "tasks")
@click.option("--all", "done", is_flag=True, help="Those that are done as well.")
@click.option("--done", "task_id", type=int, help="Mark this task as done.")
@shop_option
@limit_option
@by_option
def tasks(
    container: Container,
    done: bool,  # noqa: FBT001 - click hands options over by name
    task_id: int | None,
    shop_id: int | None,
    limit: int,
    by: str,
) -> Answer:
    """What people have to do."""
    if task_id is not None:
        todo.finish(container, task_id, actor=by)
        return Answer({"id": task_id, "done_by": by}, f"Task {task_id} is done.")
    rows = todo.tasks(container, done=done, shop_id=shop_id, limit=limit)
    held = todo.held(container, shop_id=shop_id)
    more = f"{held} purchase(s) are held: `flask purchase list --state HELD` says why." if held else ""
    if not rows:
        return Answer(rows, more or "Nothing is to be done.")
    lines = [
        f"{row['id']}  {moment(row['created_at'])}  {row['turn']}"
        + (f", done {moment(row['done_at'])} by {row['done_by'] or 'nobody'}" if row["done_at"] else "")
        + f": {row['text']}"
        for row in rows
    ]
    return Answer(rows, "\n".join([*lines, *([more] if more else [])]))
