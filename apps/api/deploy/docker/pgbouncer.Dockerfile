# PgBouncer with the configuration beside. Build it from the root of the repository:
#   docker build -f apps/api/deploy/docker/pgbouncer.Dockerfile -t holdfast-pgbouncer apps/api/deploy/pgbouncer

FROM debian:bookworm-slim
RUN apt-get update \
  && apt-get install -y --no-install-recommends pgbouncer \
  && rm -rf /var/lib/apt/lists/*
COPY pgbouncer.ini /etc/pgbouncer/holdfast.ini
# The addresses of this machine in the file are those of other containers here.
RUN sed -e 's/host=127\.0\.0\.1/host=postgres/' -e 's/^listen_addr = .*/listen_addr = 0.0.0.0/' \
  /etc/pgbouncer/holdfast.ini > /etc/pgbouncer/pgbouncer.ini
USER postgres
EXPOSE 6432
STOPSIGNAL SIGINT
HEALTHCHECK --interval=10s --timeout=3s --retries=3 CMD ["bash", "-c", "exec 3<>/dev/tcp/127.0.0.1/6432"]
CMD ["pgbouncer", "/etc/pgbouncer/pgbouncer.ini"]
