"""The work queue: nothing twice at a time, nothing missed, failures wait longer and longer."""

import asyncio

import pytest

from pantala.reconcile.queue import FIRST_BACKOFF, LAST_BACKOFF, WorkQueue


@pytest.fixture
async def queue() -> WorkQueue[str]:
    return WorkQueue()


def delay(queue: WorkQueue[str], key: str = "a") -> float:
    """Seconds until a key is due."""
    return queue._timers[key].when() - asyncio.get_running_loop().time()


async def test_a_key_is_in_it_once(queue: WorkQueue[str]) -> None:
    """However often a key is added, it is worked on once, in the order of its first arrival."""
    for key in ("a", "b", "a", "a"):
        queue.add(key)
    assert len(queue) == 2
    assert [await queue.get(), await queue.get()] == ["a", "b"]
    assert len(queue) == 0


async def test_get_waits(queue: WorkQueue[str]) -> None:
    """A worker that finds nothing waits until there is something."""
    worker = asyncio.create_task(queue.get())
    await asyncio.sleep(0)
    assert not worker.done()
    queue.add("a")
    assert await worker == "a"


async def test_no_key_is_worked_on_twice_at_a_time(queue: WorkQueue[str]) -> None:
    """Many workers and many additions: one key is never with two workers, and the last addition is worked on."""
    working: set[str] = set()
    seen: list[int] = []
    news = 0

    async def work() -> None:
        while True:
            key = await queue.get()
            assert key not in working
            working.add(key)
            seen.append(news)
            for _ in range(3):
                await asyncio.sleep(0)
            working.remove(key)
            queue.done(key)

    workers = [asyncio.create_task(work()) for _ in range(4)]
    for number in range(50):
        news = number
        queue.add("a")
        await asyncio.sleep(0)
    async with asyncio.timeout(5):
        while working or len(queue):
            await asyncio.sleep(0)
    for worker in workers:
        worker.cancel()
    results = await asyncio.gather(*workers, return_exceptions=True)
    assert all(isinstance(result, asyncio.CancelledError) for result in results)
    assert seen[-1] == 49
    assert len(seen) < 50


async def test_news_while_working(queue: WorkQueue[str]) -> None:
    """A key that comes while it is being worked on is done once more, at once."""
    queue.add("a")
    key = await queue.get()
    queue.add("a")
    queue.add("a")
    assert len(queue) == 0
    queue.done(key)
    assert len(queue) == 1
    queue.done(await queue.get())
    assert len(queue) == 0


async def test_backoff_doubles(queue: WorkQueue[str]) -> None:
    """Each failure in a row doubles the wait up to its limit; a success starts anew."""
    waits = []
    for _ in range(9):
        queue.add("a")
        queue.done(await queue.get(), failed=True)
        waits.append(delay(queue))
    expected = [min(LAST_BACKOFF, FIRST_BACKOFF * 2**count) for count in range(9)]
    assert waits == pytest.approx(expected, abs=0.1)
    queue.add("a")
    queue.done(await queue.get())
    queue.add("a")
    queue.done(await queue.get(), failed=True)
    assert delay(queue) == pytest.approx(FIRST_BACKOFF, abs=0.1)


async def test_backoff_for_ever(queue: WorkQueue[str]) -> None:
    """A model that fails for days is still tried, and harms nobody."""
    for _ in range(3000):
        queue.add("a")
        queue.done(await queue.get(), failed=True)
    assert delay(queue) == pytest.approx(LAST_BACKOFF, abs=0.1)


async def test_server_may_ask_for_a_longer_wait(queue: WorkQueue[str]) -> None:
    """`Retry-After` makes the wait longer, never shorter."""
    queue.add("a")
    queue.done(await queue.get(), failed=True, after=7)
    assert delay(queue) == pytest.approx(7, abs=0.1)
    for _ in range(6):
        queue.add("a")
        queue.done(await queue.get(), failed=True, after=7)
    assert delay(queue) == pytest.approx(32, abs=0.1)


