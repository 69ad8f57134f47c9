# Runs and serves compiled plans on a host with Edge TPUs; no solver, no compiler inside.
#   docker build -t segsolve-run .
#   docker run --rm -v "$PWD/plan:/plan:ro" --device /dev/apex_0 segsolve-run run /plan --backend edgetpu
# USB devices: --device /dev/bus/usb instead. The vendor's library is not in Debian's archive: put its package
# libedgetpu1-std for your architecture beside this file as libedgetpu.deb before you build.
FROM python:3.12-slim-bookworm

# Debian keeps the latest version of a package alone, so that none can be named.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --yes --no-install-recommends libusb-1.0-0 \
    && rm -rf /var/lib/apt/lists/*

COPY libedgetpu.de[b] /tmp/
RUN if [ -e /tmp/libedgetpu.deb ]; then dpkg --install /tmp/libedgetpu.deb && rm /tmp/libedgetpu.deb; fi

COPY runtime /src/runtime
COPY constraints.txt /src/
RUN pip install --no-cache-dir --constraint /src/constraints.txt /src/runtime \
    && useradd --create-home --uid 1000 --groups plugdev runner
USER 1000
WORKDIR /home/runner
ENTRYPOINT ["segsolve-run"]
CMD ["doctor"]
