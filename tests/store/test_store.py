"""What was called kept is there again, whatever happened to the process; what was not, says why."""

import asyncio
import gc
import resource
import shutil
import signal
import sqlite3
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Sequence
from contextlib import asynccontextmanager, closing, contextmanager
from pathlib import Path
from typing import cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.store import Loaded, Store, StoreError, StoreFull, Write
from gateway.store.schema import APPLICATION_ID, migrate, recognise, steps

PAGE_BYTES = 4096


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "gateway.db"


@asynccontextmanager
async def opened(path: Path, size_limit_bytes: int | None = None) -> AsyncIterator[Store]:
    store = Store.open(path, size_limit_bytes=size_limit_bytes)
    try:
        yield store
    finally:
        await store.close()


def submitted(store: Store, station: str, *writes: Write) -> "asyncio.Future[BaseException | None]":
    """What `done` will be called with."""
    outcome: asyncio.Future[BaseException | None] = asyncio.get_running_loop().create_future()
    store.submit(station, writes, outcome.set_result)
    return outcome


async def kept(store: Store, station: str, *writes: Write) -> None:
    error = await submitted(store, station, *writes)
    if error is not None:
        raise error


def everything(store: Store) -> dict[str, Loaded]:
    return {station: loaded for station, loaded in store.load_all() if loaded}


@contextmanager
def elsewhere(path: Path) -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        yield connection


class TestKeeping:
    async def test_what_was_kept_is_there_after_a_restart(self, path: Path) -> None:
        """Records come back by kind and key, of each station its own."""
        async with opened(path) as store:
            await kept(store, "CP1", Write("connector", "1", b"one"), Write("variable", "a", b"\0\xff"))
            await kept(store, "CP2", Write("connector", "1", b"other"))

        async with opened(path) as store:
            assert store.load("CP1") == {"connector": {"1": b"one"}, "variable": {"a": b"\0\xff"}}
            assert store.load("CP2") == {"connector": {"1": b"other"}}
            assert store.stations() == ["CP1", "CP2"]

    async def test_none_deletes(self, path: Path) -> None:
        """A write without body removes its row and no other; to remove what is not there is no error."""
        async with opened(path) as store:
            await kept(
                store, "CP1", Write("cache", "a", b"1"), Write("cache", "b", b"2"), Write("outbox", "1", b"")
            )
            await kept(
                store, "CP1", Write("cache", "a", None), Write("outbox", "1", None), Write("x", "y", None)
            )

            assert store.load("CP1") == {"cache": {"b": b"2"}}

    async def test_the_outbox_is_in_numeric_order(self, path: Path) -> None:
        """Positions order as numbers, with or without leading zeros, and come back without."""
        async with opened(path) as store:
            await kept(
                store, "CP1", *(Write("outbox", key, key.encode()) for key in ("10", "9", "0100", "2"))
            )

            assert list(store.load("CP1")["outbox"]) == ["2", "9", "10", "100"]

    async def test_an_identity_is_case_insensitive(self, path: Path) -> None:
        """Two spellings are one station, known by its first one.  # 1.6 J §3.1.1"""
        async with opened(path) as store:
            first = submitted(store, "Garage", Write("connector", "1", b"old"))
            second = submitted(store, "GARAGE", Write("connector", "1", b"new"))
            await asyncio.gather(first, second)

            assert store.load("garage") == {"connector": {"1": b"new"}}
            assert store.stations() == ["Garage"]

    async def test_an_unknown_station_has_nothing(self, path: Path) -> None:
        """Loading what was never kept is empty, and leaves no trace."""
        async with opened(path) as store:
            assert store.load("nobody") == {}
            assert store.stations() == []

    async def test_a_forgotten_station_leaves_nothing(self, path: Path) -> None:
        """`forget` takes its turn: it removes what came before, and not what comes after."""
        async with opened(path) as store:
            gone = submitted(store, "CP1", Write("connector", "1", b"x"), Write("outbox", "1", b"x"))
            store.forget("cp1")
            again = submitted(store, "CP1", Write("connector", "2", b"y"))
            other = submitted(store, "CP2", Write("outbox", "1", b"z"))
            store.forget("nobody")
            await asyncio.gather(gone, again, other)

            assert everything(store) == {"CP1": {"connector": {"2": b"y"}}, "CP2": {"outbox": {"1": b"z"}}}

    async def test_the_file_is_private(self, path: Path) -> None:
        """Passwords and tokens are in it: only its owner may read the file and its log."""
        async with opened(path) as store:
            await kept(store, "CP1", Write("variable", "password", b"secret"))
            modes = {part.name: part.stat().st_mode & 0o777 for part in path.parent.iterdir()}

        assert {0o600} == set(modes.values()), modes


