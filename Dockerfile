# The image for those who build with a container engine. Releases are made by `make image`, which needs none.
FROM golang:1.26 AS build
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY . .
ARG VERSION=dev
RUN CGO_ENABLED=0 go build -trimpath -buildvcs=false -o /out/ \
    -ldflags "-s -w -X github.com/bridgehead-dev/bridgehead/version.stamp=${VERSION}" ./cmd/bridgehead ./cmd/bridgehead-agent

FROM scratch
COPY --from=build /out/ /usr/local/bin/
ENV PATH=/usr/local/bin:/usr/bin:/bin
USER 65532:65532
ENTRYPOINT ["/usr/local/bin/bridgehead"]
