"""One folder per storefront or supplier.

To add one:

1. Make `connectors/<name>/` with an `__init__.py` that defines `CONNECTOR`, a `ConnectorSpec` of `app.ports.connector`.
2. Give it a settings fragment, a `build()` that returns a `Storefront` or `Supplier`, and a simulator.
3. Translate their words into ours in `translate.py` (pure functions), and their errors into `app.ports.errors`.
4. Put its payloads under `tests/connectors/<name>/`; `tests/contract/` finds the connector by itself and must pass.
"""
