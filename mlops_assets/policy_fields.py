"""Whether the fields of a policy hold what their types and bounds allow."""

from datetime import datetime, timedelta
from functools import cache
from typing import Any, get_type_hints

from pydantic import TypeAdapter, ValidationError

from mlops_assets.errors import SpecError


def refuse_bad_fields(section: str, policy: Any) -> None:
    """Raise if a field of a policy, a dataclass, holds what it may not hold.

    Args:
        section: What the spec calls the policy.
        policy: The policy.

    Raises:
        SpecError: Names the field, what it is and what it must be.
    """
    declared: type = type(policy)
    for name in _adapters(declared):
        read_field(section, declared, name, getattr(policy, name), strict=True)


def read_field(section: str, declared: type, name: str, value: Any, *, strict: bool = False) -> Any:
    """Return a value as the field of a policy holds it.

    Args:
        section: What the spec calls the policy.
        declared: The policy's class.
        name: Of the field.
        value: Text too, unless `strict`.
        strict: Whether the value must have the field's type already.

    Raises:
        SpecError: It does not fit; names the field, what it is and what it must be.
    """
    try:
        return _adapters(declared)[name].validate_python(value, strict=strict)
    except ValidationError as error:
        first = error.errors()[0]
        place = "".join(f"[{part}]" for part in first["loc"])
        raise SpecError(f"{section}.{name}{place} is {_shown(first['input'])}; it {_rule(first['msg'])}") from None


@cache
def _adapters(declared: Any) -> dict[str, TypeAdapter[Any]]:
    return {name: TypeAdapter(hint) for name, hint in get_type_hints(declared, include_extras=True).items()}


def _shown(value: Any) -> str:
    return str(value) if isinstance(value, datetime | timedelta) else repr(value)


def _rule(message: str) -> str:
    _, _, wanted = message.partition(" should ")
    return f"must {wanted}" if wanted else message.removeprefix("Value error, ")