WRITES = st.builds(
    Write,
    st.sampled_from(["connector", "outbox", "cache"]),
    st.integers(0, 12).flatmap(lambda number: st.sampled_from([str(number), f"{number:04}"])),
    st.none() | st.binary(max_size=6),
)
SUBMISSIONS = st.lists(
    st.tuples(st.sampled_from(["CP1", "cp1", "CP2"]), st.none() | st.lists(WRITES, max_size=5)), max_size=25
)


def model_of(submissions: Iterable[tuple[str, Sequence[Write] | None]]) -> dict[str, Loaded]:
    model: dict[str, Loaded] = {}
    for station, writes in submissions:
        if writes is None:
            model.pop(station.upper(), None)
            continue
        kinds = model.setdefault(station.upper(), {})
        for write in writes:
            rows = kinds.setdefault(write.kind, {})
            key = str(int(write.key)) if write.kind == "outbox" else write.key
            if write.body is None:
                rows.pop(key, None)
            else:
                rows[key] = write.body
    shown = {
        station: {kind: rows for kind, rows in kinds.items() if rows} for station, kinds in model.items()
    }
    return {station: kinds for station, kinds in shown.items() if kinds}


@settings(max_examples=60, deadline=None)
@given(SUBMISSIONS, st.sets(st.integers(0, 25)))
def test_any_submissions_equal_a_dictionary(
    tmp_path_factory: pytest.TempPathFactory,
    submissions: list[tuple[str, list[Write] | None]],
    pauses: set[int],
) -> None:
    """However submissions fall into batches, a restart shows what applying them one after the other gives."""

    async def play(path: Path) -> dict[str, Loaded]:
        async with opened(path) as store:
            for index, (station, writes) in enumerate(submissions):
                if writes is None:
                    store.forget(station)
                else:
                    outcome = submitted(store, station, *writes)
                    if index in pauses:
                        await outcome
        async with opened(path) as store:
            return {station.upper(): loaded for station, loaded in everything(store).items()}

    directory = tmp_path_factory.mktemp("model")
    try:
        assert model_of(submissions) == asyncio.run(play(directory / "gateway.db"))
    finally:
        shutil.rmtree(directory)


