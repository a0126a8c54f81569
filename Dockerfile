# One image with the four binaries; the command says which: millrace, ingest, processor or sink.
FROM golang:1.26 AS build
# For builds behind a module mirror; empty: Go's own default.
ARG GOPROXY=
ARG GOFLAGS=
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY . .
RUN CGO_ENABLED=0 go build -trimpath -buildvcs=false -ldflags="-s -w" -o /out/ ./cmd/...

FROM gcr.io/distroless/static-debian12:nonroot
COPY --from=build /out/ /usr/local/bin/
COPY examples/ /etc/millrace/examples/
# For pages that are too large for memory, and the lock of a process's name; mount a volume here, or move it.
ENV TMPDIR=/home/nonroot
# Health, readiness and metrics of every command that runs.
EXPOSE 9464
HEALTHCHECK --interval=5s --timeout=3s --start-period=30s CMD ["/usr/local/bin/millrace", "healthcheck"]
ENTRYPOINT []
CMD ["/usr/local/bin/millrace", "--help"]
