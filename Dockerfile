# hostd on its embedded defaults, in one container:
#   docker build -t hostd . && docker run --privileged -p 8080:8080 -p 8081:8081 -p 2222:2222 -v hostd:/var/lib/hostd hostd
FROM debian:12-slim
RUN apt-get update \
    && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends \
        git nginx-light libnginx-mod-http-lua lua-cjson bubblewrap nftables iproute2 util-linux procps \
        python3 python3-venv ca-certificates curl \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /opt/hostd-src
COPY . .
RUN python3 -m venv /opt/hostd && /opt/hostd/bin/pip install --no-cache-dir .
ENV PATH=/opt/hostd/bin:$PATH HOSTD_LISTEN=0.0.0.0:8081
EXPOSE 8080 8081 2222
VOLUME /var/lib/hostd
CMD ["hostd", "serve"]
