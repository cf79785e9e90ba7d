"""`/_control`: the hands of a test, a demo or a developer. No authentication.

A simulator serves nobody else.
"""

from __future__ import annotations

from typing import Any

from flask import Blueprint, Response, jsonify, request

from connectors.aliexpress.simulator import acts, tokens
from connectors.aliexpress.simulator.catalogue import write_product
from connectors.aliexpress.simulator.world import World


def blueprint(world: World) -> Blueprint:
    """The control routes."""
    routes = Blueprint("control", __name__, url_prefix="/_control")
    _add_watching(routes, world)
    _add_surroundings(routes, world)
    _add_push_and_time(routes, world)
    _add_acts(routes, world)

    @routes.errorhandler(acts.Impossible)
    def impossible(error: acts.Impossible) -> tuple[Response, int]:
        return jsonify(error=str(error)), 409

    @routes.errorhandler(ValueError)
    @routes.errorhandler(TypeError)
    @routes.errorhandler(KeyError)
    def malformed(error: Exception) -> tuple[Response, int]:
        return jsonify(error=f"{type(error).__name__}: {error}"), 400

    return routes


def _data() -> dict[str, Any]:
    data = request.get_json(silent=True)
    return data if isinstance(data, dict) else {}


def _add_watching(routes: Blueprint, world: World) -> None:
    @routes.get("/state")
    def state() -> Response:
        acts.run_due(world)
        with world.lock:
            return jsonify(world.describe())

    @routes.get("/ledger")
    def ledger() -> Response:
        acts.run_due(world)
        with world.lock:
            return jsonify(list(world.ledger.lines))

    @routes.get("/faults")
    def faults() -> Response:
        return jsonify(world.faults.shown())


def _add_surroundings(routes: Blueprint, world: World) -> None:
    @routes.post("/faults")
    def set_faults() -> Response:
        """A JSON list replaces the rules; an object with `add` appends to them."""
        data = request.get_json()
        if isinstance(data, dict):
            world.faults.add(list(data["add"]))
        else:
            world.faults.replace(list(data))
        return jsonify(world.faults.shown())

    @routes.post("/accounts")
    def account() -> Response:
        data = _data()
        with world.lock:
            user_id = str(data.get("user_id") or 1 + max(map(int, world.accounts)))
            fields = {key: value for key, value in data.items() if key not in {"user_id", "tokens", "code"}}
            world.remember({"op": "account", "user_id": user_id, **fields})
            answer: dict[str, Any] = {"user_id": user_id, "login": world.accounts[user_id].login}
            if data.get("tokens", True):
                answer |= tokens.grant(world, user_id)
            answer["consent_code"] = tokens.new_code(world, user_id) if data.get("code") else None
        return jsonify(answer)

    @routes.post("/cpf")
    def cpf() -> Response:
        """Brazil's register: the number belongs to that name."""
        data = _data()
        number = "".join(char for char in str(data["cpf"]) if char.isdigit())
        with world.lock:
            world.remember({"op": "cpf", "cpf": number, "name": str(data["name"])})
        return jsonify(cpf=number)

    @routes.post("/products")
    def product() -> Response:
        data = request.get_json()
        with world.lock:
            for row in data if isinstance(data, list) else [data]:
                world.change_product(row)
            last = world.products[str(row["product_id"])]
            return jsonify(write_product(last))


def _add_push_and_time(routes: Blueprint, world: World) -> None:
    @routes.post("/push")
    def push() -> Response:
        return jsonify(world.pushes.set_mode(_data()))

    @routes.post("/push/send")
    def push_send() -> Response:
        """A forged message: any body, signed or not."""
        data = _data()
        world.pushes.post(str(data["body"]).encode(), signed=bool(data.get("signed", False)))
        return jsonify(queued=True)

    @routes.post("/kill_token")
    def kill_token() -> Response:
        data = _data()
        user_id = str(data["user_id"]) if data.get("user_id") else None
        return jsonify(killed=tokens.kill(world, user_id, with_refresh=bool(data.get("refresh"))))

    @routes.post("/advance")
    def advance() -> Response:
        with world.lock:
            world.remember({"op": "advance", "seconds": float(_data()["seconds"])})
            acts.run_due(world)
            return jsonify(now=world.now())


def _add_acts(routes: Blueprint, world: World) -> None:
    @routes.post("/pay")
    def pay() -> Response:
        data = _data()
        ids = [str(order_id) for order_id in data.get("order_ids") or [data["order_id"]]]
        for order_id in ids:
            acts.pay(world, order_id)
        return jsonify(paid=ids)

    @routes.post("/ship")
    def ship() -> Response:
        data = _data()
        return jsonify(parcels=acts.ship(world, str(data["order_id"]), data.get("parcels")))

    @routes.post("/deliver")
    def deliver() -> Response:
        acts.deliver(world, str(_data()["order_id"]))
        return jsonify(delivered=True)

    @routes.post("/close")
    def close() -> Response:
        acts.close(world, str(_data()["order_id"]))
        return jsonify(closed=True)

    @routes.post("/cancel")
    def cancel() -> Response:
        data = _data()
        acts.cancel(world, str(data["order_id"]), data.get("sku_ids"), str(data.get("order_status", "FINISH")))
        return jsonify(cancelled=True)

    @routes.post("/renumber")
    def renumber() -> Response:
        data = _data()
        acts.renumber(world, str(data["order_id"]), str(data["old"]), str(data["new"]))
        return jsonify(renumbered=True)

    @routes.post("/status")
    def status() -> Response:
        data = _data()
        changes = {key: str(value) for key, value in data.items() if key in {"order_status", "logistics_status"}}
        acts.set_status(world, str(data["order_id"]), changes)
        return jsonify(changes)
