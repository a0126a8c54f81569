"""The script that millrace replaces, tuned: API -> MySQL with asyncio, 16 requests in flight, a pool of
connections and upserts of 1000 rows. No Kafka, no position: a crash starts from the beginning.

    pip install aiohttp aiomysql cryptography
    go run ./bench -only whole -script 'python3 bench/peers/script.py'
"""

import asyncio
import os
import re

import aiohttp
import aiomysql

API, PAGE, IN_FLIGHT = os.environ["BENCH_API"], int(os.environ["BENCH_PAGE"]), int(os.environ["BENCH_CONCURRENCY"])
COLUMNS = "flight_key carrier flight origin dest dep_delay arr_delay distance speed_kmh time_hour".split()
TABLE = """CREATE TABLE IF NOT EXISTS flights (
  flight_key varchar(64) COLLATE utf8mb4_0900_bin PRIMARY KEY, carrier varchar(8), flight int, origin char(3), dest char(3),
  dep_delay int, arr_delay int, distance int, speed_kmh double, time_hour datetime)"""
UPSERT = (
    f"INSERT INTO flights ({','.join(COLUMNS)}) VALUES ({','.join(['%s'] * len(COLUMNS))}) "
    f"ON DUPLICATE KEY UPDATE {','.join(f'{c}=VALUES({c})' for c in COLUMNS[1:])}"  # the form that the driver sends as one statement
)


def row(r):
    speed = None if r["air_time"] is None else r["distance"] * 1.609344 / (r["air_time"] / 60)
    hour = r["time_hour"]
    return (
        f"{hour}|{r['carrier']}|{r['flight']}", r["carrier"], r["flight"], r["origin"], r["dest"], r["dep_delay"],
        r["arr_delay"], r["distance"], speed, hour.rstrip("Z").replace("T", " "),
    )


async def main():
    user, password, host, port, schema = re.match(r"(\w+):(\w+)@tcp\(([^:]+):(\d+)\)/(\w+)", os.environ["BENCH_MYSQL"]).groups()
    pool = await aiomysql.create_pool(host=host, port=int(port), user=user, password=password, db=schema, minsize=4, maxsize=4)
    async with pool.acquire() as db, db.cursor() as cursor:
        await cursor.execute(TABLE)
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=IN_FLIGHT)) as http:

        async def fetch(offset):
            async with http.get(f"{API}/flights", params={"offset": offset, "limit": PAGE}) as answer:
                return await answer.json()

        async def write(rows):
            async with pool.acquire() as db, db.cursor() as cursor:
                for i in range(0, len(rows), 1000):
                    await cursor.executemany(UPSERT, rows[i : i + 1000])
                await db.commit()

        total = (await fetch(0))["total"]
        offsets = iter(range(0, total, PAGE))

        async def work():
            rows = []
            for offset in offsets:
                rows += [row(r) for r in (await fetch(offset))["data"] if r["dep_time"] is not None]
                if len(rows) >= 1000:
                    await write(rows)
                    rows = []
            await write(rows)

        await asyncio.gather(*(work() for _ in range(IN_FLIGHT)))
    pool.close()
    await pool.wait_closed()


asyncio.run(main())
