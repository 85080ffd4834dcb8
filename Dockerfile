# One file for all images; a service is a target. `BIN_STAGE=prebuilt` takes ready binaries from target/dist/ instead of
# building them.
ARG BIN_STAGE=build

FROM rust:1-bookworm AS build
WORKDIR /kurir
COPY . .
RUN make build && mkdir -p /out/bin /out/certs \
    && cp target/dist/* /out/bin/ && cp /etc/ssl/certs/ca-certificates.crt /out/certs/

FROM debian:bookworm-slim AS prebuilt
COPY target/dist/ /out/bin/
RUN mkdir -p /out/certs && if [ -f /etc/ssl/certs/ca-certificates.crt ]; then cp /etc/ssl/certs/ca-certificates.crt /out/certs/; fi

FROM ${BIN_STAGE} AS bin

FROM debian:bookworm-slim AS base
COPY --from=bin /out/certs/ /etc/ssl/certs/
COPY --from=bin /out/bin/kurir /usr/local/bin/kurir
# A named volume takes over the owner of the folder that it covers.
RUN mkdir -p /data/sessions /data/index /login/gateway /login/webhook-dispatcher /login/api && chown -R 10001:10001 /data /login
WORKDIR /data
USER 10001:10001
# The log goes to the container's output; a service asks for its file by name.
ENV LOG_FILE="" WHATSAPP_SESSION_PATH=/data/sessions

FROM base AS gateway
COPY --from=bin /out/bin/kurir-gateway /usr/local/bin/
CMD ["kurir-gateway"]

FROM base AS webhook-dispatcher
COPY --from=bin /out/bin/kurir-webhook-dispatcher /usr/local/bin/
CMD ["kurir-webhook-dispatcher"]

FROM base AS api
COPY --from=bin /out/bin/kurir-api /usr/local/bin/
CMD ["kurir-api"]

# All below is for the demo and for tests only: this gateway trusts the simulator.
FROM build AS build-for-simulator
RUN make build-for-simulator && cp target/dist/* /out/bin/

FROM prebuilt AS prebuilt-for-simulator

FROM ${BIN_STAGE}-for-simulator AS bin-for-simulator

FROM base AS gateway-for-simulator
COPY --from=bin-for-simulator /out/bin/kurir-gateway-for-simulator /usr/local/bin/
CMD ["kurir-gateway-for-simulator"]

FROM base AS simulator
COPY --from=bin-for-simulator /out/bin/whatsapp-simulator /usr/local/bin/
CMD ["whatsapp-simulator"]
