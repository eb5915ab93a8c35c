from bottle import Bottle

app = Bottle()


@app.get("/")
def home() -> str:
    return "hello from poetry"
