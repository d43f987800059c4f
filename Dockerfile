# One image for every process; the Procfile's name says which: docker run IMAGE worker_send

FROM python:3.11-slim AS build
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

FROM python:3.11-slim
RUN useradd --system --uid 10001 --home-dir /app --shell /usr/sbin/nologin sendmill \
    && install -d -o sendmill -g sendmill -m 700 /var/lib/sendmill
WORKDIR /app
COPY --from=build /opt/sendmill /opt/sendmill
COPY Procfile ./
COPY config config
COPY providers providers
COPY tasks tasks
COPY workers workers
ENV PATH=/opt/sendmill/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 PORT=8080 SENDMILL_STATE_DIR=/var/lib/sendmill
USER sendmill
EXPOSE 8080
# Becomes the Procfile's process, so that a stop signal reaches it and not a shell.
ENTRYPOINT ["python", "-m", "config.procfile"]
CMD ["worker_send"]
