"""Brings a database to this release's schema, and refuses one that a newer release made."""

from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import Engine, inspect, text
from sqlalchemy.exc import DBAPIError

from bastide.core.error import BastideError, Unavailable

if TYPE_CHECKING:
    from alembic.script import ScriptDirectory

# Alembic is loaded only where there is something to migrate: most starts have nothing, and should be quick and small.
VERSIONS = Path(__file__).parent / "migrations" / "versions"


class NewerDatabase(BastideError):
    """The database was made by a newer release."""

    code = "database:schema:newer"


def revisions() -> tuple[str, ...]:
    """The revisions that this release knows, oldest first: the names of the files, which are numbered."""
    return tuple(sorted(path.stem for path in VERSIONS.glob("[0-9]*.py")))


def script() -> "ScriptDirectory":
    """The migrations that ship with this release."""
    from alembic.config import Config
    from alembic.script import ScriptDirectory

    config = Config()
    config.set_main_option("script_location", str(VERSIONS.parent))
    return ScriptDirectory.from_config(config)


def migrate(engine: Engine, target: str = "head") -> tuple[str | None, str | None]:
    """Upgrades the schema to ``target`` in one transaction; gives the revisions before and after.

    A database whose revision this release does not know is ``NewerDatabase``, and is not touched; one that does not answer is
    ``Unavailable``.
    """
    try:
        return _migrate(engine, target)
    except DBAPIError as error:
        # A driver's message may have several lines; the address is told without its password.
        cause = " ".join(str(error.orig).split())
        raise Unavailable(
            f"The database {engine.url.render_as_string(hide_password=True)} does not work: {cause} "
            "Start it, or name another with --database-url or BASTIDE_DATABASE_URL."
        ) from error


def _migrate(engine: Engine, target: str) -> tuple[str | None, str | None]:
    before = _revision(engine)
    if before is not None and before not in revisions():
        raise NewerDatabase(
            f"The database has schema {before}, which this release does not know. It was made by a newer Bastide: "
            "start that release, or name another database."
        )
    if target == "head" and before == revisions()[-1]:
        return before, before
    _upgrade(engine, target)
    return before, _revision(engine)


def _revision(engine: Engine) -> str | None:
    with engine.connect() as connection:
        if not inspect(connection).has_table("alembic_version"):
            return None
        return connection.execute(text("select version_num from alembic_version")).scalar_one_or_none()


def _upgrade(engine: Engine, target: str) -> None:
    from alembic.config import Config
    from alembic.runtime.environment import EnvironmentContext

    migrations = script()

    def upgrade(revision: object, _: object) -> object:
        return migrations._upgrade_revs(target, revision)  # type: ignore[arg-type]

    with EnvironmentContext(Config(), migrations, fn=upgrade) as environment, engine.begin() as connection:
        environment.configure(connection=connection, transactional_ddl=False)
        environment.run_migrations()
