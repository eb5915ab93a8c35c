"""All SQL, as plain functions of a `sqlalchemy.Connection`: one module per noun, rows in and model dataclasses out.

`control` runs them: `await db.call(apps.create, name, user.id, now)` to write, `await db.read(...)` to read. A
function never begins, commits or waits; what it returns is a value that outlives the transaction. A new table is
a change in `tables`, a file in `migrations/versions` and its name in `migrations.REVISIONS`.
"""
