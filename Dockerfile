# The image of a release: the same wheel that tests/cluster/images puts into the local image.
#   docker build --build-arg VERSION=0.1.0 --tag docker.io/pantala/pantala:0.1.0 .
FROM python:3.11-slim AS build
WORKDIR /source
RUN python -m venv /opt/pantala
# dependencies first: a changed source line does not install them again
COPY pyproject.toml constraints.tx[t] ./
RUN python -c "import tomllib; print(*tomllib.load(open('pyproject.toml', 'rb'))['project']['dependencies'], sep='\n')" > requirements.txt \
 && touch constraints.txt \
 && /opt/pantala/bin/pip install --no-cache-dir --no-compile --requirement requirements.txt --constraint constraints.txt
COPY README.md LICENSE ./
COPY operator operator
RUN /opt/pantala/bin/pip wheel --no-cache-dir --no-deps --wheel-dir dist . \
 && /opt/pantala/bin/pip install --no-cache-dir --no-compile --no-deps dist/*.whl \
 && /opt/pantala/bin/pip uninstall --yes setuptools pip \
 # pods have a read-only root file system: what is not compiled now is compiled at every start
 && python -m compileall -q --invalidation-mode unchecked-hash /opt/pantala/lib

FROM python:3.11-slim
ARG VERSION=0.0.0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="Pantala" \
      org.opencontainers.image.description="A Kubernetes operator that serves models and carries their weights to the servers" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
COPY --from=build /opt/pantala /opt/pantala
ENV PATH=/opt/pantala/bin:$PATH PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1
# a number, so that Kubernetes can verify runAsNonRoot
USER 1000:1000
ENTRYPOINT ["pantala"]
