"""The application without its doorbell: what P4 takes away to see what telling the worker costs."""

from __future__ import annotations

from app import container, create_app

parts = container.build()
parts.bell.ring = lambda: None  # type: ignore[method-assign]
app = create_app(parts)
