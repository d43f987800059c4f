# One image for every process; the Procfile's name says which: docker run IMAGE worker_send
# BASE may be any image of a Debian that has Python 3.11 or later at `python`.
ARG BASE=python:3.11-slim

FROM ${BASE} AS build
WORKDIR /build
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
# The tools build the wheel here and stay here; the image gets what requirements.lock names and nothing else.
COPY requirements.lock requirements-dev.lock ./
RUN python -m venv /opt/sendmill \
    && /opt/sendmill/bin/pip install --require-hashes -r requirements.lock \
    && python -m venv /tools \
    && /tools/bin/pip install --require-hashes -r requirements-dev.lock
COPY pyproject.toml README.md CHANGELOG.md LICENSE ./
COPY sendmill sendmill
RUN /tools/bin/python -m build --wheel --no-isolation --outdir /wheel \
    && /opt/sendmill/bin/pip install --no-deps /wheel/*.whl \
    && /opt/sendmill/bin/pip uninstall --yes pip setuptools

FROM ${BASE}
RUN useradd --system --uid 10001 --home-dir /app --shell /usr/sbin/nologin sendmill \
    && install -d -o sendmill -g sendmill -m 700 /var/lib/sendmill /run/sendmill
WORKDIR /app
COPY --from=build /opt/sendmill /opt/sendmill
COPY Procfile ./
COPY config config
COPY providers providers
COPY tasks tasks
COPY web web
COPY workers workers
COPY deploy/alive /usr/local/bin/alive
ENV PATH=/opt/sendmill/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 PORT=8080 SENDMILL_STATE_DIR=/var/lib/sendmill \
    SENDMILL_ALIVE_FILE=/run/sendmill/alive
USER sendmill
EXPOSE 8080 8090
# Each process's loop touches a file every second; the probe looks at its age. Redis being away is no reason to restart.
HEALTHCHECK --interval=10s --timeout=3s --start-period=60s --retries=3 CMD ["alive"]
# Becomes the Procfile's process, so that a stop signal reaches it and not a shell.
ENTRYPOINT ["python", "-m", "config.procfile"]
CMD ["worker_send"]
