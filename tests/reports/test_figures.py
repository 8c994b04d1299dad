import io
import subprocess
import sys
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from PIL import Image

from mlops_assets.reports import figures
from tests.reports.conftest import HOSTILE, category_histogram, number_histogram

WIDTH = 900
PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
MAXIMUM_BYTES = 150_000
STARTS = [datetime(2013, 1, 29, tzinfo=UTC) + timedelta(days=7 * number) for number in range(60)]

BLUE, VERMILION, DARK_RED = (0, 114, 178), (213, 94, 0), (143, 29, 14)


def size_of(png: bytes) -> tuple[int, int]:
    """Check what holds for every figure, and return its width and height."""
    assert png.startswith(PNG_SIGNATURE)
    assert len(png) < MAXIMUM_BYTES
    with Image.open(io.BytesIO(png)) as image:
        image.load()
        assert len(image.convert("L").getcolors() or range(256)) > 1, "the picture is blank"
        return image.size


def pixels_of(png: bytes, color: tuple[int, int, int] = VERMILION) -> int:
    """Return how much of the picture has a color: by default that of what has drifted, which a legend may have too."""
    with Image.open(io.BytesIO(png)) as image:
        return int((np.asarray(image.convert("RGB")) == color).all(axis=-1).sum())


def test_histograms_grow_with_the_number_of_features_up_to_a_limit():
    heights = [size_of(figures.histograms([number_histogram(f"f{i}") for i in range(n)]))[1] for n in (1, 7, 100)]
    assert heights == sorted(heights)
    assert heights[2] == size_of(figures.histograms([number_histogram(f"f{i}") for i in range(24)]))[1]


def test_histograms_of_numbers_and_categories_are_900_pixels_wide():
    features = [
        number_histogram("a", drifted=True, shift=0.9),
        category_histogram("b", 3),
        category_histogram("c", 105),
    ]
    assert size_of(figures.histograms(features))[0] == WIDTH


def test_histograms_are_drawn_in_the_order_given_up_to_the_limit():
    calm = [number_histogram(f"f{i}", shift=0.5) for i in range(99)]
    drifted = number_histogram("drifted", drifted=True)
    legend_alone = pixels_of(figures.histograms(calm, limit=1))
    assert pixels_of(figures.histograms([drifted, *calm], limit=1)) > legend_alone > 0
    assert pixels_of(figures.histograms([*calm, drifted], limit=1)) == legend_alone


@pytest.mark.parametrize(
    "feature",
    [
        figures.FeatureHistogram(name="", kind="number", edges=(), reference=(), current=()),
        figures.FeatureHistogram(name="constant", kind="number", edges=(3.0, 3.0), reference=(1.0,), current=(0.0,)),
        figures.FeatureHistogram(
            name="all missing", kind="number", edges=(-np.inf, np.inf), labels=["missing"],
            reference=(0, 1), current=(0, 1),
        ),
        figures.FeatureHistogram(
            name="nan", kind="number", edges=(0, 1, 2), reference=(np.nan, np.nan), current=(np.inf, 0.1)
        ),
        figures.FeatureHistogram(name="none", kind="category", labels=(), reference=(), current=()),
        figures.FeatureHistogram(
            name=HOSTILE, kind="category", labels=[HOSTILE, "$", "\\"], reference=(0.3, 0.3, 0.4), current=(1, 0, 0),
            note=HOSTILE,
        ),
    ],
    ids=lambda feature: feature.name[:8] or "empty",
)  # fmt: skip
def test_a_degenerate_or_hostile_histogram_is_still_drawn(feature):
    assert size_of(figures.histograms([feature]))[0] == WIDTH


def test_no_feature_gives_a_picture_that_says_so():
    assert size_of(figures.histograms([])) == (WIDTH, 120)


@pytest.mark.parametrize(("n_features", "n_windows"), [(1, 1), (18, 10), (100, 60), (3, 200)])
def test_the_heat_map_takes_any_number_of_features_and_windows(n_features, n_windows):
    values = np.abs(np.random.default_rng(1).normal(0, 0.3, (n_features, n_windows)))
    values[0, 0] = np.nan
    windows = [f"week {number}" for number in range(n_windows)]
    names = [f"feature_{number}" for number in range(n_features)]
    assert size_of(figures.psi_heat_map(windows, names, values))[0] == WIDTH


