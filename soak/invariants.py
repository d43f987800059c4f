"""Promises, for each the line of code that keeps it, and the test that fails without that line.

A mutation takes the line out, or turns it round, in a copy of the tree: `soak.mutations` then demands that the test
fails.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

PROMISES: Final[Mapping[int, str]] = {
    1: "`send` returns only after Redis has the whole job; what Redis cannot keep is refused",
    2: "no call without lease, slot and tokens; limits hold over all processes",
    3: "one script checks and marks before the wire; one misfit marks nothing; what was on the wire is not sent again",
    4: "only what was certainly not sent is sent again",
    5: "what a vendor gives once is stored before it is acknowledged; no poll without a write just before",
    6: "reports may come early, late, twice, out of order; one of no known call settles only the row that fits alone",
    7: "one poller at a time, never closer than the vendor's interval",
    8: "nothing secret or personal in logs, errors or keys",
    9: "otp goes first",
    10: "memory is flat in the length of a job",
    13: "a webhook's receiver is told everything, in order, what it hears twice under the same id; nobody else is",
}


@dataclass(frozen=True, slots=True)
class Mutation:
    """`old` stands once in `file` and becomes `new`; `line` says what that line does. `test` is a pytest id."""

    promise: int
    file: str
    old: str
    new: str
    line: str
    test: str


MUTATIONS: Final[Sequence[Mutation]] = (
    Mutation(
        1,
        "sendmill/handover/sending.py",
        "            self._check_fsync()\n",
        "            pass\n",
        "asks whether the server runs `appendfsync always`",
        "tests/integration/test_client_send.py::test_durability_fsync_needs_a_server_that_keeps_it",
    ),
    Mutation(
        1,
        "sendmill/ledger/lua/commit.lua",
        "    if redis.call('PERSIST', chunk(n)) == 0 and redis.call('EXISTS', chunk(n)) == 0 then\n",
        "    if redis.call('PERSIST', chunk(n)) == 7 then\n",
        "no job while one of its chunks is gone",
        "tests/integration/test_client_send.py::test_an_upload_whose_chunk_is_gone_is_no_job",
    ),
    Mutation(
        2,
        "tasks/send/lua/begin.lua",
        "  if wait > 0 then\n",
        "  if false then\n",
        "a call waits while a limit has no room",
        "tests/integration/test_throttle.py::test_two_processes_together_never_pass_the_limit",
    ),
    Mutation(
        2,
        "tasks/send/lua/begin.lua",
        "taken + granted >= most_open",
        "false",
        "a call waits while every slot is taken",
        "tests/integration/test_throttle.py::test_one_call_at_a_time_is_one_over_all_processes",
    ),
    Mutation(
        2,
        "tasks/send/lua/begin.lua",
        "s.epoch ~= rows[2] or leased_until(s) <= now",
        "s.epoch ~= rows[2]",
        "a lease that has run out is none",
        "tests/integration/test_outbox.py::test_an_owner_whose_lease_ran_out_marks_nothing_even_before_the_sweep",
    ),
    Mutation(
        3,
        "tasks/send/lua/begin.lua",
        "then return s.id, 'row' end",
        "then return nil end",
        "every row named must be `queued`",
        "tests/integration/test_outbox.py::test_one_row_that_is_not_queued_marks_nothing_of_its_call",
    ),
    Mutation(
        3,
        "tasks/keep/lua/sweep.lua",
        "s.duplicates_ok and 'q' or 'u', now",
        "'q', now",
        "a call without an answer leaves its rows `unconfirmed`",
        "tests/integration/test_outbox.py::"
        "test_what_was_on_the_wire_at_a_crash_becomes_unconfirmed_and_the_rest_goes_out_again",
    ),
    Mutation(
        4,
        "tasks/send/submit.py",
        "state = State.QUEUED if duplicates_ok else State.UNCONFIRMED",
        "state = State.QUEUED",
        "an unknown outcome is `unconfirmed`, not sent again",
        "tests/integration/test_outcomes.py::test_an_answer_that_cannot_be_read_leaves_messages_unconfirmed",
    ),
    Mutation(
        5,
        "workers/receiver.py",
        "            await self._store(account, entry_of_push(kept, proof))\n",
        "",
        "a push is stored before it is acknowledged",
        "tests/integration/test_push.py::test_a_push_is_stored_raw_and_acknowledged_as_its_vendor_expects",
    ),
    Mutation(
        6,
        "tasks/report/lua/fold.lua",
        "    elseif YIELDS[old] and old ~= new",
        "    elseif old ~= new",
        "a final state yields to nothing but late truth",
        "tests/integration/test_reports.py::test_order_and_number_of_reports_make_no_difference",
    ),
    Mutation(
        6,
        "tasks/report/unmatched_reports.py",
        "or len(fitting) != 1 or",
        "or not fitting or",
        "a report without a call settles a row only where it is the one that fits",
        "tests/integration/test_unmatched_reports.py::test_two_unconfirmed_rows_of_one_number_are_settled_by_nobody",
    ),
    Mutation(
        6,
        "tasks/send/lua/finish.lua",
        "if call.unknown then",
        "if false then",
        "what goes again without an answer counts among those that fit",
        "tests/integration/test_unmatched_reports.py::test_a_report_that_may_be_of_a_message_that_goes_again_settles_no_other",
    ),
    Mutation(
        7,
        "tasks/report/lua/pollbegin.lua",
        "if left > 0 then return { 'wait', left } end\n",
        "",
        "no poll while the interval runs",
        "tests/integration/test_poll.py::test_however_many_poll_an_address_is_asked_at_its_pace",
    ),
    Mutation(
        7,
        "tasks/report/lua/pollbegin.lua",
        "if redis.call('EXISTS', lock) == 1 then return { 'busy', 0 } end\n",
        "",
        "no poll while another is under way",
        "tests/integration/test_poll.py::test_a_slow_answer_is_not_overtaken",
    ),
    Mutation(
        8,
        "config/redaction.py",
        "            text = self._secrets.sub(REMOVED, text)\n",
        "            pass\n",
        "secrets are taken out of every line",
        "tests/unit/test_logging.py::test_a_secret_never_survives",
    ),
    Mutation(
        8,
        "config/redaction.py",
        "return _NUMBER.sub(_masked, _GROUPED.sub(_masked_group, self._without_secrets(text)))",
        "return self._without_secrets(text)",
        "numbers are masked in every line",
        "tests/unit/test_logging.py::test_a_whole_number_never_survives",
    ),
    Mutation(
        9,
        "tasks/send/lua/claim.lua",
        "  if waits('otp') then return 'otp' end\n",
        "",
        "otp is claimed before everything",
        "tests/integration/test_outbox.py::"
        "test_otp_is_claimed_before_everything_and_normal_four_times_as_often_as_bulk",
    ),
    Mutation(
        10,
        "tasks/send/claimed.py",
        "        return rows < max(2 * self._most_open, largest)\n",
        "        return True\n",
        "a drain claims no more than it can send",
        "tests/integration/test_worker_memory.py::test_a_drain_holds_no_more_of_a_long_job_than_it_can_send",
    ),
    Mutation(
        10,
        "sendmill/preparing/prepare.py",
        "recipients = (content.to,) if isinstance(content.to, str) else content.to\n",
        "recipients = (content.to,) if isinstance(content.to, str) else "
        "[each for each, _ in zip(content.to, range(50_000))]\n",
        "recipients are streamed",
        "tests/unit/test_prepare.py::test_rows_are_streamed",
    ),
    Mutation(
        13,
        "web/webhooks/one_webhook.py",
        '        self._batch = batch_decoder.decode(state[b"batch"]) if b"batch" in state else None\n',
        "        self._batch = None\n",
        "who takes over tells what was under way under its id",
        "tests/web/test_webhook_kills.py::test_whoever_is_killed_in_the_middle_loses_nothing",
    ),
    Mutation(
        13,
        "web/webhooks/one_webhook.py",
        "            except RedisAway:\n                await asyncio.sleep(_AWAY_S)\n",
        "            except RedisAway:\n                raise\n",
        "an answer that was read is written however long Redis is away",
        "tests/web/test_webhook_kills.py::test_who_said_200_is_not_told_again_though_redis_was_away",
    ),
    Mutation(
        13,
        "web/webhooks/posting.py",
        "    if not is_public(place[0]):\n",
        "    if False:\n",
        "no socket leads into a private network",
        "tests/web/test_webhooks.py::test_no_spelling_of_a_private_address_gets_a_connection",
    ),
    Mutation(
        13,
        "web/webhooks/posting.py",
        "allow_redirects=False",
        "allow_redirects=True",
        "no redirect is followed",
        "tests/web/test_webhooks.py::test_what_was_not_taken_is_told_again_under_the_same_id",
    ),
)
