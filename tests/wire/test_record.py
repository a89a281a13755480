"""Records behave as frozen dataclasses do; they only start faster."""

import dataclasses
import pickle
import pprint

import pytest

from wire.record import Record, replace


class Point(Record):
    x: int
    y: int = 7


class Named(Record, kw_only=True):
    name: str
    size: int = 1

    @property
    def loud(self) -> str:
        return self.name.upper()


class Empty(Record):
    pass


def test_fields_are_taken_in_order_with_their_defaults() -> None:
    assert (Point(1).x, Point(1).y) == (1, 7)
    assert (Point(1, 2).y, Point(y=2, x=1).x) == (2, 1)
    assert Named(name="a").loud == "A"
    assert Empty() == Empty()


def test_the_first_object_is_as_the_others() -> None:
    class Often(Record, kw_only=True):
        a: int
        b: str = "b"

    with pytest.raises(TypeError):
        Often(b="x")  # type: ignore[call-arg]
    assert {Often(a=1), Often(a=1)} == {Often(a=1, b="b")}


def test_a_wrong_name_is_refused_by_the_first_object_too() -> None:
    class Seldom(Record):
        a: int
        b: str = "b"

    with pytest.raises(TypeError, match="unexpected keyword argument 'c'"):
        Seldom(c=1)  # type: ignore[call-arg]


@pytest.mark.parametrize("count", [1, 2, 3, 4, 5])
def test_many_objects_are_as_the_first(count: int) -> None:
    class Counted(Record):
        a: int
        b: str = "b"

    made = [Counted(each) if each % 2 else Counted(b="b", a=each) for each in range(count)]
    assert made == [Counted(a=each) for each in range(count)]


@pytest.mark.parametrize("arguments", [(), (1, 2, 3)])
def test_missing_and_surplus_arguments_are_refused(arguments: tuple[int, ...]) -> None:
    with pytest.raises(TypeError):
        Point(*arguments)
    with pytest.raises(TypeError):
        Named("a")  # type: ignore[call-arg]


def test_nothing_can_be_changed_or_added() -> None:
    point = Point(1)
    with pytest.raises(AttributeError):
        point.x = 2  # type: ignore[misc]
    with pytest.raises(AttributeError):
        del point.x
    with pytest.raises(AttributeError):
        point.z = 2
    assert not hasattr(point, "__dict__")


def test_equality_and_hash_are_those_of_the_values_and_the_class() -> None:
    assert Point(1, 2) == Point(1, 2)
    assert Point(1, 2) != Point(2, 1)
    assert hash(Point(1, 2)) == hash(Point(1, 2))
    assert Point(1, 2) != Named(name="a")
    assert len({Point(1), Point(1), Point(2)}) == 2


def test_a_copy_has_what_was_changed_and_a_pickle_all() -> None:
    assert replace(Point(1, 2), y=3) == Point(1, 3)
    with pytest.raises(TypeError):
        replace(Point(1, 2), z=3)
    assert pickle.loads(pickle.dumps(Point(1, 2))) == Point(1, 2)


def test_a_record_reads_as_it_is_written_and_matches_its_pattern() -> None:
    assert repr(Point(1, 2)) == "Point(x=1, y=2)"
    match Point(1, 2):
        case Point(1, y=y):
            assert y == 2
        case _:
            pytest.fail("no match")


@pytest.mark.parametrize("record", [Point(1, 2), Named(name="a"), Empty()])
def test_dataclasses_takes_a_record_for_one_of_its_own(record: Record) -> None:
    assert dataclasses.is_dataclass(record)
    assert dataclasses.is_dataclass(type(record))
    names = [field.name for field in dataclasses.fields(record)]
    assert dataclasses.asdict(record) == {name: getattr(record, name) for name in names}
    assert dataclasses.replace(record) == record
    assert pprint.pformat(record) == repr(record)


def test_dataclasses_replaces_what_is_named_and_refuses_what_is_not() -> None:
    assert dataclasses.replace(Point(1, 2), y=3) == Point(1, 3)
    assert dataclasses.replace(Named(name="a", size=3), name="b") == Named(name="b", size=3)
    with pytest.raises(TypeError):
        dataclasses.replace(Point(1, 2), z=3)  # type: ignore[call-arg]
