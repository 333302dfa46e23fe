# The command and the server for machines without a GPU; configs and weights are inside, and nothing is fetched at run time.
#
#   docker build --tag protoseg .
#   docker run --rm --user "$(id -u)" --volume "$PWD:/data" protoseg segment QUERY --like SCAN LABEL_MAP --output results
#   docker compose up     the server, OHIF and a DICOM server: compose.yaml
#
# --build-arg PIP_EXTRA_INDEX_URL=ADDRESS, with the address of PyTorch's own index of CPU builds, makes the image
# several gigabytes smaller. torch and torchvision have to come from the same index.
FROM python:3.11-slim-bookworm AS wheel
WORKDIR /src
COPY pyproject.toml README.md LICENSE ./
COPY bundle bundle
COPY monailabel_app monailabel_app
RUN pip wheel --no-cache-dir --no-deps --wheel-dir /wheel .

FROM python:3.11-slim-bookworm
ARG PIP_EXTRA_INDEX_URL=
COPY --from=wheel /wheel /wheel
# MONAI Label writes into three folders of its app.
RUN pip install --no-cache-dir "$(echo /wheel/*.whl)[label]" \
    && useradd --create-home --uid 1000 protoseg \
    && app="$(python -c 'import protoseg; print(protoseg.bundle_root())')/monailabel_app" \
    && install --directory --owner=protoseg /data "$app/bin" "$app/logs" "$app/model"
ENV HOME=/tmp MPLCONFIGDIR=/tmp/matplotlib MONAI_LABEL_TRACKING_ENABLED=false
USER 1000
WORKDIR /data
EXPOSE 8000
HEALTHCHECK --start-period=120s --interval=30s --timeout=10s \
    CMD ["python", "-c", "import urllib.request as r; r.urlopen('http://127.0.0.1:8000/info/')"]
ENTRYPOINT ["protoseg"]
CMD ["serve", "--studies", "/data", "--host", "0.0.0.0", "--conf", "remote_access", "true"]
