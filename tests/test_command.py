"""Running programs, within bounds."""

import asyncio

import pytest

from hostd import command
from hostd.command import PATH, PIPE, Command, run
from hostd.errors import Unavailable

ENV = {"PATH": PATH}


async def test_a_child_that_works_too_long_is_ended() -> None:
    result = await run(Command(("sh", "-c", "while :; do :; done"), ENV, cpu_seconds=1))
    assert result.status == -9


async def test_a_child_that_takes_too_much_memory_is_told_that_there_is_none() -> None:
    program = ("sh", "-c", "read go; exec dd if=/dev/zero bs=300M count=1")
    result = await run(Command(program, ENV, input=b"go\n", memory=200_000_000))
    assert result.status == 1
    assert "exhausted" in result.output


@pytest.mark.parametrize(
    ("program", "words"), [("no-such-program", "is not installed"), ("/etc/passwd", "may not be run")]
)
async def test_a_program_that_cannot_be_run_is_named(program: str, words: str) -> None:
    with pytest.raises(Unavailable, match=f"{program} {words}"):
        await run(Command((program,), ENV))


async def test_a_child_whose_output_nobody_reads_can_be_ended() -> None:
    process = await command.spawn(Command(("yes",), ENV), stdin=PIPE, stdout=PIPE)
    assert process.stdout
    await process.stdout.readexactly(1_000_000)
    await asyncio.sleep(0.1)  # until asyncio has enough of it, and stops reading
    async with asyncio.timeout(10):
        await command.end(process)
    assert process.returncode == -9


async def test_a_run_that_is_cancelled_in_a_flood_of_output_ends() -> None:
    begun = asyncio.Event()
    running = asyncio.create_task(run(Command(("yes",), ENV), lambda _: begun.set()))
    await begun.wait()
    running.cancel()
    async with asyncio.timeout(10):
        await asyncio.gather(running, return_exceptions=True)
    assert running.cancelled()


async def test_what_the_kernel_does_not_take_is_said() -> None:
    with pytest.raises(Unavailable, match="true could not be started: Argument list too long"):
        await command.run(Command(("true", "x" * 200_000), ENV))