class TestBeingTold:
    async def test_done_comes_after_the_commit(self, path: Path, tmp_path: Path) -> None:
        """When `done` is called, a copy of file and log taken at that moment holds the row."""
        copies = tmp_path / "copies"
        copies.mkdir()
        found: list[list[tuple[bytes]]] = []
        finished = asyncio.Event()

        def done(error: BaseException | None) -> None:
            assert error is None
            for suffix in ("", "-wal"):
                shutil.copy(f"{path}{suffix}", copies)
            with elsewhere(copies / path.name) as connection:
                found.append(connection.execute("SELECT body FROM record WHERE key = '7'").fetchall())
            finished.set()

        async with opened(path) as store:
            store.submit("CP1", [Write("transaction", "7", b"begun")], done)
            assert found == []
            await finished.wait()

        assert found == [[(b"begun",)]]

    async def test_each_commit_reaches_the_disk(self, path: Path) -> None:
        """The writer has a log that is synchronised at each commit, not only when it is carried over."""
        async with opened(path) as store:
            connection = store._database._connection
            answers = [
                connection.execute(f"PRAGMA {name}").fetchone() for name in ("journal_mode", "synchronous")
            ]

        assert answers == [("wal",), (2,)]

    async def test_all_are_told_in_order_on_the_loop(self, path: Path) -> None:
        """`done` comes once for each submission, in the order of submission, on the thread that submitted."""
        told: list[tuple[int, int]] = []
        last = asyncio.Event()
        async with opened(path) as store:

            def done_for(number: int) -> Callable[[BaseException | None], None]:
                def done(error: BaseException | None) -> None:
                    assert error is None
                    told.append((number, threading.get_ident()))
                    if number == 499:
                        last.set()

                return done

            for number in range(500):
                store.submit(f"CP{number % 7}", [Write("outbox", str(number), b"x")], done_for(number))
            assert store.pending == 500
            await last.wait()
            assert store.pending == 0

        assert [(number, threading.get_ident()) for number in range(500)] == told

    async def test_many_submissions_share_a_commit(self, path: Path) -> None:
        """What is queued while a commit runs is one commit, whatever its stations; the counts say so."""
        seen: list[tuple[float, int]] = []
        async with opened(path) as store:
            store.on_commit = lambda seconds, submissions: seen.append((seconds, submissions))
            await asyncio.gather(
                *(submitted(store, f"CP{number}", Write("connector", "1", b"x")) for number in range(1000))
            )
            assert store.commits < 50
            assert store.commits == len(seen)
            assert 1000 == store.submissions == sum(submissions for _, submissions in seen)
            assert store.mean_commit_s > 0
            assert store.last_commit_s == seen[-1][0]
            assert store.size_bytes > 1000

    async def test_a_callback_that_fails_does_not_silence_the_others(self, path: Path) -> None:
        """Its error goes to the loop's handler, and the next one is told all the same."""
        complaints: list[object] = []
        asyncio.get_running_loop().set_exception_handler(
            lambda _, context: complaints.append(context["exception"])
        )
        failure = RuntimeError("what followed")

        def failing(_: BaseException | None) -> None:
            raise failure

        async with opened(path) as store:
            store.submit("CP1", [Write("connector", "1", b"x")], failing)
            await kept(store, "CP1", Write("connector", "2", b"x"))

        assert [failure] == complaints


class TestClosing:
    async def test_close_commits_what_is_pending_and_tells(self, path: Path) -> None:
        """Everything submitted before `close` is kept and answered; the log is carried over and gone."""
        store = Store.open(path)
        outcomes = [submitted(store, "CP1", Write("outbox", str(number), b"x")) for number in range(300)]
        await asyncio.gather(store.close(), store.close())

        assert [outcome.result() for outcome in outcomes] == [None] * 300
        assert not path.with_name("gateway.db-wal").exists()
        async with opened(path) as again:
            assert len(again.load("CP1")["outbox"]) == 300

    async def test_a_closed_store_says_so(self, path: Path) -> None:
        """A submission after `close` is answered with an error, not lost."""
        store = Store.open(path)
        await store.close()
        with pytest.raises(StoreError, match="is closed"):
            await kept(store, "CP1", Write("connector", "1", b"x"))
        assert store.pending == 0


