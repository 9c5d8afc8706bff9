"""Indexes that are partial where the database has partial indexes, and useful where it hasn't."""

from collections.abc import Sequence
from typing import Any

from django.db import models

_NOTHING = "DO 0"  # a statement is expected


class StateIndex(models.Index):
    """`fields` of the rows in one state; without partial indexes, the same with the state as first column."""

    def __init__(self, *, of_state: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.of_state = of_state

    def deconstruct(self) -> tuple[str, Any, dict[str, Any]]:
        path, args, kwargs = super().deconstruct()
        return path, args, {**kwargs, "of_state": self.of_state}

    def create_sql(self, model: Any, schema_editor: Any, using: str = "", **kwargs: Any) -> Any:
        if schema_editor.connection.features.supports_partial_indexes:
            twin = models.Index(fields=self.fields, name=self.name, condition=models.Q(state=self.of_state))
        else:
            twin = models.Index(fields=["state", *self.fields], name=self.name)
        return twin.create_sql(model, schema_editor, using, **kwargs)


class PartialIndex(StateIndex):
    """Only where the database has partial indexes: elsewhere any `StateIndex` begins with the state and will do."""

    def create_sql(self, model: Any, schema_editor: Any, using: str = "", **kwargs: Any) -> Any:
        if schema_editor.connection.features.supports_partial_indexes:
            return super().create_sql(model, schema_editor, using, **kwargs)
        return _NOTHING

    def remove_sql(self, model: Any, schema_editor: Any, **kwargs: Any) -> Any:
        if schema_editor.connection.features.supports_partial_indexes:
            return super().remove_sql(model, schema_editor, **kwargs)
        return _NOTHING


class SparseIndex(models.Index):
    """One nullable or boolean column, only where it is set (or everywhere, without partial indexes)."""

    def __init__(
        self, *, where: dict[str, Any], unique: bool = False, covers: Sequence[str] = (), **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.covers = list(covers)
        self.where = where
        self.unique = unique

    def deconstruct(self) -> tuple[str, Any, dict[str, Any]]:
        path, args, kwargs = super().deconstruct()
        covers = {"covers": self.covers} if self.covers else {}
        return path, args, {**kwargs, "where": self.where, "unique": self.unique, **covers}

    def create_sql(self, model: Any, schema_editor: Any, using: str = "", **kwargs: Any) -> Any:
        partial = schema_editor.connection.features.supports_partial_indexes
        condition = models.Q(**self.where) if partial else None
        if self.unique:
            kwargs["sql"] = schema_editor.sql_create_index.replace("CREATE INDEX", "CREATE UNIQUE INDEX", 1)
        twin = models.Index(fields=self.fields, name=self.name, condition=condition, include=self.covers)
        return twin.create_sql(model, schema_editor, using, **kwargs)


class CoveringIndex(models.Index):
    """With columns that are read from the index where the database can (Django warns of its own where it can't)."""

    def __init__(self, *, covers: Sequence[str], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.covers = list(covers)

    def deconstruct(self) -> tuple[str, Any, dict[str, Any]]:
        path, args, kwargs = super().deconstruct()
        return path, args, {**kwargs, "covers": self.covers}

    def create_sql(self, model: Any, schema_editor: Any, using: str = "", **kwargs: Any) -> Any:
        twin = models.Index(fields=self.fields, name=self.name, include=self.covers)
        return twin.create_sql(model, schema_editor, using, **kwargs)
