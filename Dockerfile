# syntax=docker/dockerfile:1

# One stage has the installer, the other only its result.
FROM python:3.13-slim-bookworm AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
RUN python -m venv /venv
COPY requirements.txt .
RUN /venv/bin/pip install --require-hashes -r requirements.txt

FROM python:3.13-slim-bookworm
ENV PATH=/venv/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 \
    APP_ENV=production STATE_DIR=/state PORT=8000
RUN useradd --system --uid 10001 --home-dir /srv/waybill waybill \
    && install -d -o waybill -g waybill /state
COPY --from=build /venv /venv
WORKDIR /srv/waybill
COPY app app
COPY connectors connectors
COPY migrations migrations
COPY wsgi.py alembic.ini* ./
# Embedded servers, demo: development only.
RUN rm -rf app/local && python -m compileall -q app connectors
USER waybill
VOLUME /state
EXPOSE 8000
# The worker and the scheduler serve no HTTP; compose.yaml switches this off for them.
HEALTHCHECK --interval=15s --timeout=5s --start-period=20s CMD ["python", "-c", \
    "import os, urllib.request; urllib.request.urlopen(f'http://127.0.0.1:{os.environ[\"PORT\"]}/healthz', timeout=4)"]
# The same line as `web` in the Procfile. exec: SIGTERM must reach granian.
CMD ["sh", "-c", "exec granian --interface wsgi --host 0.0.0.0 --port $PORT --workers ${WEB_WORKERS:-2} --blocking-threads ${WEB_THREADS:-1024} --backpressure ${WEB_THREADS:-1024} --http1-buffer-size 65536 --no-ws wsgi:app"]
