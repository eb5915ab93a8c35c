import Koa from "koa";

const app = new Koa();

app.use((context) => {
  context.body = "hello from yarn";
});
app.listen(Number(process.env.PORT), "0.0.0.0");
