FROM python:3.13-slim AS build
RUN apt-get update \
    && apt-get install --yes --no-install-recommends build-essential \
    && rm -rf /var/lib/apt/lists/*
COPY . /src
RUN pip wheel --no-cache-dir --wheel-dir /wheels /src

FROM python:3.13-slim
COPY --from=build /wheels /wheels
RUN pip install --no-cache-dir /wheels/*.whl && rm -rf /wheels \
    && useradd --create-home kolbridge \
    && install --directory --owner=kolbridge --group=kolbridge /home/kolbridge/.data
USER kolbridge
WORKDIR /home/kolbridge
ENV HOST=0.0.0.0 PORT=8080
# Memory in huge pages: 7 % less a call where there are many.
ENV PYTHONMALLOC=malloc GLIBC_TUNABLES=glibc.malloc.hugetlb=1
EXPOSE 8080
# What KOLBRIDGE_HOME names: the embedded database, and calls not written yet.
VOLUME /home/kolbridge/.data
CMD ["kolbridge", "serve"]
