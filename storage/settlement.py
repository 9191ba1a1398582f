"""
Which transactions a Citus cluster has settled: committed on the workers too, and not only here.

Between the two a row of the ledger is seen, and the records that it tells of are not. Whoever
concludes from the ledger that all records of a time are there has to know of it.
"""

from __future__ import annotations

from typing import Any

from storage.errors import Unavailable

# Of the transactions that were seen as committed before, those that are still prepared somewhere.
# A transaction writes its row of pg_dist_transaction itself, and so the row's xmin is its number.
UNSETTLED = """
WITH workers AS MATERIALIZED (
    SELECT * FROM run_command_on_workers($$
        SELECT coalesce(json_agg(gid), '[]') FROM pg_prepared_xacts
        WHERE database = current_database() AND starts_with(gid, 'citus_')$$)
)
SELECT bool_and(success), coalesce(string_agg(result, ', ') FILTER (WHERE NOT success), ''),
    ARRAY(SELECT xmin::text::bigint FROM pg_dist_transaction WHERE gid IN (
        SELECT json_array_elements_text(result::json) FROM workers WHERE success))
FROM workers
"""
CYCLE = 2**32  # transactions; a row knows its own only within them


async def settled(connection: Any, snapshot: str) -> str:
    """
    Give *snapshot*, just taken, without what is not settled: of the rest all rows are seen.

    Raises:
        Unavailable: a worker is away.
    """
    unsettled = await _unsettled(connection)
    if not unsettled:
        return snapshot
    first, highest, running = snapshot.split(":")
    limit = int(highest)
    ages = {(limit - number) % CYCLE for number in unsettled}
    # Those that began later the snapshot doesn't see anyway.
    numbers = {limit - age for age in ages if 0 < age < CYCLE // 2}
    numbers |= {int(number) for number in running.split(",") if number}
    lowest = min({int(first), *numbers})
    return f"{lowest}:{highest}:{','.join(map(str, sorted(numbers)))}"


async def settle(connection: Any) -> None:
    """
    Return if every transaction that was committed by now is so on the workers too.

    Raises:
        Unavailable: one is not, or a worker is away; try again later.
    """
    if unsettled := await _unsettled(connection):
        raise Unavailable(f"{len(unsettled)} commits are on their way to the workers")


async def _unsettled(connection: Any) -> list[int]:
    seen, problem, numbers = await connection.fetchrow(UNSETTLED)
    if not seen:
        raise Unavailable(f"a worker doesn't answer: {problem}")
    found: list[int] = numbers
    return found
