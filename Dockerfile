# syntax=docker/dockerfile:1
FROM node:24-bookworm-slim AS build
WORKDIR /build
COPY package.json package-lock.json ./
RUN npm ci
COPY tsconfig.json tsconfig.build.json ./
COPY lib lib
COPY adapters adapters
COPY page page
COPY scripts/build-page.mjs scripts/
RUN npm run build

FROM node:24-bookworm-slim AS modules
WORKDIR /build
COPY package.json package-lock.json ./
# The clients of S3 and Azure and the metrics are optional peers of the package; the lock file has their versions.
RUN for name in @aws-sdk/client-s3 @azure/storage-blob prom-client; do \
    npm pkg set "dependencies.$name=$(npm pkg get "devDependencies.$name" | tr -d '\"')"; \
  done \
  && npm pkg delete devDependencies scripts && npm install --omit=dev

FROM node:24-bookworm-slim
ENV NODE_ENV=production FASTIFY_TUS_HOST=0.0.0.0 FASTIFY_TUS_PORT=1080 FASTIFY_TUS_DIR=/uploads
WORKDIR /app
COPY package.json ./
COPY --from=modules /build/node_modules node_modules
COPY --from=build /build/dist dist
RUN install --directory --owner=node --group=node /uploads
USER node
VOLUME /uploads
EXPOSE 1080
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=30s --timeout=5s --start-period=10s CMD ["node", "-e", "fetch(`http://127.0.0.1:${process.env.FASTIFY_TUS_PORT}/health`).then(({ ok }) => process.exit(ok ? 0 : 1), () => process.exit(1))"]
ENTRYPOINT ["node", "dist/lib/cli/main.js"]
CMD ["serve"]
