FROM python:3.13-slim AS builder
# pip 25.3 and newer pin the build tools by the second variable only.
ENV PIP_CONSTRAINT=/build/constraints.txt \
    PIP_BUILD_CONSTRAINT=/build/constraints.txt \
    PIP_DISABLE_PIP_VERSION_CHECK=1 \
    PIP_NO_CACHE_DIR=1
WORKDIR /build
COPY constraints.txt pyproject.toml README.md LICENSE ./
COPY src ./src
# Wheels only: nothing is compiled or fetched again when they are installed, and the final image holds neither pip's downloads
# nor build tools. What is installed is then made read-only, for everybody.
RUN python -m pip wheel --wheel-dir /wheels '.[postgres]'
RUN python -m venv /opt/homedex \
    && /opt/homedex/bin/python -m pip install --no-index --find-links=/wheels 'homedex[postgres]' \
    && /opt/homedex/bin/python -m pip uninstall --yes pip \
    && chmod -R a-w /opt/homedex


FROM python:3.13-slim
RUN groupadd --gid 10001 homedex \
    && useradd --uid 10001 --gid 10001 --no-create-home --home-dir /nonexistent --shell /usr/sbin/nologin homedex \
    && install --directory --owner=10001 --group=10001 --mode=0750 /app/data
COPY --from=builder /opt/homedex /opt/homedex
ENV PATH=/opt/homedex/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    DATABASE_URL=sqlite:///./data/app.db \
    HOMEDEX_HOST=0.0.0.0 \
    HOMEDEX_PORT=8000 \
    HOMEDEX_INSECURE_BIND=1
WORKDIR /app
VOLUME /app/data
# By number, so that an orchestrator that demands "not root" can see that it is not.
USER 10001:10001
EXPOSE 8000
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=30s --timeout=5s --start-period=30s --retries=3 CMD ["homedex", "health"]
CMD ["homedex", "serve"]