class TestFailing:
    @pytest.mark.parametrize(
        "poison",
        [
            Write("connector", "1", cast("bytes", "text")),  # what a mistake in the code would hand over
            Write("connector", "1", cast("bytes", object())),
            Write("connector", "\ud800", b"x"),
            Write("outbox", "-1", b"x"),
            Write("outbox", "first", b"x"),
            Write("outbox", str(2**63), b"x"),
        ],
        ids=["text", "object", "surrogate", "negative", "word", "too-far"],
    )
    async def test_a_poisoned_submission_fails_alone(self, path: Path, poison: Write) -> None:
        """The others of its batch are kept; of the poisoned one nothing is."""
        async with opened(path) as store:
            outcomes = await asyncio.gather(
                submitted(store, "CP1", Write("connector", "1", b"before")),
                submitted(store, "CP1", Write("connector", "2", b"half"), poison),
                submitted(store, "CP9", poison),
                submitted(store, "CP2", Write("outbox", "1", b"after")),
            )
            assert [None, StoreError, StoreError, None] == [error and type(error) for error in outcomes]
            assert str(path) in str(outcomes[1])
            assert store.failures == 2
            expected = {"CP1": {"connector": {"1": b"before"}}, "CP2": {"outbox": {"1": b"after"}}}
            assert expected == everything(store)

    async def test_a_full_store_says_so_and_recovers(self, path: Path) -> None:
        """At its limit it takes nothing that needs room, but what frees room, and then the rest again."""
        async with opened(path, size_limit_bytes=64 * PAGE_BYTES) as store:
            number = 0
            error = None
            while error is None:
                number += 1
                error = await submitted(store, "CP1", Write("outbox", str(number), bytes(3000)))
            assert isinstance(error, StoreFull)
            assert "full" in str(error)
            assert number > 30
            with pytest.raises(StoreFull):
                await kept(store, "CP2", Write("connector", "1", bytes(9000)))

            await kept(store, "CP1", *(Write("outbox", str(gone), None) for gone in range(1, 10)))
            await kept(store, "CP2", Write("connector", "1", bytes(9000)))

            assert [str(left) for left in range(10, number)] == list(store.load("CP1")["outbox"])

    async def test_a_full_store_fails_the_whole_batch(self, path: Path) -> None:
        """When the place is to blame, no submission of the batch is kept, and each is told."""
        async with opened(path, size_limit_bytes=32 * PAGE_BYTES) as store:
            outcomes = await asyncio.gather(
                *(
                    submitted(store, "CP1", Write("outbox", str(number), bytes(200_000)))
                    for number in range(5)
                )
            )
            assert {StoreFull} == {type(error) for error in outcomes}
            assert store.load("CP1") == {}

            await kept(store, "CP1", Write("outbox", "1", b"small"))

    async def test_a_failing_disk_does_not_stop_the_store(self, path: Path) -> None:
        """An I/O error fails what it met; once the disk works again, so does the store, without a restart."""
        async with opened(path) as store:
            await kept(store, "CP1", Write("connector", "1", b"before"))
            limits = resource.getrlimit(resource.RLIMIT_FSIZE)
            resource.setrlimit(resource.RLIMIT_FSIZE, (512 * 1024, limits[1]))
            try:
                with pytest.raises(StoreFull, match="look at the disk"):
                    await kept(store, "CP1", Write("connector", "2", bytes(2_000_000)))
            finally:
                resource.setrlimit(resource.RLIMIT_FSIZE, limits)

            await kept(store, "CP1", Write("connector", "3", b"after"))

        async with opened(path) as store:
            assert store.load("CP1") == {"connector": {"1": b"before", "3": b"after"}}

    async def test_what_frees_room_in_a_batch_makes_room_for_the_rest_of_it(self, path: Path) -> None:
        """A row that goes in the same commit leaves its place to one that comes, even in a full store."""
        async with opened(path, size_limit_bytes=64 * PAGE_BYTES) as store:
            await kept(store, "CP1", Write("outbox", "1", bytes(50 * PAGE_BYTES)))
            with pytest.raises(StoreFull):
                await kept(store, "CP1", Write("outbox", "2", bytes(50 * PAGE_BYTES)))

            await kept(store, "CP1", Write("outbox", "2", bytes(50 * PAGE_BYTES)), Write("outbox", "1", None))


