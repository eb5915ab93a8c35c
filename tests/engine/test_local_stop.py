"""An app ends in its own way, however it was started."""

import pytest

from hostd.engine.local import LocalEngine
from hostd.model.instance import Instance
from tests.engine.places import Place
from tests.eventually import until
from tests.fakes import instance_spec

pytestmark = pytest.mark.root
GRACEFUL = """
import signal, sys, time
def end(*_):
    print("asked to end", flush=True)
    time.sleep(0.5)
    print("ended", flush=True)
    sys.exit(0)
signal.signal(signal.SIGTERM, end)
print("up", flush=True)
while True:
    time.sleep(0.05)
"""


async def started(local: LocalEngine, here: Place, *command: str) -> Instance:
    env = {"PATH": "/usr/bin:/bin", "PROGRAM": GRACEFUL}
    instance = await local.start(instance_spec(command, image=here.image(), env=env))
    await until(lambda: "up" in local.tail(instance.id, 5))
    return instance


@pytest.mark.parametrize(
    "line",
    [
        'exec python3 -c "$PROGRAM"',
        'python3 -c "$PROGRAM"',
        'python3 -c "$PROGRAM"; true',
        "sh -c 'python3 -c \"$PROGRAM\"; true'; true",
    ],
)
@pytest.mark.parametrize("shell", ["sh", "bash"])
async def test_an_app_behind_a_shell_is_asked_to_end_and_waited_for(
    local: LocalEngine, here: Place, shell: str, line: str
) -> None:
    instance = await started(local, here, shell, "-c", line)
    assert await local.stop(instance, 20.0)
    assert list(local.tail(instance.id, 5)) == ["up", "asked to end", "ended"]


async def test_a_shell_that_goes_on_by_itself_is_ended_too(local: LocalEngine, here: Place) -> None:
    instance = await started(local, here, "sh", "-c", "echo up; while :; do sleep 1; done")
    assert await local.stop(instance, 20.0)
