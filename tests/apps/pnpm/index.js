const fastify = require("fastify")();

fastify.get("/", async () => ({ hello: "pnpm" }));
fastify.listen({ port: Number(process.env.PORT), host: "0.0.0.0" });
