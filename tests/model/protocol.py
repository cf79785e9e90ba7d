"""Every step that anybody can take from a world: storefront, workers, supplier, events, reconciler, person."""

from __future__ import annotations

from collections.abc import Iterator

from tests.model.world import (
    ABOUT_TO_SEND,
    ANSWERED,
    CANCELLED,
    CLAIMED,
    CLAIMER,
    DONE,
    EXPIRED,
    FREE,
    GATEWAY,
    HUMAN,
    IDLE,
    NOBODY,
    NONE,
    PAID,
    READY,
    REFUSED,
    REJECTED,
    REPEATED,
    SENDING,
    STOCK,
    UNPAID,
    WAITING,
    Design,
    Order,
    Request,
    Worker,
    World,
)

Step = tuple[str, World]


def steps(world: World, design: Design) -> Iterator[Step]:
    """All steps but kills, which `kills` gives: they use up a budget that is not part of the world."""
    yield from _storefront(world, design)
    for me in (0, 1):
        yield from _worker(world, design, me)
    yield from _supplier(world, design)
    yield from _money_and_events(world)
    if world.state == SENDING:
        yield from _reconciler(world, design)
    if world.state == HUMAN:
        yield from _person(world, design)


def kills(world: World, design: Design) -> Iterator[Step]:
    """kill -9 of a worker at whatever it does. Its request lives on; so does its row, if written ahead."""
    for me, worker in enumerate(world.workers):
        if worker.at == IDLE:
            continue
        after = world._replace(workers=_put(world, me, FREE), wire=_hang_up(world, me))
        if not design.write_ahead and world.state == CLAIMED and world.owner == me:
            after = after._replace(state=READY, owner=NOBODY)
        yield f"kill worker {me}", after


def _put(world: World, me: int, worker: Worker) -> tuple[Worker, Worker]:
    return (worker, world.workers[1]) if me == 0 else (world.workers[0], worker)


def _hang_up(world: World, me: int) -> tuple[Request, ...]:
    return tuple(Request(call.generation, NOBODY) if call.caller == me else call for call in world.wire)


def _anew(world: World) -> World:
    return world._replace(state=READY, generation=world.generation + 1, owner=NOBODY)


def _may_follow(world: World, design: Design) -> bool:
    return world.generation + 1 < design.generations


def _storefront(world: World, design: Design) -> Iterator[Step]:
    if world.deliveries < design.most_deliveries:
        told = world._replace(deliveries=world.deliveries + 1)
        if world.state == NONE:
            yield "webhook", told._replace(state=READY)
        elif design.unique_intent:
            yield "webhook again", told
        elif _may_follow(world, design):
            yield "webhook again makes another intent", _anew(told)
    if design.cancellations and world.cancel == 0 and world.state != NONE:
        if world.state in (READY, CLAIMED):
            yield "cancelled in time", world._replace(cancel=1, state=CANCELLED)
        else:
            yield "cancelled too late", world._replace(cancel=2)


def _worker(world: World, design: Design, me: int) -> Iterator[Step]:
    worker = world.workers[me]
    if worker.at == IDLE:
        yield from _take(world, design, me)
    elif worker.at == CLAIMER:
        yield from _point_of_no_return(world, design, me)
    elif worker.at == ABOUT_TO_SEND:
        yield from _send(world, design, me)
    elif worker.at == WAITING:
        yield from _time_out(world, design, me)
    else:
        yield from _record(world, design, me)


def _take(world: World, design: Design, me: int) -> Iterator[Step]:
    mine = _put(world, me, Worker(CLAIMER, world.generation, None))
    if world.state == READY:
        yield f"worker {me} claims", world._replace(state=CLAIMED, owner=me, workers=mine)
    if world.state == CLAIMED and world.owner != me:
        yield f"worker {me} takes over a lapsed claim", world._replace(owner=me, workers=mine)
    if world.state == SENDING and design.lease_reruns_sending:
        again = _put(world, me, Worker(ABOUT_TO_SEND, world.generation, None))
        yield f"worker {me} runs a SENDING row again", world._replace(owner=me, workers=again)


def _point_of_no_return(world: World, design: Design, me: int) -> Iterator[Step]:
    generation = world.workers[me].generation
    if not design.write_ahead:
        if len(world.wire) < design.most_on_wire:
            yield f"worker {me} sends unwritten", _on_the_wire(world, me)
        return
    if design.compare_and_set:
        holds = world.state == CLAIMED and world.owner == me and world.generation == generation
    else:
        holds = world.state in (CLAIMED, SENDING) and world.generation == generation
    if not design.reread_before_send:
        holds = holds or world.state == CANCELLED
    free = _put(world, me, FREE)
    if not holds:
        yield f"worker {me} has lost its claim", world._replace(workers=free)
    elif world.cancel and design.reread_before_send:
        yield f"worker {me} finds the cancellation", world._replace(state=CANCELLED, owner=NOBODY, workers=free)
    else:
        ahead = _put(world, me, Worker(ABOUT_TO_SEND, generation, None))
        misled = int(bool(world.cancel))
        yield f"worker {me} commits SENDING", world._replace(state=SENDING, owner=me, workers=ahead, misled=misled)


def _on_the_wire(world: World, me: int) -> World:
    generation = world.workers[me].generation
    return world._replace(
        workers=_put(world, me, Worker(WAITING, generation, None)), wire=(*world.wire, Request(generation, me))
    )


def _send(world: World, design: Design, me: int) -> Iterator[Step]:
    moved_on = world.state != SENDING or world.generation != world.workers[me].generation or world.owner != me
    if moved_on and design.deadline:
        yield f"worker {me} is too late to send", world._replace(workers=_put(world, me, FREE))
    elif len(world.wire) < design.most_on_wire:
        yield f"worker {me} sends", _on_the_wire(world, me)


