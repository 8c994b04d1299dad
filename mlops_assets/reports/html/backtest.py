"""The page of a backtest: what every policy gave and cost, and which one to run."""

from collections.abc import Mapping, Sequence
from typing import Any

from mlops_assets.reports.figures import PolicyLine, policies_over_time
from mlops_assets.reports.html import wording
from mlops_assets.reports.html.page import Picture, Tile, counted, render

Document = Mapping[str, Any]


def backtest_html(document: Document, picture: bytes, *, remarks: str = "") -> str:
    """Return the page of a backtest.

    Args:
        document: What `run_backtest` returned.
        picture: What `backtest_picture` returned.
        remarks: What has to be said about this model's numbers.
    """
    history, recommended = document["history"], document["recommended"]
    return render(
        "backtest.html.j2",
        title=f"Retraining policies of {document['model']}",
        eyebrow="Policy backtest",
        heading=document["model"],
        subtitle=f"{wording.day(history['start'])} to {wording.day(history['end'])}",
        tiles=[
            Tile(title="Recommended", value=recommended["policy"], state="good"),
            Tile(title="Policies", value=wording.count(document["policies"])),
            Tile(
                title="Windows", value=wording.count(history["n_windows"]), note=counted(history["n_labels"], "label")
            ),
        ],
        remarks=remarks,
        recommended=recommended,
        constant=document["constant"],
        policies=document["policies"],
        timing=document["timing"]["policies"],
        pictures=[
            Picture(
                png=picture,
                alt="Log loss of every policy less the static one's by window, and its retrainings",
                caption="A filled mark is a promoted retraining, a hollow one was refused by the gate.",
            )
        ],
    )


def backtest_picture(document: Document) -> bytes:
    """Return the picture of a backtest: the policies with the least log loss, without the static one."""
    policies: Sequence[Document] = sorted(
        (policy for policy in document["policies"] if policy["triggers"]),
        key=lambda policy: policy["totals"]["log_loss"]["value"],
    )
    starts = [window["start"] for window in document["policies"][0]["windows"]]
    return policies_over_time(starts, [_line(policy) for policy in policies])


def _line(policy: Document) -> PolicyLine:
    beside = [window["against_static"] for window in policy["windows"]]
    return PolicyLine(
        name=policy["name"],
        differences=[difference and difference["log_loss"]["value"] for difference in beside],
        retrainings=[(entry["at"], entry["verdict"]) for entry in policy["history"]],
    )
