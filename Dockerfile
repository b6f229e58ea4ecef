# An image that trains: docker build --build-arg EXTRA=cuda --tag jaxembed . (or EXTRA=tpu, or none for CPUs)
FROM python:3.13-slim

ARG EXTRA=""
WORKDIR /jaxembed
COPY . .
RUN pip install --no-cache-dir ".${EXTRA:+[$EXTRA]}"

# Runs and data belong on volumes: --workdir and --data_dir.
ENTRYPOINT ["python", "launch.py"]