async def test_news_after_a_failure(queue: WorkQueue[str]) -> None:
    """News that came during a failed pass are looked at soon, and not at once: a hot loop would follow."""
    queue.add("a")
    key = await queue.get()
    queue.add("a")
    queue.done(key, failed=True)
    assert len(queue) == 0
    assert delay(queue) == pytest.approx(FIRST_BACKOFF, abs=0.1)


async def test_news_cut_a_wait_short(queue: WorkQueue[str]) -> None:
    """A change of the resource may be the cure: it ends the wait."""
    queue.add("a")
    queue.done(await queue.get(), failed=True, after=30)
    queue.add("a")
    assert len(queue) == 1
    assert not queue._timers


async def test_the_earlier_date_stays(queue: WorkQueue[str]) -> None:
    """Of two dates the earlier one counts, in whatever order they come."""
    queue.add_after("a", 5)
    queue.add_after("a", 50)
    assert delay(queue) == pytest.approx(5, abs=0.1)
    queue.add_after("a", 1)
    assert delay(queue) == pytest.approx(1, abs=0.1)
    queue.add("a")
    queue.add_after("a", 1)
    assert not queue._timers


async def test_due(queue: WorkQueue[str]) -> None:
    """A key whose date has come is worked on."""
    queue.add_after("a", 0.01)
    async with asyncio.timeout(5):
        assert await queue.get() == "a"


async def test_look_again(queue: WorkQueue[str]) -> None:
    """A pass that asks for another look gets it, unless news bring it earlier."""
    queue.add("a")
    queue.done(await queue.get(), after=30)
    assert delay(queue) == pytest.approx(30, abs=0.1)
    queue.add("b")
    key = await queue.get()
    queue.add("b")
    queue.done(key, after=30)
    assert len(queue) == 1


async def test_the_fast_lane_is_first(queue: WorkQueue[str]) -> None:
    """A key that cannot wait is next, however many wait; of several such the one that came first."""
    for number in range(500):
        queue.add(f"slow-{number}")
    queue.add("lost", first=True)
    queue.add("slow-7", first=True)
    assert len(queue) == 501
    assert [await queue.get(), await queue.get(), await queue.get()] == ["lost", "slow-7", "slow-0"]


async def test_the_fast_lane_has_workers_of_its_own(queue: WorkQueue[str]) -> None:
    """While all other workers are busy, one that is reserved takes the key that cannot wait, and no other."""
    for number in range(500):
        queue.add(f"slow-{number}")
    for _ in range(16):
        await queue.get()
    reserved = asyncio.create_task(queue.get(first=True))
    await asyncio.sleep(0)
    assert not reserved.done()
    queue.add("lost", first=True)
    assert await reserved == "lost"
    assert len(queue) == 484


async def test_the_fast_lane_cuts_waits_short(queue: WorkQueue[str]) -> None:
    """A key that waits for its date, or whose work just failed, does not wait when a pod of it is lost."""
    queue.add_after("a", 30)
    queue.add("a", first=True)
    assert not queue._timers
    key = await queue.get(first=True)
    queue.add("a", first=True)
    queue.done(key, failed=True)
    assert await queue.get(first=True) == "a"
    queue.done("a")
    assert len(queue) == 0
    assert not queue._timers


async def test_the_fast_lane_works_on_nothing_twice(queue: WorkQueue[str]) -> None:
    """A key that is being worked on comes first when that is done, once, though it was added both ways."""
    queue.add("a")
    key = await queue.get()
    queue.add("a")
    queue.add("a", first=True)
    queue.add("b")
    assert len(queue) == 1
    queue.done(key)
    assert [await queue.get(), await queue.get()] == ["a", "b"]
    queue.done("a")
    assert len(queue) == 0


async def test_the_next_check(queue: WorkQueue[str]) -> None:
    """Of the dates that one pass after another asks for, the one that is asked for last counts when the others have passed."""
    queue.add("a")
    queue.done(await queue.get(), after=0.01)
    async with asyncio.timeout(5):
        key = await queue.get()
    queue.done(key, after=20)
    assert delay(queue) == pytest.approx(20, abs=0.1)
    queue.add("a")
    queue.done(await queue.get())
    assert not queue._timers, "the last pass asked for nothing"
