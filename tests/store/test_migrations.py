import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection
from sqlalchemy.exc import OperationalError

from hostd.errors import Unavailable
from hostd.store import migrations
from hostd.store.database import Database
from hostd.store.tables import metadata


async def test_migrations_lead_to_the_tables_as_they_are_declared(db: Database) -> None:
    def differences(connection: Connection) -> list[object]:
        return list(compare_metadata(MigrationContext.configure(connection), metadata))

    assert await db.call(differences) == []


def test_revisions_are_the_files_in_versions() -> None:
    scripts = ScriptDirectory(str(Path(migrations.__file__).parent))
    assert [script.revision for script in scripts.walk_revisions()][::-1] == list(migrations.REVISIONS)


def test_a_database_of_a_newer_hostd_is_refused_and_left_alone(path: Path) -> None:
    Database.open(path).close()
    with sqlite3.connect(path) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    connection.close()
    with pytest.raises(Unavailable, match="written by a newer hostd") as caught:
        Database.open(path)
    assert "9999" in caught.value.message
    assert "restore the backup" in caught.value.hint


def test_a_migration_that_fails_leaves_the_database_as_it_was(path: Path) -> None:
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE releases (of_something_else)")
    connection.close()
    with pytest.raises(OperationalError, match="releases already exists"):
        Database.open(path)
    with sqlite3.connect(path) as connection:
        assert connection.execute("SELECT name FROM sqlite_master").fetchall() == [("releases",)]
    connection.close()


def test_opening_an_up_to_date_database_is_quick_and_needs_no_alembic(path: Path) -> None:
    Database.open(path).close()
    program = """if True:
        import sys, time
        from pathlib import Path
        import sqlalchemy.dialects.sqlite  # takes as long to import as the rest
        from hostd.store.database import Database
        began = time.process_time()
        Database.open(Path(sys.argv[1])).close()
        print(time.process_time() - began, "alembic" in sys.modules)
    """
    output = subprocess.run(
        [sys.executable, "-c", program, str(path)], check=True, capture_output=True, text=True
    ).stdout.split()
    assert float(output[0]) < 0.05
    assert output[1] == "False"
