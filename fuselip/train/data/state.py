"""Where reading stands, so that it goes on with the very same batches. No torch here."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from fuselip.core.errors import UserError
from fuselip.train.data.pieces import Address


@dataclass(frozen=True)
class Place:
    """Of one part: epoch, items read of it, pairs given so far."""

    epoch: int = 0
    position: int = 0
    served: int = 0


@dataclass(frozen=True)
class DataState:
    """After a batch: each part's place, and the groups that were read and wait for room. One for each rank.

    `config` is the hash of all that decides the batches; a state of another configuration is refused.
    """

    config: str
    batches: int
    places: tuple[Place, ...]
    pending: tuple[Address, ...] = ()

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, value: Any) -> DataState:
        """Raises UserError for what `to_json` would not have written."""
        try:
            places = tuple(Place(**{key: _count(each[key]) for key in each}) for each in value["places"])
            pending = tuple(_address(each) for each in value["pending"])
            return cls(str(value["config"]), _count(value["batches"]), places, pending)
        except (KeyError, TypeError, ValueError) as error:
            raise UserError(f"the saved state of the data is damaged ({error!r}); resume from another one") from error


def _count(value: Any) -> int:
    if type(value) is not int or value < 0:
        raise ValueError(f"{value!r} is no count")
    return value


def _address(value: Any) -> Address:
    part, epoch, number, place = map(_count, value)
    return part, epoch, number, place