class TestOpening:
    async def test_the_directory_is_made(self, tmp_path: Path) -> None:
        """A path in a directory that is not there yet is taken as meant."""
        async with opened(tmp_path / "var" / "lib" / "gateway.db") as store:
            assert store.stations() == []

    @pytest.mark.parametrize("below", ["gateway.db", "deeper/gateway.db"])
    def test_a_place_that_cannot_be_written(self, tmp_path: Path, below: str) -> None:
        """Below a regular file nothing can be made: the error names the place and the way out."""
        (tmp_path / "file").write_text("not a directory")
        with pytest.raises(StoreError, match=r"file/.*may write to"):
            Store.open(tmp_path / "file" / below)

    def test_a_directory_in_its_place(self, path: Path) -> None:
        """A directory is no store."""
        path.mkdir()
        with pytest.raises(StoreError, match="cannot be kept at"):
            Store.open(path)

    def test_garbage_is_refused_and_left_alone(self, path: Path) -> None:
        """A file that is no database is refused with the way out, and not touched."""
        garbage = b"This is a letter, not a database. " * 1000
        path.write_bytes(garbage)
        with pytest.raises(StoreError, match=r"damaged, or is not a store.*restore a backup"):
            Store.open(path)
        assert garbage == path.read_bytes()

    @pytest.mark.parametrize("kept_pages", [0.02, 0.5, 0.9])
    async def test_a_truncated_file_is_refused(self, path: Path, kept_pages: float) -> None:
        """A file that lost its end is found out at the start, not when a transaction is looked for."""
        async with opened(path) as store:
            await kept(
                store, "CP1", *(Write("transaction", str(number), bytes(900)) for number in range(500))
            )
        content = path.read_bytes()
        path.write_bytes(content[: int(len(content) * kept_pages)])
        with pytest.raises(StoreError, match="damaged"):
            Store.open(path)

    async def test_a_damaged_page_is_refused(self, path: Path) -> None:
        """A page of rubbish in the middle of the file is found by the check at the start."""
        async with opened(path) as store:
            await kept(
                store, "CP1", *(Write("transaction", str(number), bytes(900)) for number in range(500))
            )
        content = bytearray(path.read_bytes())
        middle = len(content) // PAGE_BYTES // 2 * PAGE_BYTES
        content[middle : middle + PAGE_BYTES] = b"\xa5" * PAGE_BYTES
        path.write_bytes(content)
        with pytest.raises(StoreError, match="damaged"):
            Store.open(path)

    def test_an_empty_file_beside_a_full_log_is_refused(self, path: Path) -> None:
        """It was not empty when the log was written: the log is not thrown away."""
        path.touch()
        log = path.with_name("gateway.db-wal")
        log.write_bytes(bytes(5000))
        with pytest.raises(StoreError, match="its log is not"):
            Store.open(path)
        assert log.stat().st_size == 5000

    def test_a_database_of_another_program_is_refused_and_left_alone(self, path: Path) -> None:
        """The file of somebody else is recognised, and stays as it is."""
        with elsewhere(path) as connection:
            connection.execute("CREATE TABLE recipe (name TEXT)")
        before = path.read_bytes()
        with pytest.raises(StoreError, match="of another program"):
            Store.open(path)
        assert before == path.read_bytes()

    async def test_a_newer_schema_is_refused(self, path: Path) -> None:
        """A store that a newer gateway has written is not opened by an older one, and says what to run."""
        async with opened(path):
            pass
        with elsewhere(path) as connection:
            connection.execute("PRAGMA user_version = 99")
        with pytest.raises(StoreError, match=r"schema 99.*up to \d+.*newer gateway"):
            Store.open(path)

    async def test_a_refused_store_can_be_opened_once_it_is_mended(self, path: Path) -> None:
        """A failed opening holds nothing: neither a lock nor a connection."""
        path.write_bytes(b"garbage" * 1000)
        with pytest.raises(StoreError):
            Store.open(path)
        path.unlink()
        async with opened(path) as store:
            assert store.stations() == []
        gc.collect()  # An unclosed connection would warn, and warnings fail.


class TestSchema:
    STEPS = (
        "CREATE TABLE thing (name TEXT); INSERT INTO thing VALUES ('kept');",
        "ALTER TABLE thing ADD COLUMN colour TEXT NOT NULL DEFAULT 'green';",
        "CREATE TABLE other (name TEXT); CREATE TABLE thing (oops TEXT);",
    )

    def test_a_store_made_by_the_first_schema_is_brought_to_the_last(self, path: Path) -> None:
        """Each step runs once, on what the one before it left; the data stays."""
        with elsewhere(path) as connection:
            migrate(connection, path, 0, list(self.STEPS[:1]))
            assert recognise(connection, path, known=2) == 1

            migrate(connection, path, 1, list(self.STEPS[:2]))

            assert recognise(connection, path, known=2) == 2
            assert connection.execute("SELECT * FROM thing").fetchall() == [("kept", "green")]

    def test_a_step_that_fails_changes_nothing(self, path: Path) -> None:
        """Half a step is rolled back, and the error says which schema the file still has."""
        with elsewhere(path) as connection:
            migrate(connection, path, 0, list(self.STEPS[:2]))
            with pytest.raises(StoreError, match=r"from schema 2 to 3.*still has schema 2"):
                migrate(connection, path, 2, list(self.STEPS))

            assert recognise(connection, path, known=3) == 2
            assert connection.execute("SELECT name FROM sqlite_schema").fetchall() == [("thing",)]

    async def test_the_schema_files_are_complete(self, path: Path) -> None:
        """A new store has the last schema and the mark of the gateway."""
        async with opened(path):
            pass
        with elsewhere(path) as connection:
            assert (len(steps()),) == connection.execute("PRAGMA user_version").fetchone()
            assert connection.execute("PRAGMA application_id").fetchone() == (APPLICATION_ID,)


