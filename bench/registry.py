"""Everything that is measured, in this order: a line each. The document has the chapters in the same order."""

from __future__ import annotations

from typing import Final

from bench.section import Section
from bench.sections import (
    batch,
    eta,
    hostile,
    http,
    keeping,
    lanes,
    ledger,
    limit,
    pages,
    producer,
    profile,
    replicas,
    reports,
    scaling,
    shares,
    singles,
    stalls,
    unique,
    vendor_alone,
)

SECTIONS: Final[tuple[Section, ...]] = (
    vendor_alone.SECTION,
    unique.SECTION,
    producer.SECTION,
    singles.SECTION,
    keeping.SECTION,
    ledger.SECTION,
    profile.SECTION,
    limit.SECTION,
    stalls.SECTION,
    lanes.SECTION,
    shares.SECTION,
    scaling.SECTION,
    batch.SECTION,
    replicas.SECTION,
    reports.SECTION,
    hostile.SECTION,
    http.SECTION,
    eta.SECTION,
    pages.SECTION,
)
