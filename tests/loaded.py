"""Everything that the product's processes load, loaded at once: what is forked from here has nothing left to load.

Connectors are found by name when a container is built, and limits loads valkey's client where that is installed.
"""

from __future__ import annotations

import multiprocessing.popen_fork
import multiprocessing.util

import flask.cli
import granian
import mjml
import rq
import valkey

import app
from app import audit_chain, registry
from app.jobs import schedule, scheduler, supervisor, sweep
from app.pipeline import waiting

LOADED = (
    multiprocessing.popen_fork, multiprocessing.util, flask.cli, granian, mjml, rq, valkey,
    app, audit_chain, schedule, scheduler, supervisor, sweep, waiting, registry.find(),
)  # fmt: skip