def _time_out(world: World, design: Design, me: int) -> Iterator[Step]:
    gone = world._replace(workers=_put(world, me, FREE), wire=_hang_up(world, me))
    ours = world.state == SENDING and world.generation == world.workers[me].generation
    if design.retry_on_timeout and ours:
        yield f"worker {me} times out and retries", gone._replace(state=READY, owner=NOBODY)
    else:
        yield f"worker {me} times out", gone


def _record(world: World, design: Design, me: int) -> Iterator[Step]:
    worker = world.workers[me]
    done = world._replace(workers=_put(world, me, FREE))
    accepted = (world.state == SENDING and world.generation == worker.generation) or (
        not design.write_ahead and world.state == CLAIMED
    )
    answer = worker.answer
    if answer == REFUSED:
        yield f"worker {me} records the refusal", done._replace(state=REJECTED) if accepted else done
    elif answer == REPEATED:
        yield f"worker {me} reads “repeated”: unknown", done
    elif answer == GATEWAY:
        back = done._replace(state=READY, owner=NOBODY) if accepted else done
        yield f"worker {me} records “not executed”", back
    elif answer == STOCK:
        if design.silence_means_no_stock and accepted and _may_follow(world, design):
            yield f"worker {me} takes “stock” for a no", _anew(done)
        else:
            yield f"worker {me} reads “stock”: unknown", done
    elif answer is not None:
        found = done._replace(known=world.known | {answer})
        yield f"worker {me} records the order", found._replace(state=DONE) if accepted else found


def _supplier(world: World, design: Design) -> Iterator[Step]:
    """The supplier decides any request, soon or late, in any order."""
    for place, call in enumerate(world.wire):
        rest = world._replace(wire=world.wire[:place] + world.wire[place + 1 :])
        yield from _executed(rest, design, call)
        if not world.refused_once:
            yield "supplier refuses", _answer(rest, call, REFUSED)._replace(refused_once=1)
        if call.caller != NOBODY and not world.odd_once:
            yield "gateway refuses", _answer(rest, call, GATEWAY)._replace(odd_once=1)
        dropped = rest._replace(workers=_put(rest, call.caller, FREE)) if call.caller != NOBODY else rest
        yield "supplier drops the call", dropped


def _executed(world: World, design: Design, call: Request) -> Iterator[Step]:
    alive = [
        place
        for place, order in enumerate(world.orders)
        if order.generation == call.generation and order.status != EXPIRED
    ]
    if alive and design.dedupe != "none" and not design.fresh_key_on_retry:
        yield "supplier knows the key", _answer(world, call, alive[0] if design.dedupe == "replay" else REPEATED)
    elif len(world.orders) < design.most_on_wire:
        place = len(world.orders)
        order = Order(call.generation, PAID if design.autopay else UNPAID)
        made = world._replace(orders=(*world.orders, order), pushes=world.pushes | {place})
        yield "supplier creates", _answer(made, call, place)
        if not world.odd_once:
            yield "supplier creates and says “stock”", _answer(made, call, STOCK)._replace(odd_once=1)


def _answer(world: World, call: Request, answer: int) -> World:
    if call.caller == NOBODY:
        return world
    return world._replace(workers=_put(world, call.caller, Worker(ANSWERED, call.generation, answer)))


def _money_and_events(world: World) -> Iterator[Step]:
    any_paid = any(order.status == PAID for order in world.orders)
    for place, order in enumerate(world.orders):
        if order.status == UNPAID:
            yield "unpaid order expires", _mark(world, place, EXPIRED)
            if world.state == DONE and place in world.known and not any_paid:
                yield "merchant pays the order we know", _mark(world, place, PAID)
    for place in world.pushes:
        told = world._replace(pushes=world.pushes - {place})
        heard = told._replace(known=world.known | {place})
        yield "push arrives", heard._replace(state=DONE) if world.state == SENDING else heard
        yield "push is lost", told


def _mark(world: World, place: int, status: int) -> World:
    changed = Order(world.orders[place].generation, status)
    return world._replace(orders=(*world.orders[:place], changed, *world.orders[place + 1 :]))


def _reconciler(world: World, design: Design) -> Iterator[Step]:
    if world.known:
        yield "reconciler adopts", world._replace(state=DONE)
    yield "reconciler asks a person", world._replace(state=HUMAN, person=1)
    ours_alive = any(order.generation == world.generation and order.status != EXPIRED for order in world.orders)
    if not ours_alive and _may_follow(world, design):
        if design.miss_is_proof and not world.known:
            yield "a look-up miss taken for a no", _anew(world)
        under_way = any(call.generation == world.generation for call in world.wire) or any(
            worker.at == WAITING and worker.generation == world.generation for worker in world.workers
        )
        if not design.autopay and not under_way:
            yield "the pay window has passed in silence", _anew(world)
    if design.same_key_resend and all(worker.at == IDLE for worker in world.workers) and len(world.wire) < 2:
        yield "same key sent again", world._replace(wire=(*world.wire, Request(world.generation, NOBODY)))


def _person(world: World, design: Design) -> Iterator[Step]:
    """Looks at the supplier's own order page, after the quarantine: nothing of ours is on its way any more."""
    alive = [place for place, order in enumerate(world.orders) if order.status != EXPIRED]
    if alive:
        yield "person finds it", world._replace(state=DONE, known=world.known | {alive[0]})
        return
    on_its_way = world.wire or any(worker.at in (ABOUT_TO_SEND, WAITING) for worker in world.workers)
    if not on_its_way and _may_follow(world, design):
        yield "person says it is not there", _anew(world)
