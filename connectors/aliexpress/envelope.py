"""The wrappers around every answer, and the gateway's own errors in them. Source.

Reference, sections 3 and 5.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields, replace
from typing import Any

from connectors.aliexpress import wire
from connectors.aliexpress.masking import without_secrets


@dataclass(frozen=True, slots=True)
class GatewayError:
    """An error of the gateway, not of a method.

    `sub_code` is there only when something behind the gateway raised it.
    """

    code: str
    message: str
    sub_code: str = ""
    sub_message: str = ""

    @property
    def words(self) -> str:
        """Code and texts for a log line or an order's story."""
        return " ".join(part for part in (self.code, self.sub_code, self.sub_message or self.message) if part)[:300]


@dataclass(frozen=True, slots=True)
class Answer:
    """An opened envelope: either `error` or the method's payload.

    `request_id` is the gateway's trace number, `whole` all that came.
    """

    payload: dict[str, Any]
    error: GatewayError | None
    request_id: str
    whole: dict[str, Any] = field(default_factory=dict)

    def without(self, secrets: tuple[str, ...]) -> Answer:
        """The answer with none of these in its error's texts."""
        if self.error is None:
            return self
        codes = {one.name: without_secrets(getattr(self.error, one.name), secrets) for one in fields(self.error)}
        return replace(self, error=GatewayError(**codes), request_id=without_secrets(self.request_id, secrets))


def _error(block: dict[str, Any]) -> GatewayError:
    return GatewayError(
        wire.text(block.get("code")),
        wire.text(block.get("msg")) or wire.text(block.get("message")),
        wire.text(block.get("sub_code")) or ("odd" if wire.says(block.get("sub_code")) else ""),
        wire.text(block.get("sub_msg")),
    )


def _request_id(*blocks: dict[str, Any]) -> str:
    return next((wire.text(block["request_id"]) for block in blocks if "request_id" in block), "")


def open_sync(method: str, body: bytes) -> Answer:
    """The answer of a business method, wrapped or not.

    Raises `wire.Malformed` if it is none of the known forms.
    """
    root = wire.parse(body)
    if not isinstance(root, dict) or not root:
        raise wire.Malformed("not an object")
    wrapper = root.get(method.replace(".", "_") + "_response")
    if "error_response" in root:
        block = wire.mapping(root["error_response"])
        return Answer(wire.mapping(wrapper), _error(block), _request_id(block, root), root)
    if isinstance(wrapper, dict):
        return Answer(wrapper, None, _request_id(wrapper, root), root)
    return _open_bare(root)


def _open_bare(root: dict[str, Any]) -> Answer:
    """Streamlined form: the wrapper is gone. An error then looks like that of a system call."""
    code = wire.text(root.get("code"))
    if code not in {"", "0", "00"} and ("message" in root or "msg" in root) and "result" not in root:
        return Answer({}, _error(root), _request_id(root), root)
    known = {"result", "rsp_code", "ret", "resp_result", "result_success", "is_success"}
    if not known & root.keys():
        raise wire.Malformed("no known wrapper")
    return Answer(root, None, _request_id(root), root)


def open_rest(path: str, body: bytes) -> Answer:
    """The answer of a system call, bare as on `/rest` or wrapped as on `/sync`. Raises `wire.Malformed`."""
    root = wire.parse(body)
    if not isinstance(root, dict) or not root:
        raise wire.Malformed("not an object")
    if "error_response" in root:
        block = wire.mapping(root["error_response"])
        return Answer({}, _error(block), _request_id(block, root))
    inner = wire.mapping(root.get(path + "_response")) or root
    code = wire.text(inner.get("code"))
    if code not in {"", "0"}:
        return Answer({}, _error(inner), _request_id(inner))
    return Answer(inner, None, _request_id(inner, root))
