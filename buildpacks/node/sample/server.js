const express = require("express");

const app = express();
let visits = 0;

app.get("/", (request, response) => {
  visits += 1;
  response.type("html").send(`<!doctype html><title>Counter</title><h1>Hello from Express</h1><p>Visit ${visits}</p>`);
});

const server = app.listen(process.env.PORT ?? 3000, "0.0.0.0");
process.on("SIGTERM", () => server.close(() => process.exit(0)));
