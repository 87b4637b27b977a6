"""The bench of conversations, small: its scene holds, and its judge judges."""

import asyncio

from bench.messages import run as bench
from bench.messages.scene import Scene
from crm.connect import open_url


def test_writers_book_once_each_while_the_messenger_is_killed(tmp_path):
    async def story(url, server):
        scene = Scene(url, tmp_path, 1, server)
        async with scene.running(3):
            talking = asyncio.create_task(bench.visits_of(scene.visits, 3, 0.1))
            await asyncio.sleep(2.0)
            await scene.kill_messenger()
            await talking
            await scene.api.settle()
            return await bench.figures(scene)

    url, server = open_url(None, tmp_path)
    try:
        found = asyncio.run(story(url, server))
    finally:
        server.stop()

    assert bench.judge(found, faults=True) == []
    assert (found["conversations"], found["not_booked"]) == (3, 0)


def test_judge_names_each_broken_promise():
    found = {
        "not_booked": 1,
        "replies_twice": 2,
        "appointments_missing": 1,
        "appointments_twice": 0,
        "messages_lost": 0,
        "problems": ["a signature"],
        "beside_model_s": {"p50": 0.2, "p99": 1.2},
    }
    assert bench.judge(found, faults=False) == [
        "not_booked: 1",
        "replies_twice: 2",
        "appointments_missing: 1",
        "a signature",
        "replies: p99 1.20 s, allowed 1",
    ]
    assert len(bench.judge(found, faults=True)) == 4
