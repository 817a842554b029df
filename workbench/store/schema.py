"""The tables, their version, and how an older database is brought up to date.

SQLAlchemy Core, so that the embedded SQLite file and a PostgreSQL server are one code. Times are
Unix seconds. JSON is kept as text: nothing queries inside it, and text is the same in both.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Connection,
    Engine,
    Float,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    create_engine,
    event,
    inspect,
    select,
)
from sqlalchemy.exc import SQLAlchemyError

from workbench.specs.errors import StoreError

SCHEMA_VERSION = 2
META = MetaData()

# SQLite numbers rows by itself only for plain INTEGER keys.
Serial = BigInteger().with_variant(Integer, "sqlite")

about = Table("about", META, Column("key", String, primary_key=True), Column("value", Text, nullable=False))

runs = Table(
    "runs",
    META,
    Column("id", String, primary_key=True),
    Column("name", Text, nullable=False),
    Column("created", Float, nullable=False),
    Column("queued", Float),  # place in the queue; NULL when not waiting
    Column("started", Float),
    Column("ended", Float),
    Column("parent", String),
    Column("parent_checkpoint", String),
    # Three facts, kept apart; the state is derived from them (states.py).
    Column("exit_kind", String),  # 1. the exit record
    Column("heartbeat", Float),  # 2. the last sign of life
    Column("pid", Integer),  # 3. which process, on which machine, started when
    Column("pid_started", Float),
    Column("host", String),
    Column("phase", String),
    Column("step", BigInteger, nullable=False, default=0),
    Column("epoch", Float, nullable=False, default=0.0),
    Column("total_steps", BigInteger),
    Column("device", String),
    Column("eta_s", Float),
    Column("telemetry_share", Float),
    Column("revision", BigInteger, nullable=False, default=0),
    # What lists are searched and grouped by; `haystack` is name, id, data, tags and note in lower case.
    Column("data", Text, nullable=False, default=""),
    Column("model", Text, nullable=False, default=""),
    Column("tags", Text, nullable=False, default="[]"),
    Column("note", Text, nullable=False, default=""),
    Column("archived", Boolean, nullable=False, default=False),
    Column("held", Boolean, nullable=False, default=False),  # waits in the queue until it is released
    Column("slot", String),  # the device slot it takes or took: cpu, mps, cuda:0
    Column("peak_bytes", BigInteger),  # most memory it was measured to take on that device
    Column("active_s", Float),  # seconds it has worked in all its sessions, pauses and gaps left out
    Column("data_version", Integer),  # which version of the data set it saw
    Column("haystack", Text, nullable=False, default=""),
    # Long texts last: a scan over the columns above need not step over them.
    Column("error", Text),
    Column("metrics", Text, nullable=False, default="{}"),
    Column("spec", Text, nullable=False),  # frozen when the run is created
    Index("runs_created", "created"),
    Index("runs_queued", "queued"),
    Index("runs_open", "exit_kind", "pid"),  # those whose process must be looked for
    Index("runs_listed", "archived", "created", "id"),
)

run_tags = Table(  # the tags of `runs.tags` once more, to be found by
    "run_tags",
    META,
    Column("run_id", String, primary_key=True),
    Column("tag", String, primary_key=True),
    Index("run_tags_tag", "tag", "run_id"),
)

run_metrics = Table(  # the values of `runs.metrics` once more, to be sorted by; NULL where there is no number
    "run_metrics",
    META,
    Column("run_id", String, primary_key=True),
    Column("key", String, primary_key=True),
    Column("last", Float),
    Column("best", Float),
    Column("best_step", BigInteger),
    Index("run_metrics_key", "key", "run_id", "last", "best"),  # covers sorting by a metric
)

scalar_chunks = Table(
    "scalar_chunks",
    META,
    Column("id", Serial, primary_key=True, autoincrement=True),
    Column("run_id", String, nullable=False),
    Column("key", String, nullable=False),
    Column("first_step", BigInteger, nullable=False),
    Column("last_step", BigInteger, nullable=False),
    Column("n", Integer, nullable=False),
    Column("points", LargeBinary, nullable=False),  # steps i8[n], epochs f8[n], times f8[n], values f8[n]
    Index("scalar_chunks_run", "run_id", "id"),
    Index("scalar_chunks_key", "run_id", "key", "first_step"),
    sqlite_autoincrement=True,  # a cursor must never meet a number twice
)

scalar_folds = Table(  # summaries of folds.FOLD points each; the points themselves stay in the chunks
    "scalar_folds",
    META,
    Column("run_id", String, primary_key=True),
    Column("key", String, primary_key=True),
    Column("first_step", BigInteger, primary_key=True),
    Column("last_step", BigInteger, nullable=False),
    Column("coarse", LargeBinary, nullable=False),
    Column("fine", LargeBinary, nullable=False),
)

events = Table(
    "events",
    META,
    Column("id", Serial, primary_key=True, autoincrement=True),
    Column("run_id", String, nullable=False),
    Column("kind", String, nullable=False),
    Column("text", Text, nullable=False),
    Column("step", BigInteger, nullable=False),
    Column("epoch", Float, nullable=False),
    Column("time", Float, nullable=False),
    Column("data", Text, nullable=False),
    Index("events_run", "run_id", "id"),
    sqlite_autoincrement=True,
)

ledger = Table(  # what was changed while the run trained; replaying it reproduces the run
    "ledger",
    META,
    Column("id", Serial, primary_key=True, autoincrement=True),
    Column("run_id", String, nullable=False),
    Column("step", BigInteger, nullable=False),  # in force from the update after this one
    Column("changes", Text, nullable=False),  # JSON: path -> value, such as "training.optimizer.lr"
    Column("time", Float, nullable=False),
    Index("ledger_run", "run_id", "id"),
    sqlite_autoincrement=True,
)

snapshots = Table(
    "snapshots",
    META,
    Column("id", Serial, primary_key=True, autoincrement=True),
    Column("run_id", String, nullable=False),
    Column("topic", String, nullable=False),
    Column("kind", String, nullable=False),  # tiles | panel
    Column("step", BigInteger, nullable=False),
    Column("epoch", Float, nullable=False),
    Column("time", Float, nullable=False),
    Column("about", Text, nullable=False),  # JSON of everything but the arrays
    Column("file", Text, nullable=False),  # below the run's folder; "" when there are no arrays
    Index("snapshots_run", "run_id", "id"),
    Index("snapshots_topic", "run_id", "topic", "step"),
    sqlite_autoincrement=True,
)

commands = Table(
    "commands",
    META,
    Column("id", Serial, primary_key=True, autoincrement=True),
    Column("run_id", String, nullable=False),
    Column("verb", String, nullable=False),
    Column("payload", Text, nullable=False),
    Column("time", Float, nullable=False),
    Column("taken", Boolean, nullable=False, default=False),
    Index("commands_run", "run_id", "taken"),
    sqlite_autoincrement=True,
)

checkpoints = Table(
    "checkpoints",
    META,
    Column("run_id", String, primary_key=True),
    Column("name", String, primary_key=True),
    Column("file", Text, nullable=False),
    Column("sha256", String, nullable=False),
    Column("bytes", BigInteger, nullable=False),
    Column("step", BigInteger, nullable=False),
    Column("epoch", Float, nullable=False),
    Column("time", Float, nullable=False),
    Column("metrics", Text, nullable=False),
)

datasets = Table(
    "datasets",
    META,
    Column("name", String, primary_key=True),
    Column("version", Integer, nullable=False),
    Column("folder", Text, nullable=False),  # below the artifact root
    Column("schema", Text, nullable=False),
    Column("splits", Text, nullable=False),
    Column("report", Text, nullable=False),
    Column("fingerprint", String, nullable=False),
    Column("added", Float, nullable=False),
)

dataset_versions = Table(  # former versions of the data sets above; a run keeps its own
    "dataset_versions",
    META,
    Column("name", String, primary_key=True),
    Column("version", Integer, primary_key=True),
    Column("folder", Text, nullable=False),
    Column("schema", Text, nullable=False),
    Column("splits", Text, nullable=False),
    Column("report", Text, nullable=False),
    Column("fingerprint", String, nullable=False),
    Column("added", Float, nullable=False),
)

drafts = Table(
    "drafts",
    META,
    Column("id", String, primary_key=True),
    Column("text", Text, nullable=False),
    Column("time", Float, nullable=False),
)

leases = Table(
    "leases",
    META,
    Column("name", String, primary_key=True),
    Column("holder", String, nullable=False),
    Column("pid", Integer, nullable=False),
    Column("pid_started", Float, nullable=False),
    Column("host", String, nullable=False),
    Column("expires", Float, nullable=False),
)


def _held_slots_and_ledger(connection: Connection) -> None:
    for column in (
        "held BOOLEAN NOT NULL DEFAULT FALSE",
        "slot VARCHAR",
        "peak_bytes BIGINT",
        "active_s FLOAT",
        "data_version INTEGER",
    ):
        connection.exec_driver_sql(f"ALTER TABLE runs ADD COLUMN {column}")
    META.create_all(connection, tables=[ledger, dataset_versions])


# MIGRATIONS[n] brings a database of version n to n + 1 inside the caller's transaction. Steps that
# create tables from META serve only while those tables stay as they are: freeze them when they change.
MIGRATIONS: dict[int, Callable[[Connection], None]] = {1: _held_slots_and_ledger}


def connect(url: str) -> Engine:
    """An engine on an up-to-date database. Raises StoreError when it cannot be used as it is."""
    try:
        engine = create_engine(url, pool_pre_ping=not url.startswith("sqlite"))
    except (SQLAlchemyError, ModuleNotFoundError) as error:
        raise StoreError.of(
            "WORKBENCH_STORE", "the store must be a database URL", str(error).splitlines()[0],
            "Use sqlite:////path/workbench.db or postgresql+psycopg://user@host/name.",
        ) from None  # fmt: skip
    if engine.dialect.name == "sqlite":
        event.listen(engine, "connect", _configure_sqlite)
    try:
        with engine.begin() as connection:
            _bring_up_to_date(connection)
    except SQLAlchemyError as error:
        engine.dispose()
        fact = str(getattr(error, "orig", error)).splitlines()[0]
        raise StoreError.of(
            f"the database ({engine.url.render_as_string(hide_password=True)})",
            "the database must be readable and writable",
            fact,
            _repair(fact),
        ) from None
    except StoreError:
        engine.dispose()
        raise
    return engine


def _configure_sqlite(connection: Any, _record: Any) -> None:
    cursor = connection.cursor()
    cursor.execute("PRAGMA busy_timeout=10000")
    cursor.execute("PRAGMA journal_mode=WAL")
    # NORMAL loses nothing when a process dies; a power cut may cost the last commits, never the file.
    cursor.execute("PRAGMA synchronous=NORMAL")
    cursor.close()


def _bring_up_to_date(connection: Connection) -> None:
    if _version(connection) == SCHEMA_VERSION:
        return
    lock(connection)  # processes start together: one makes or migrates the tables, the others wait
    version = _version(connection)
    if version is None:
        META.create_all(connection)
        connection.execute(about.insert().values(key="schema_version", value=str(SCHEMA_VERSION)))
        return
    if version > SCHEMA_VERSION:
        raise StoreError.of(
            "the database",
            f"this program reads databases of version up to {SCHEMA_VERSION}",
            f"this one has version {version}: a newer workbench wrote it",
            "Start the newer workbench, or set WORKBENCH_HOME to another folder.",
        )
    while version < SCHEMA_VERSION:
        MIGRATIONS[version](connection)
        version += 1
        connection.execute(about.update().where(about.c.key == "schema_version").values(value=str(version)))


def _version(connection: Connection) -> int | None:
    """The database's schema version; None when it is empty."""
    if not inspect(connection).has_table("about"):
        return None
    found = connection.execute(select(about.c.value).where(about.c.key == "schema_version")).scalar()
    return None if found is None else int(found)


def lock(connection: Connection) -> None:
    """Hold back every other process until the caller's transaction ends."""
    if connection.dialect.name == "sqlite":  # the driver would begin only at the first insert
        connection.exec_driver_sql("BEGIN IMMEDIATE")
    elif connection.dialect.name == "postgresql":
        connection.exec_driver_sql("SELECT pg_advisory_xact_lock(7305)")


def _repair(fact: str) -> str:
    if "not a database" in fact or "malformed" in fact:
        return "Save what can be saved: workbench doctor --salvage. It keeps the damaged file."
    if "unable to open" in fact or "readonly" in fact:
        return "Check the folder's permissions, or set WORKBENCH_HOME to a folder you may write."
    if "locked" in fact:
        return "Another process holds it for long; try again."
    return "Check WORKBENCH_STORE."
