"""The toy model of the server's tests as a user's own spec, for commands that ask a server."""

from mlops_assets.spec import Category, Label, ModelSpec, Number
from tests.serving.toy import CONTRACT, MODEL


def no_rows():
    raise AssertionError("nothing is trained here")


spec = ModelSpec(
    name=MODEL,
    description="Is it late?",
    label=Label(name="outcome", negative=CONTRACT.negative, positive=CONTRACT.positive),
    features=(
        Number(name="distance", minimum=0, maximum=1000),
        Number(name="hour", minimum=0, maximum=23, integer=True, nullable=True),
        Category(name="carrier", categories=("aa", "bb")),
        Category(name="origin", categories=("jfk",), open=True, nullable=True),
    ),
    source=no_rows,
)
