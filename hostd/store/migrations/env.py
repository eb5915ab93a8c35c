"""Run by Alembic: does the migrations on the connection, and in the transaction, that `upgrade` hands over."""

from alembic import context

from hostd.store.tables import metadata

# SQLite can roll back DDL; Alembic leaves that unused unless told.
context.configure(
    connection=context.config.attributes["connection"], target_metadata=metadata, transactional_ddl=True
)
with context.begin_transaction():
    context.run_migrations()
