"""Plot how training grows with the data, from what bench_train.py measured on a synthetic set.

for S in 0.05 0.1 0.25 0.5 1; do
    xmc datasets synth --like amazon-670k --scale $S --out sets/amazon-670k-$S
done
python benchmarks/bench_train.py sets --only xmc-balanced --json scale.json
python benchmarks/scale.py scale.json xmc-balanced benchmarks/scale.svg
"""

import argparse
import json
import math
from pathlib import Path

WIDTH, HEIGHT, MARGIN = 640, 400, 60
SERIES = {
    "train_s": ("seconds", "#1f6f8b"),
    "train_cpu_s": ("CPU seconds", "#99a8b2"),
    "peak_mb": ("MB", "#c8553d"),
}


def scale_of(name):
    """The scale at the end of a data set's name, as the commands above write it; 1 without one."""
    last = name.rpartition("-")[2]
    return float(last) if last.replace(".", "").isdigit() else 1.0


def svg(points):
    """Log-log lines of each series over the scale.

    Dashed lines show growth in proportion, drawn back from the last point.
    """
    values = [figures[key] for _, figures in points for key in SERIES]
    x_range, y_range = (points[0][0], points[-1][0]), (min(values), max(values))

    def place(value, low, high, length):
        return MARGIN + (length - 2 * MARGIN) * math.log(value / low) / math.log(high / low)

    def at(scale, value):
        return f"{place(scale, *x_range, WIDTH):.1f},{HEIGHT - place(value, *y_range, HEIGHT):.1f}"

    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" '
        f'font-family="sans-serif" font-size="12">'
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="white"/>'
    ]
    for key, (name, color) in SERIES.items():
        last_scale, last = points[-1][0], points[-1][1][key]
        line = " ".join(at(scale, figures[key]) for scale, figures in points)
        parts.append(f'<polyline points="{line}" fill="none" stroke="{color}" stroke-width="2"/>')
        start = max(points[0][0], last_scale * y_range[0] / last)
        ideal = f"{at(start, last * start / last_scale)} {at(last_scale, last)}"
        parts.append(
            f'<polyline points="{ideal}" fill="none" stroke="{color}" stroke-dasharray="3 4"/>'
        )
        for scale, figures in points:
            x, y = at(scale, figures[key]).split(",")
            above = f"{float(y) - 8:.1f}"
            parts.append(f'<circle cx="{x}" cy="{y}" r="3" fill="{color}"/>')
            parts.append(
                f'<text x="{x}" y="{above}" text-anchor="middle">{figures[key]:,.0f}</text>'
            )
        x, y = at(last_scale, last).split(",")
        parts.append(
            f'<text x="{float(x) + 8:.1f}" y="{float(y) + 14:.1f}" fill="{color}">{name}</text>'
        )
    for scale, _ in points:
        x = at(scale, y_range[0]).split(",")[0]
        parts.append(f'<text x="{x}" y="{HEIGHT - 20}" text-anchor="middle">{scale:g}</text>')
    caption = "share of the full size; dashed: in proportion"
    parts.append(
        f'<text x="{WIDTH / 2}" y="{HEIGHT - 4}" text-anchor="middle">{caption}</text></svg>'
    )
    return "\n".join(parts) + "\n"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("results", type=Path)
    parser.add_argument("configuration")
    parser.add_argument("svg", type=Path)
    args = parser.parse_args()
    found = json.loads(args.results.read_text())["data"]
    points = sorted(
        (scale_of(name), data["medians"][args.configuration]) for name, data in found.items()
    )
    print("| scale | " + " | ".join(name for name, _ in SERIES.values()) + " | P@1 | P@3 | P@5 |")
    print("|--:|" + "--:|" * (len(SERIES) + 3))
    for scale, figures in points:
        cells = [f"{figures[key]:,.1f}" for key in SERIES] + [
            f"{figures[f'P@{k}']:.2f}" for k in (1, 3, 5)
        ]
        print(f"| {scale:g} | {' | '.join(cells)} |")
    args.svg.write_text(svg(points))


if __name__ == "__main__":
    main()
