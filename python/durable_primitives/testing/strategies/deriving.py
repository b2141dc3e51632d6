"""`from_schema`: the strategy of a schema, whichever library reads it."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import TYPE_CHECKING, Any, TypeVar, get_origin

from hypothesis.strategies import SearchStrategy
from msgspec.inspect import type_info

from durable_primitives.errors import DefinitionError
from durable_primitives.schema import codec_for
from durable_primitives.schema.parts import is_record, name_of
from durable_primitives.testing.strategies.msgspec_shapes import MsgspecShapes
from durable_primitives.testing.strategies.shapes import Attempt

if TYPE_CHECKING:
    from typing_extensions import TypeForm

T = TypeVar("T")


def from_schema(schema: TypeForm[T], /, **fields: SearchStrategy[Any]) -> SearchStrategy[T]:
    """A Hypothesis strategy of valid values of a schema, from its types and constraints.

    Every value can be stored: it was encoded with the schema's codec.  Values that a validator, a ``__post_init__`` or
    the like refuses are left out.  Integers have 64 bits, numbers are finite, and datetimes are in UTC, unless the
    schema says otherwise.

    Args:
        schema: A msgspec Struct, a pydantic model, a dataclass, a TypedDict or any form of builtin types.
        fields: Strategies for some of its fields, in place of what would be derived.  A field that is a record takes
            ``from_schema(TheRecord, its_field=...)``.

    Raises:
        DefinitionError: There is no such field; or the values of a field cannot be derived, which the error names.
            Also while values are drawn, if user code refuses nearly all of them.

    Example:
        >>> from typing import Annotated
        >>> import msgspec
        >>> from hypothesis import find, strategies as st
        >>> class Order(msgspec.Struct):
        ...     sku: Annotated[str, msgspec.Meta(pattern="^[A-Z]{3}$")]
        ...     count: Annotated[int, msgspec.Meta(ge=1)] = 1
        ...     note: str | None = None
        >>> find(from_schema(Order, note=st.just("fragile")), lambda order: order.count > 3)
        Order(sku='AAA', count=4, note='fragile')
    """
    codec = codec_for(schema)
    root: Any = schema
    if fields and not is_record(get_origin(root) or root):
        raise DefinitionError(
            f"from_schema({codec.name}) was given {', '.join(fields)}, and it has no fields",
            help="combine strategies instead, for example st.lists(from_schema(Order, sku=...))",
        )
    values = _pydantic(root, fields) if codec.format == "json" else _msgspec(root, fields)

    def storable(value: T) -> T:
        codec.encode(value)
        return value

    return Attempt.each(codec.name, values, storable)


def _msgspec(schema: Hashable, fields: Mapping[str, SearchStrategy[Any]]) -> SearchStrategy[Any]:
    name = name_of(schema)
    return MsgspecShapes(name, schema, fields).derive(type_info(schema), name)


def _pydantic(schema: Hashable, fields: Mapping[str, SearchStrategy[Any]]) -> SearchStrategy[Any]:
    from durable_primitives.testing.strategies.pydantic_shapes import PydanticShapes

    return PydanticShapes(name_of(schema), schema, fields).strategy()
