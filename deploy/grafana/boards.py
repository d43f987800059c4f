"""Write the two Grafana boards: `python deploy/grafana/boards.py`. A test holds the files against this."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
SCHEMA = 39
WIDTH = 24
ACCOUNT = '{account=~"$account"}'

# (title, unit, [(expression, legend)], width)
Panel = tuple[str, str, Sequence[tuple[str, str]], int]

SYSTEM: Sequence[Panel] = (
    ("Redis answers", "bool_yes_no", [("sendmill_up", "")], 4),
    ("Open alerts", "none", [("count(sendmill_alert_open) or vector(0)", "")], 4),
    ("A beat leads", "bool_yes_no", [("sendmill_beat_up", "")], 4),
    ("Since the last tick", "s", [("sendmill_tick_age_seconds", "")], 4),
    ("Clocks differ by", "s", [("sendmill_clock_skew_seconds", "")], 4),
    ("Redis memory", "percentunit", [("sendmill_redis_memory_ratio", "")], 4),
    ("Recipients a second", "short", [("sum by (account) (rate(sendmill_recipients_total[1m]))", "{{account}}")], 12),
    ("Backlog", "short", [("sum by (account) (sendmill_backlog_messages)", "{{account}}")], 12),
    ("Calls by outcome", "short", [("sum by (outcome) (rate(sendmill_calls_total[1m]))", "{{outcome}}")], 12),
    (
        "Use of the limit that binds",
        "percentunit",
        [("sendmill_limit_used / sendmill_limit_allowed", "{{account}} {{limit}}")],
        12,
    ),
    ("Until all is sent", "s", [("sendmill_backlog_drain_seconds", "{{account}} {{lane}}")], 12),
    ("Oldest waiting", "s", [("sendmill_backlog_oldest_seconds", "{{account}} {{lane}}")], 12),
    (
        "Half of the messages wait for, 95 of 100",
        "s",
        [
            (
                f"histogram_quantile({q}, sum by (le, lane) (rate(sendmill_wait_seconds_bucket[5m])))",
                f"{{{{lane}}}} {q:g}",
            )
            for q in (0.5, 0.95)
        ],
        12,
    ),
    (
        "Delivered by carrier, of what is reported",
        "percentunit",
        [
            (
                'sum by (carrier) (increase(sendmill_carrier_reports_total{state="delivered"}[1h])) / sum by (carrier) (increase(sendmill_carrier_reports_total[1h]))',
                "{{carrier}}",
            )
        ],
        12,
    ),
    ("Unconfirmed calls", "short", [("sendmill_unconfirmed_calls", "{{account}}")], 8),
    ("Reports not folded", "short", [("sendmill_inbox_entries", "{{account}}")], 8),
    ("Events not read", "short", [("sendmill_events_lag_entries", "{{group}} at {{account}}")], 8),
    ("Processes", "short", [("sendmill_processes", "{{kind}}"), ("sendmill_queue_processes", "queue {{queue}}")], 12),
    ("Found by sweeps", "short", [("increase(sendmill_sweeps_total[1h])", "{{kind}}")], 12),
)

ONE: Sequence[Panel] = (
    ("State", "none", [(f"sendmill_account_state{ACCOUNT} == 1", "{{state}}")], 6),
    ("Open alerts", "none", [(f"sendmill_alert_open{ACCOUNT}", "{{code}}")], 6),
    ("Balance", "short", [(f"sendmill_balance{ACCOUNT}", "{{unit}}")], 6),
    ("Oldest unconfirmed", "s", [(f"sendmill_unconfirmed_oldest_seconds{ACCOUNT}", "")], 6),
    ("Backlog by lane", "short", [(f"sendmill_backlog_messages{ACCOUNT}", "{{lane}}")], 12),
    (
        "Limit",
        "short",
        [(f"sendmill_limit_used{ACCOUNT}", "used of {{limit}}"), (f"sendmill_limit_allowed{ACCOUNT}", "allowed")],
        12,
    ),
    ("Calls by outcome", "short", [(f"sum by (outcome) (rate(sendmill_calls_total{ACCOUNT}[1m]))", "{{outcome}}")], 12),
    ("Calls open", "short", [(f"sendmill_calls_in_flight{ACCOUNT}", "")], 12),
    ("Errors by code", "short", [(f"topk(10, increase(sendmill_call_errors_total{ACCOUNT}[10m]))", "{{code}}")], 12),
    (
        "A call takes",
        "s",
        [
            (
                f"histogram_quantile({q}, sum by (le, service) (rate(sendmill_call_duration_seconds_bucket{ACCOUNT}[5m])))",
                f"{{{{service}}}} {q:g}",
            )
            for q in (0.5, 0.95)
        ],
        12,
    ),
    *(
        (
            title,
            "s",
            [
                (
                    f"histogram_quantile({q}, sum by (le, lane) (rate({metric}_bucket{ACCOUNT}[{over}])))",
                    f"{{{{lane}}}} {q:g}",
                )
                for q in (0.5, 0.95)
            ],
            12,
        )
        for title, metric, over in (
            ("Messages wait for", "sendmill_wait_seconds", "5m"),
            ("From the vendor's answer to the report", "sendmill_delivery_seconds", "1h"),
        )
    ),
    (
        "Messages by state",
        "short",
        [(f"sum by (state) (rate(sendmill_messages_ended_total{ACCOUNT}[5m]))", "{{state}}")],
        12,
    ),
    (
        "Delivered, of what is reported",
        "percentunit",
        [
            (
                f'sum(rate(sendmill_reports_total{{account=~"$account", state="delivered"}}[1h])) / sum(rate(sendmill_reports_total{ACCOUNT}[1h]))',
                "",
            )
        ],
        12,
    ),
)


def board(title: str, uid: str, panels: Sequence[Panel], *, variable: bool) -> dict[str, Any]:
    """A board of panels, row by row; single numbers stand in the first row."""
    placed: list[Mapping[str, Any]] = []
    x = y = 0
    for number, (name, unit, targets, width) in enumerate(panels, 1):
        height = 4 if width < 8 else 8
        if x + width > WIDTH:
            x, y = 0, y + placed[-1]["gridPos"]["h"]
        placed.append(
            {
                "id": number,
                "type": "stat" if width < 8 else "timeseries",
                "title": name,
                "datasource": {"type": "prometheus", "uid": "${datasource}"},
                "gridPos": {"x": x, "y": y, "w": width, "h": height},
                "fieldConfig": {"defaults": {"unit": unit, "min": 0}, "overrides": []},
                "targets": [
                    {"refId": chr(65 + place), "expr": expr, "legendFormat": legend or "__auto"}
                    for place, (expr, legend) in enumerate(targets)
                ],
            }
        )
        x += width
    variables: list[dict[str, Any]] = [{"name": "datasource", "type": "datasource", "query": "prometheus"}]
    if variable:
        query = "label_values(sendmill_account_state, account)"
        source = {"type": "prometheus", "uid": "${datasource}"}
        variables.append({"name": "account", "type": "query", "datasource": source, "query": query, "refresh": 2})
    return {
        "uid": uid,
        "title": title,
        "schemaVersion": SCHEMA,
        "editable": True,
        "refresh": "10s",
        "time": {"from": "now-3h", "to": "now"},
        "tags": ["sendmill"],
        "templating": {"list": variables},
        "panels": placed,
    }


def boards() -> dict[str, dict[str, Any]]:
    """By file name."""
    return {
        "system.json": board("sendmill: system", "sendmill-system", SYSTEM, variable=False),
        "account.json": board("sendmill: account", "sendmill-account", ONE, variable=True),
    }


if __name__ == "__main__":
    for name, told in boards().items():
        (HERE / name).write_text(json.dumps(told, indent=1) + "\n", "utf-8")
