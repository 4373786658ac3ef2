"""A command's id is one of the whole gateway; its first answer is nobody's but the uplink's that asked."""

from functools import partial
from pathlib import Path

from gateway.letters import Known, claim, put_reply
from gateway.store import Store


async def test_an_id_is_taken_once_and_its_answer_is_its_uplinks_own(tmp_path: Path) -> None:
    async with Store(tmp_path / "events.db", ("district", "fire")) as store:
        mine = partial(claim, identity="c-1", uplink="district", expires_ms=2000, forget_ms=0)
        assert await store.transact(mine) is None
        assert await store.transact(mine) == Known("", True)  # it is under way
        await store.transact(partial(put_reply, identity="c-1", reply='{"code":"ok"}'))
        assert await store.transact(mine) == Known('{"code":"ok"}', True)
        other = await store.transact(partial(mine, uplink="fire"))
        assert other is not None
        assert not other.own
        assert await store.transact(partial(mine, forget_ms=2001)) is None  # long after it has expired
