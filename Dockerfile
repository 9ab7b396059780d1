# The gateway as a container image: built in one stage, run from another that has neither a compiler nor a package cache.
#
#   docker build -t protection-gateway .
#   docker run --read-only --tmpfs /tmp --cap-drop ALL -p 8080:8080 \
#     -v "$PWD/config/gateway.yaml:/etc/gateway/gateway.yaml:ro" protection-gateway
#
# Inside a container a listener must be on 0.0.0.0 to be reached from outside; the admin side may stay on 127.0.0.1:9090,
# where the health check asks it (another address: --health-cmd 'gateway healthcheck --admin ADDRESS').
ARG PYTHON=3.11-slim

FROM python:${PYTHON} AS build
WORKDIR /src
RUN python -m venv /opt/gateway
ENV PATH=/opt/gateway/bin:$PATH
# The dependencies by themselves first: this layer is kept as long as pyproject.toml stays the same.
COPY pyproject.toml README.md LICENSE ./
RUN mkdir gateway && touch gateway/__init__.py \
    && pip install --no-cache-dir . \
    && pip uninstall --yes protection-gateway \
    && rm -rf gateway build ./*.egg-info
COPY gateway gateway
RUN pip install --no-cache-dir --no-deps .

FROM python:${PYTHON}
RUN groupadd --system --gid 10001 gateway \
    && useradd --system --uid 10001 --gid gateway --no-create-home --home-dir /nonexistent --shell /usr/sbin/nologin gateway
COPY --from=build /opt/gateway /opt/gateway
# Nothing is written to disk but the sockets between the processes, in /tmp: the root file system can be read-only.
ENV PATH=/opt/gateway/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1
USER 10001:10001
EXPOSE 8080 9090
# SIGTERM drains: give `docker stop --time` more than drain_timeout (30 s by default).
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=3s --start-period=10s --retries=3 CMD ["gateway", "healthcheck"]
ENTRYPOINT ["gateway"]
CMD ["run", "-c", "/etc/gateway/gateway.yaml"]
