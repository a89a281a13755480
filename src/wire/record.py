"""Frozen records for the modules that a command imports before it can do anything.

`class Sample(Record): offset: int` is to a reader, and to mypy, what a frozen dataclass with slots
is. The difference is the start: importing `dataclasses` takes 6 ms, and each dataclass half a
millisecond more, where the whole of a query on a LAN, with Python's own start, takes 25. Here a
class costs as much as any other; its `__init__` is compiled when some objects have been made.

`dataclasses.replace`, `fields` and their like take a record, too. A default is one object for all
records: give only what cannot change. No inheritance among records, no default factories, no
ClassVar: use a dataclass for those.
"""

from operator import attrgetter

from wire.lean import TYPE_CHECKING, Any, Final, NoReturn, dataclass_transform

if TYPE_CHECKING:
    from typing import TypeVar

    R = TypeVar("R", bound="Record")
_UNCOMPILED: Final = 3  # objects of a class


@dataclass_transform(frozen_default=True)
class _Maker(type):
    """Makes slots of the annotations, and of their values the defaults."""

    def __new__(
        cls,
        name: str,
        bases: tuple[type, ...],
        namespace: dict[str, Any],
        *,
        kw_only: bool = False,
    ) -> "_Maker":
        fields = tuple(namespace.get("__annotations__", ()))
        defaults = {field: namespace.pop(field) for field in fields if field in namespace}
        namespace["__slots__"] = fields
        namespace["__match_args__"] = () if kw_only else fields
        namespace["_fields"] = fields
        namespace["_values"] = property(attrgetter(*fields) if fields else lambda _: ())
        made = super().__new__(cls, name, bases, namespace)
        if bases:
            made.__init__ = _first_init(made, fields, defaults, kw_only)  # type: ignore[misc]
        return made


class _OfDataclass:
    """What `dataclasses` asks of its classes: borrowed from one that is made when it asks."""

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name

    def __get__(self, record: object, made: type) -> Any:
        from dataclasses import make_dataclass

        like = make_dataclass(made.__name__, made._fields)  # type: ignore[attr-defined]
        setattr(made, self._name, getattr(like, self._name))  # from now on it is found there
        return getattr(made, self._name)


class Record(metaclass=_Maker):
    """The base of all records: equality and hash by value, a readable repr, no assignment."""

    if not TYPE_CHECKING:
        __dataclass_fields__ = _OfDataclass()
        __dataclass_params__ = _OfDataclass()

    def __repr__(self) -> str:
        values = ", ".join(f"{field}={getattr(self, field)!r}" for field in _fields(self))
        return f"{type(self).__qualname__}({values})"

    def __eq__(self, other: object) -> bool:
        if type(other) is not type(self):
            return NotImplemented
        return bool(self._values == other._values)  # type: ignore[attr-defined]

    def __hash__(self) -> int:
        return hash((type(self), self._values))  # type: ignore[attr-defined]

    def __setattr__(self, name: str, value: object) -> NoReturn:
        raise AttributeError(f"a {type(self).__name__} cannot be changed: {name}")

    def __delattr__(self, name: str) -> NoReturn:
        raise AttributeError(f"a {type(self).__name__} cannot be changed: {name}")

    def __reduce__(self) -> tuple[Any, ...]:
        return _restored, (type(self), {field: getattr(self, field) for field in _fields(self)})


def replace(record: "R", /, **changes: Any) -> "R":
    """A copy of `record` with other values in the fields named. Raises: TypeError."""
    values = {field: getattr(record, field) for field in _fields(record)}
    return type(record)(**(values | changes))


def _restored(made: "type[R]", values: dict[str, Any]) -> "R":
    return made(**values)


def _fields(record: Record) -> tuple[str, ...]:
    fields: tuple[str, ...] = type(record)._fields  # type: ignore[attr-defined]
    return fields


def _first_init(
    made: type, fields: tuple[str, ...], defaults: dict[str, Any], kw_only: bool
) -> Any:
    """An `__init__` for the first objects, which would not repay compiling one; then it makes way.

    What it does not take as it is, mistakes above all, is the compiled one's.
    """
    left = _UNCOMPILED
    names = set(fields)

    def __init__(self: object, *args: Any, **kwargs: Any) -> None:  # noqa: N807
        nonlocal left
        left -= 1
        values = defaults | (dict(zip(fields, args, strict=False)) if args else kwargs)
        odd = values.keys() != names or (args and (kw_only or kwargs or len(args) > len(fields)))
        if left < 0 or odd:
            init = _compiled_init(made, fields, defaults, kw_only)
            made.__init__ = init  # type: ignore[misc]
            init(self, *args, **kwargs)
            return
        for field, value in values.items():
            getattr(made, field).__set__(self, value)

    return __init__


def _compiled_init(
    made: type, fields: tuple[str, ...], defaults: dict[str, Any], kw_only: bool
) -> Any:
    """Field names come from class bodies only, so nothing foreign is ever compiled."""
    names: dict[str, Any] = {f"_set_{field}": getattr(made, field).__set__ for field in fields}
    names |= {f"_default_{field}": value for field, value in defaults.items()}
    parameters = [f"{field}=_default_{field}" if field in defaults else field for field in fields]
    star = "*, " if kw_only and fields else ""
    body = "; ".join(f"_set_{field}(self, {field})" for field in fields) or "pass"
    exec(f"def __init__(self, {star}{', '.join(parameters)}): {body}", names)  # noqa: S102
    init = names["__init__"]
    init.__qualname__ = f"{made.__qualname__}.__init__"
    return init
