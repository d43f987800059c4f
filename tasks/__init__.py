"""The flow: what workers do with a job, one folder a step. Each folder has its Lua scripts beside it.

The way of a message, with what a `kill -9` of the process does at each step:

    plan/       a job's rows get their accounts and are copied there as slices.
                Dies: the job still stands in `due`; the next tick plans the rest.
    send/       slices are claimed under a lease, rows packed into calls, the gate asked (`send/lua/begin.lua`, with the
                limits of `sendmill/ledger/lua/throttle.lua`), the request sent (`send/submit.py`), its outcome written.
                Dies before the gate: the lease runs out and the rows go out again. After it: nobody knows whether the
                vendor has them; they become `unconfirmed` and are not sent again.
    report/     the vendor's word is polled or pushed, stored raw, matched to its row, folded into it.
                Dies: what is stored is read again; what is folded twice changes nothing.

What happens beside it:

    account/    an account's health: alerts, suspension, probes, which lanes look for another account
    failover/   what an account in trouble has certainly not sent goes to another one
    keep/       what time decides: the tick brings back what a crash left (`keep/tick.py`, `keep/lua/sweep.lua`),
                reports are given up, old jobs go (`keep/retire.py`)
    ask/        what a vendor is asked that is no message: balances, files to keep, sensitive words
    start/      a process begins; Redis came back or was replaced, and is told again what it may have lost
    process/    what one process has: its accounts, its connection to the ledger, heartbeat, locks, wake-ups

A folder imports only from folders further down in this list, and import-linter holds that: start, keep, then send,
report and failover (which know nothing of each other), plan, account, ask, process. A script is run by the modules of
its own folder alone.
"""
