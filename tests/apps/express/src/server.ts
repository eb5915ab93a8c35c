import express, { type Request, type Response } from "express";

const app = express();

app.get("/", (request: Request, response: Response) => {
  response.json({ hello: "typescript" });
});

app.listen(Number(process.env.PORT), "0.0.0.0");