@pytest.mark.parametrize("value", [None, np.nan, np.inf, 0.0, 1e12])
def test_the_heat_map_takes_any_value(value):
    assert size_of(figures.psi_heat_map([HOSTILE], [HOSTILE], [[value]]))[0] == WIDTH


@pytest.mark.parametrize("threshold", [0.0, 1e-320, 1e300, np.inf])
def test_the_heat_map_takes_any_threshold_that_a_policy_may_have(threshold):
    png = figures.psi_heat_map(["a", "b"], ["f"], [[0.0, 0.4]], threshold=threshold)
    assert size_of(png)[0] == WIDTH
    assert (pixels_of(png, color=DARK_RED) > 10_000) == (threshold < 1), "more than the bar at the side"


def test_the_heat_map_changes_color_at_the_threshold():
    def red_share(value: float) -> float:
        png = figures.psi_heat_map(["w"], ["f"], [[value]], threshold=0.5)
        with Image.open(io.BytesIO(png)) as image:
            pixels = np.asarray(image.convert("RGB"), dtype=int)[50:-50, 150:650]
        return float((pixels[..., 0] > pixels[..., 2] + 30).mean())

    assert red_share(0.49) < 0.05
    assert red_share(0.51) > 0.5


def test_the_heat_map_names_what_is_seasonal_and_what_is_an_answer():
    drawn = figures.psi_heat_map(["w"], ["temperature"], [[0.1]])
    assert figures.psi_heat_map(["w"], ["temperature"], [[0.1]], notes={"temperature": "seasonal"}) != drawn
    assert figures.psi_heat_map(["w"], ["temperature"], [[0.1]], notes={"pressure": "seasonal"}) == drawn


def test_the_heat_map_says_that_nothing_is_measured():
    assert size_of(figures.psi_heat_map([], [], [])) == (WIDTH, 120)


