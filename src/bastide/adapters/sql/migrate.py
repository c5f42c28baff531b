"""Brings a database to this release's schema, and refuses one that a newer release made."""

from pathlib import Path

from alembic.config import Config
from alembic.runtime.environment import EnvironmentContext
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Engine

from bastide.core.error import BastideError


class NewerDatabase(BastideError):
    """The database was made by a newer release."""

    code = "database:schema:newer"


def script() -> ScriptDirectory:
    """The migrations that ship with this release."""
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    return ScriptDirectory.from_config(config)


def migrate(engine: Engine, target: str = "head") -> tuple[str | None, str | None]:
    """Upgrades the schema to ``target`` in one transaction; gives the revisions before and after.

    A database whose revision this release does not know is ``NewerDatabase``, and is not touched.
    """
    migrations = script()
    with engine.connect() as connection:
        before = MigrationContext.configure(connection).get_current_revision()
        connection.rollback()
    if before is not None and before not in {step.revision for step in migrations.walk_revisions()}:
        raise NewerDatabase(
            f"The database has schema {before}, which this release does not know. It was made by a newer Bastide: "
            "start that release, or name another database."
        )
    if before == migrations.get_current_head() and target == "head":
        return before, before

    def upgrade(revision: object, _: object) -> object:
        return migrations._upgrade_revs(target, revision)  # type: ignore[arg-type]

    with EnvironmentContext(Config(), migrations, fn=upgrade) as environment, engine.begin() as connection:
        environment.configure(connection=connection, transactional_ddl=False)
        environment.run_migrations()
        after = MigrationContext.configure(connection).get_current_revision()
    return before, after