async def test_the_file_does_not_creep(path: Path) -> None:
    """While 200,000 rows come and go, the file is what one backlog of 20,000 takes; then it is small."""
    sizes = []
    async with opened(path) as store:
        for first in range(0, 200_000, 20_000):
            for body in (bytes(300), None):
                outcomes = [
                    submitted(
                        store,
                        f"CP{start % 40}",
                        *(Write("outbox", str(position), body) for position in range(start, start + 100)),
                    )
                    for start in range(first, first + 20_000, 100)
                ]
                assert set(await asyncio.gather(*outcomes)) == {None}
            sizes.append(store.size_bytes)
        for number in range(40):  # Room is given back with later commits, some of it with each.
            await kept(store, "CP1", Write("connector", "1", str(number).encode()))

    assert max(sizes) < 2 * sizes[0] < 60_000_000
    assert path.stat().st_size < 600 * PAGE_BYTES


COMMITTING = """
import asyncio, sys
from pathlib import Path
from gateway.store import Store, Write

async def main() -> None:
    store = Store.open(Path(sys.argv[1]))
    number = 0

    def done_for(number):
        def done(error):
            assert error is None, error
            sys.stdout.write(f"{number}\\n")
            sys.stdout.flush()
        return done

    while True:
        for _ in range(20):
            number += 1
            body = b"%d" % number
            writes = [Write("outbox", str(number), body * 30), Write("counter", "n", body)]
            store.submit(f"CP{number % 5}", writes, done_for(number))
        while store.pending > 40:
            await asyncio.sleep(0)

asyncio.run(main())
"""


class TestOneUser:
    @contextmanager
    def committing(self, path: Path) -> Iterator["subprocess.Popen[str]"]:
        root = Path(__file__).parents[2]
        with subprocess.Popen(
            [sys.executable, "-c", COMMITTING, str(path)], stdout=subprocess.PIPE, text=True, cwd=root
        ) as process:
            try:
                yield process
            finally:
                process.kill()

    @pytest.mark.parametrize("acknowledged", [1, 150, 2000])
    async def test_what_was_acknowledged_survives_sigkill(self, path: Path, acknowledged: int) -> None:
        """A process killed in the middle of its commits loses nothing it was told of, and blocks nobody."""
        with self.committing(path) as process:
            assert process.stdout is not None
            told = [int(process.stdout.readline()) for _ in range(acknowledged)]
            process.send_signal(signal.SIGKILL)
            told += [int(line) for line in process.stdout if line.endswith("\n")]
            process.wait()

        async with opened(path) as store:
            found = everything(store)
        positions = {int(key): body for loaded in found.values() for key, body in loaded["outbox"].items()}

        assert list(range(1, len(told) + 1)) == told
        assert set(told) <= set(positions)
        # A submission is all or nothing, and later ones are not there without earlier ones.
        assert list(range(1, len(positions) + 1)) == sorted(positions)
        assert all(body == str(number).encode() * 30 for number, body in positions.items())
        for loaded in found.values():
            assert max(map(int, loaded["outbox"])) == int(loaded["counter"]["n"])

    def test_a_second_process_is_refused(self, path: Path) -> None:
        """While one gateway has the store, another is told who has it and what to do."""
        with self.committing(path) as process:
            assert process.stdout is not None
            process.stdout.readline()
            with pytest.raises(
                StoreError, match=rf"in use by another gateway \(process {process.pid} on .*Stop that"
            ):
                Store.open(path)

    async def test_a_second_store_in_the_same_process_is_refused(self, path: Path) -> None:
        """The same file under another name is the same store."""
        other = path.with_name("link.db")
        async with opened(path):
            other.symlink_to(path)
            with pytest.raises(StoreError, match="in use"):
                Store.open(other)
        async with opened(other):
            pass

    async def test_a_look_from_outside_is_welcome(self, path: Path) -> None:
        """An operator may read the file with any SQLite tool while the gateway runs."""
        async with opened(path) as store:
            await kept(store, "CP1", Write("connector", "1", b"x"))
            with elsewhere(path) as connection:
                assert connection.execute("SELECT name FROM station").fetchall() == [("CP1",)]
            await kept(store, "CP1", Write("connector", "1", b"y"))