def accuracy_points(n_windows: int) -> list[figures.AccuracyPoint]:
    return [
        {"start": start, "accuracy": 0.9, "low": 0.89, "high": 0.91, "version": str(number // 3), "constant": 0.76}
        for number, start in enumerate(STARTS[:n_windows])
    ]


@pytest.mark.parametrize("n_windows", [0, 1, 2, 60])
def test_accuracy_and_log_loss_take_any_number_of_windows(n_windows):
    loss: list[figures.LogLossPoint] = [{"start": start, "loop": 0.28, "frozen": 0.3} for start in STARTS[:n_windows]]
    assert size_of(figures.accuracy_over_time(accuracy_points(n_windows), [STARTS[0]], threshold=0.86))[0] == WIDTH
    assert size_of(figures.log_loss_lines(loss, [STARTS[0]]))[0] == WIDTH


def test_windows_without_any_value_make_gaps():
    points: list[figures.AccuracyPoint] = [
        *accuracy_points(3),
        {"start": STARTS[3], "accuracy": None, "low": None, "high": float("nan"), "version": None, "frozen": None},
        {"start": "2013-03-01T00:00:00"},
    ]
    assert size_of(figures.accuracy_over_time(points))[0] == WIDTH
    assert size_of(figures.accuracy_over_time(points[3:]))[0] == WIDTH
    assert size_of(figures.log_loss_lines([{"start": STARTS[0]}, {"start": STARTS[1], "loop": None}]))[0] == WIDTH


def scored(n_rows: int = 2000) -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(3)
    labels = generator.random(n_rows) < 0.25
    return labels, 1 / (1 + np.exp(-generator.normal(labels * 2.0 - 1.5, 1)))


def test_curves_of_champion_and_challenger_are_drawn_side_by_side():
    labels, scores = scored()
    both = {"challenger": scores, "champion": scores**2}
    assert size_of(figures.roc_and_pr_curves(labels, both))[0] == WIDTH
    assert size_of(figures.calibration(labels, both))[0] < WIDTH


@pytest.mark.parametrize(
    ("labels", "scores"),
    [
        ([], {}),
        ([], {"a": []}),
        ([1, 1], {"a": [0.2, 0.3]}),
        ([0, 1], {"a": [np.nan, np.nan]}),
        ([0, 1], {HOSTILE: [0.5, 0.5]}),
        ([0, 1, 1], {"a": [0.0, 1.0, np.nan]}),
    ],
    ids=["no models", "no rows", "one class", "no finite score", "ties and a hostile name", "one score missing"],
)
def test_degenerate_scores_give_a_picture_without_a_warning(labels, scores):
    size_of(figures.roc_and_pr_curves(labels, scores))
    size_of(figures.calibration(labels, scores))


@pytest.mark.parametrize("matrix", [[[4400, 160], [520, 920]], [[0, 0], [0, 0]], [[1, 0, 0], [0, 1, 0], [0, 0, 10**9]]])
def test_a_confusion_matrix_is_drawn(matrix):
    labels = ["on time", HOSTILE, "$x$"][: len(matrix)]
    assert size_of(figures.confusion_matrix(matrix, labels)) == (520, 400)


def test_importances_are_drawn_with_and_without_errors():
    names = [f"feature_{number}" for number in range(100)]
    assert size_of(figures.importances(names, np.linspace(-0.1, 1, 100)))[0] == WIDTH
    assert size_of(figures.importances(["a", HOSTILE, "c"], [0.1, None, 0.3], [0.01, None, float("nan")]))[0] == WIDTH
    assert size_of(figures.importances([], [])) == (WIDTH, 120)


def test_a_figure_is_the_same_bytes_every_time():
    features = [number_histogram("a", shift=0.2)]
    assert figures.histograms(features) == figures.histograms(features)


def test_a_markdown_image_can_not_be_broken_by_its_text():
    image = figures.as_markdown_image(b"PNG", "a](http://x) <b>\nc")
    assert image == r"![a\](http://x) \<b\> c](data:image/png;base64,UE5H)"


def test_importing_the_figures_does_not_import_matplotlib():
    code = (
        "import sys, mlops_assets.reports.figures, mlops_assets.reports.html;"
        "sys.exit(bool({'matplotlib', 'jinja2', 'sklearn', 'dagster'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_no_figure_touches_the_state_of_pyplot():
    figures.importances(["a"], [1.0])
    assert "matplotlib.pyplot" not in sys.modules or not sys.modules["matplotlib.pyplot"].get_fignums()


def slice_row(value: str, accuracy: float | None, **more) -> figures.SliceRow:
    interval = {} if accuracy is None else {"accuracy_low": accuracy - 0.02, "accuracy_high": accuracy + 0.02}
    return {"feature": "carrier", "value": value, "n_rows": 1234, "metrics": {"accuracy": accuracy, **interval, **more}}


@pytest.mark.parametrize("n_slices", [1, 19, 200])
def test_slices_have_a_line_each_up_to_a_limit(n_slices):
    rows = [slice_row(f"v{number}", 0.9, constant_accuracy=0.76) for number in range(n_slices)]
    assert size_of(figures.accuracy_by_slice(rows, overall=0.89)) == (WIDTH, 90 + 24 * min(n_slices, 40))


def test_a_degenerate_or_hostile_slice_is_still_drawn_and_none_says_so():
    rows = [
        slice_row(HOSTILE, 1.0, constant_accuracy=None),
        slice_row("b", 0.0, accuracy_low=np.nan),
        slice_row("undefined", None),
    ]
    assert size_of(figures.accuracy_by_slice(rows))[0] == WIDTH
    assert size_of(figures.accuracy_by_slice([])) == (WIDTH, 120)


def test_an_estimate_is_drawn_where_there_is_no_accuracy_yet():
    points = [*accuracy_points(3), {"start": STARTS[3], "estimate": 0.9}]
    assert pixels_of(figures.accuracy_over_time(points)) > 0
    assert pixels_of(figures.accuracy_over_time(accuracy_points(3))) == 0
