module fastify-tus/interop/ietf-go

go 1.21
