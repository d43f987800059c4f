"""Names of all keys. Everything under the namespace; what one script must see together shares a hash tag.

Jobs share the tag `{jobs}`; each account has its own tag, so that accounts can live on different shards. No key holds a
number, a text or a secret.

Job keys (under `<namespace>:{jobs}:`)

=================== ======= ==========================================================================================
key                 type    holds
=================== ======= ==========================================================================================
job:<job>           hash    meta (msgpack JobMeta), accepted, failed, suppressed (rows, where there are any), chunks
                            (where they are not one), planned (chunks), segments, cost:<currency>, key, cancelled, slice
                            (msgpack [account, rows, its page where it lies in one], where one chunk became one slice),
                            ahead_ms (Redis' clock before the producer's), forgot (how often somebody was taken out of
                            its chunks)
job:<job>:woken     string  a plan of the job was asked for
job:<job>:planning  string  token of the process that plans it
chunk:<job>:<n>     string  rows of an upload (msgpack Chunk); goes once it is planned
cut:<job>           hash    chunk number → msgpack Cut, stored once: a second plan repeats it; page: the only row's
pages               hash    account → rows that were given a place in a page, ms since which its last page is filled
slices:<job>        list    msgpack [account, slice id, rows that `send` had accepted], chunk by chunk; none where the
                            job's hash has `slice`
moved:<job>         hash    slice id → msgpack [account, slice id, rows]: slices to which rows of others were moved
due                 zset    job → ms since the epoch at which it is to be planned
small, small:otp    zset    job → ms at which it is to be planned, of those of up to 100 rows, which are planned
                            together; they stand in `due` too
taking              string  token of the process that plans them now: see `tasks/plan/lua/take.lua`
woken               string  a wake-up for them is under way
all                 zset    job → ms of its creation
kept                zset    job → ms of the last change that is known, of jobs that changed long after they were made:
                            when they may go is reckoned from there
key:<digest>        string  job id and content digest of an idempotency key
accounts            hash    account → JSON of what workers publish (never credentials)
routes              string  JSON of the routes, as workers publish them
listed_since        string  ms since which all slices of new jobs stand in `horizon` or `given_up` of their account
format              string  the format that workers write, and the oldest that they read: see `sendmill.ledger.format`
pressure            string  whether the server had room for new jobs, for half a second: see `ledger/lua/pressure.lua`
processes           zset    sending process → ms of its last heartbeat
living              hash    process → JSON of what it says of itself every second: see `sendmill.ledger.processes`
ticked              string  ms of the clock's last tick
check_numbers       string  what a number has to be where a job does not say it: assigned or possible
replicas            string  how many replicas have to confirm a job before `send` returns, where workers ask for any
marks               hash    run id of the server → ms (its clock) at which a sending process was last heard
ready               string  written to see whether Redis takes anything; a minute
clock:<task>        string  token of the process that does this step of the clock now
forgets             hash    request → a number that every process is to forget now; at most a minute
forgot:<id>         list    JSON answers to one of them: process, files that it removed
awaited:<run id>    set     processes that have not written again yet what a Redis of another run id lost; and ""
sweeps              hash    sweep → how much it found in all, <sweep>:at → ms of the last time, scanned → where the
                            search for chunks without a job goes on, looked_at → ms up to which all jobs that were
                            made were looked at to be removed
requests            list    JSON requests of the command line that need credentials: id, kind, account
asked:<id>          string  JSON: what one of them is about; at most a minute
answer:<id>         list    the JSON answer to one of them
apikeys             hash    id → JSON ApiKey: see `sendmill.access.apikeys`. Of its secrets SHA-256 alone
apikeys:used        hash    id → ms when it was used last, within a minute
apikey:<id>:…       list,   used:<limit> and clock of a key that has rates, as those of an account
                    hash
media:<name>        string  a file that a vendor is to fetch from the push server; a quarter of an hour
audit               stream  who did what: see `sendmill.ledger.audit`; capped
optouts             hash    keyed digest of a number → msgpack StoredOptOut
optouts:log         zset    that digest → version of its last change, also where it opted in again
optouts:version     string  how many changes there were: each is a version
optouts:key         string  32 random bytes, made once: without them no digest tells its number
webhooks            hash    webhook → JSON of what it was set up with, its secrets too: see `sendmill.webhooks.client`
webhook:<name>      hash    how far its receiver was told: at:<account>, batch, tries, …: see `sendmill.ledger.webhooks`
webhook:<name>:told list    JSON of what was delivered, or tried; the last 500
webhook:<name>:lock string  token of the process that tells it
callbacks:at        hash    up to where events were looked through for callbacks: at:<account>
callbacks:due       zset    callback → ms when it is to be made: its ref and its event, or message
callbacks:tries     hash    callback → how often it was tried in vain
callbacks:lock      string  token of the process that looks through the events for them
callback:<ref>      string  JSON: where to, and how it is signed; as long as its job may tell something
=================== ======= ==========================================================================================

Account keys (under `<namespace>:{<account>}:`)

=================== ======= ==========================================================================================
state               hash    state (active, paused, suspended), why, by, reason (of a person's pause), since_ms,
                            last_error, limit:<name> (an operator's),
                            least:<name> (the strictest that a worker is configured for), tag, balance…,
                            quiet:<lane> (ms until which what waited in it is postponed for quiet hours), probes,
                            probe_ms, barred:<host>, probes:<host>, probe_ms:<host> (`tasks/account/lua/suspend.lua`)
s:<slice>           string  a slice: see `sendmill.ledger.slices`
p<n>                hash    job → its only slice, folded, of up to 64 jobs of one message: see `sendmill.ledger.pages`
d:<slice>           hash    row offset → msgpack Detail, only where there is something to tell
m:<slice>           hash    slice id → msgpack [account, first, last, …]: where rows of this slice were moved to
moving              hash    slice id → msgpack Move (`tasks.failover.begin_move`): on its way to another account
h:<slice>           list    msgpack Attempt, only of attempts that were not simply accepted; capped
o:<slice>           set     earlier calls that neither its rows nor `h` name
out:<lane>          zset    slice → virtual start: the outbox
turn                hash    virtual times of lanes and jobs
wait                zset    slice → ms when it goes back to its outbox
inflight            zset    slice → ms when its lease runs out
calls               string  the last call number given out
call:<n>            hash    an open call: rows, owner, service, times
open                zset    open call → ms when its answer can no longer come
past:<n // 64>      hash    n % 64 → an ended call, s → names of slices: see `ledger/lua/past.lua`
ref:<span>:<n>      hash    vendor message id, packed → call: see `sendmill.ledger.refs`
refs                hash    span of calls → ids of vendors that are kept of them
ask                 zset    call → ms when the vendor is to be asked what became of it
slots:<service>     zset    call → ms when its slot is free again at the latest
cap:<digest>        string  what went lately to a number, or of a text to a number, under a keyed digest: ms, mark and
                            message of each; lives as long as the longest window that counts it
used:<limit>        list    sliding log: "ms count" entries
unwritten           zset    call under limits of which nobody has said yet that it was written → ms of its grant
counters            hash    what `sendmill metrics` tells: rows:<lane>:<state>, call:<service>:<state>, code:<code>,
                            took:<service>:<bucket>, took_ms:<service>, wait:<lane>:<bucket>, wait_ms:<lane>,
                            delivery:<lane>:<bucket>, delivery_ms:<lane>, report:<state>, reason:<state>:<code> and
                            carrier:<state>:<carrier> of reports; came:<lane> rows, calls:<lane> that were taken; undone
                            calls that a sweep had counted; and what waits: waiting:<lane> rows
minute:<n>          hash    of what was counted in a minute (since the epoch) the same, but no histograms; 49 hours
hour:<n>            hash    the minutes of an hour (since the epoch) together, once it is over; 8 days
hours               string  the last hour of which that was done
clock               hash    last (latest ms seen), sum:<limit>, pace:<limit>, otp (ms until which otp waits), cool (ms
                            until which nothing goes), failed, broken, broken_ms, trial (`tasks/send/lua/finish.lua`),
                            run_id of the server, restarted (ms when it was first seen), quarantine (ms until which no
                            call is granted)
workers             hash    process → msgpack [ms when it was heard, what its configuration allows]
seats               zset    process that drains this account → ms when its seat runs out
woken               string  a wake-up is under way
cancelled           set     jobs that were cancelled
unconfirmed         zset    call whose answer was never read → ms when it began
resent              zset    call without an answer whose rows go again → ms when it began
sweeps              hash    as that of the jobs
horizon             zset    slice, or page → ms when what is still open in it is given up
given_up            zset    slice, or page → ms when that was done; until it is removed
inbox               stream  raw polls and pushes until they are folded
proof:<mark>:<sha1> string  that a push came under a vendor's proof, for as long as the proof is good
inbox_bytes         string  what the entries of `inbox` take, roughly
bad                 stream  what came and could not be read, raw, for a person; capped
early               zset    msgpack report that matches nothing yet → ms when it is tried again
heard               zset    digest of a reply → ms until which it counts as the same reply when it comes again
events              stream  what consumers read: see `sendmill.events`
groups              hash    what groups of consumers have read and lost: see `ledger/lua/events.lua`
replies             stream  the account's replies, for `sendmill replies`
polled:<name>       string  exists while the vendor's interval since the last poll runs
lock:<name>         string  token of the process that does `name` now
alerts              hash    alert code → JSON of the open alert: detail, opened_ms, causes
to_post             list    JSON of alerts that opened or were resolved, until `alert_url` has them; the last 200
=================== ======= ==========================================================================================
"""

from __future__ import annotations

SMALL, SMALL_OTP = "small", "small:otp"
"""Sets of small jobs, without the prefix: those of the lane otp have one of their own."""

READY_KEPT_MS = 60_000
"""What is written to `ready`, to see whether Redis takes anything, goes after this."""

REFUSED = "-"
"""The account under which rows lie that never reached one: refused by `send` or by planning."""

_PAST_SHIFT = 6


class JobKeys:
    """Keys that belong to jobs and to the system as a whole."""

    def __init__(self, namespace: str) -> None:
        self._prefix = f"{namespace}:{{jobs}}:"
        self.due = self._prefix + "due"
        self.small = self._prefix + SMALL
        self.small_otp = self._prefix + SMALL_OTP
        self.taking = self._prefix + "taking"
        self.all = self._prefix + "all"
        self.kept = self._prefix + "kept"
        self.accounts = self._prefix + "accounts"
        self.routes = self._prefix + "routes"
        self.pages = self._prefix + "pages"
        self.listed_since = self._prefix + "listed_since"
        self.format = self._prefix + "format"
        self.processes = self._prefix + "processes"
        self.living = self._prefix + "living"
        self.ticked = self._prefix + "ticked"
        self.ready = self._prefix + "ready"
        self.replicas = self._prefix + "replicas"
        self.check_numbers = self._prefix + "check_numbers"
        self.marks = self._prefix + "marks"
        self.forgets = self._prefix + "forgets"
        self.sweeps = self._prefix + "sweeps"
        self.requests = self._prefix + "requests"
        self.chunks = self._prefix + "chunk:"
        self.apikeys = self._prefix + "apikeys"
        self.apikeys_used = self._prefix + "apikeys:used"
        self.audit = self._prefix + "audit"
        self.optouts = self._prefix + "optouts"
        self.optouts_log = self._prefix + "optouts:log"
        self.optouts_version = self._prefix + "optouts:version"
        self.optouts_key = self._prefix + "optouts:key"
        self.webhooks = self._prefix + "webhooks"
        self.callbacks = self._prefix + "callbacks"

    def job(self, job_id: str) -> str:
        """The job's hash."""
        return f"{self._prefix}job:{job_id}"

    def chunk(self, job_id: str, number: int) -> str:
        """An uploaded chunk, counted from 0."""
        return f"{self.chunks}{job_id}:{number}"

    def cut(self, job_id: str) -> str:
        """How each chunk was cut."""
        return f"{self._prefix}cut:{job_id}"

    def slices(self, job_id: str) -> str:
        """The job's slices."""
        return f"{self._prefix}slices:{job_id}"

    def moved(self, job_id: str) -> str:
        """Slices to which rows of the job's other slices were moved."""
        return f"{self._prefix}moved:{job_id}"

    def clock(self, task: str) -> str:
        """Held by the one process that does a step of the clock."""
        return f"{self._prefix}clock:{task}"

    def key(self, digest: str) -> str:
        """An idempotency key, by its digest."""
        return f"{self._prefix}key:{digest}"

    def answer(self, request_id: str) -> str:
        """Where a worker puts the answer to a request."""
        return f"{self._prefix}answer:{request_id}"

    def asked(self, request_id: str) -> str:
        """What a request is about."""
        return f"{self._prefix}asked:{request_id}"

    def forgot(self, request_id: str) -> str:
        """Where processes say that they have forgotten a number."""
        return f"{self._prefix}forgot:{request_id}"

    def media(self, name: str) -> str:
        """A file that a vendor is to fetch from the push server."""
        return f"{self._prefix}media:{name}"

    def callback(self, ref: str) -> str:
        """Where the callbacks of a job lead that a façade took."""
        return f"{self._prefix}callback:{ref}"

    def webhook(self, name: str) -> str:
        """How far a webhook's receiver was told; what else belongs to it begins with this name."""
        return f"{self._prefix}webhook:{name}"


class AccountKeys:
    """Keys that belong to one account."""

    def __init__(self, namespace: str, account: str) -> None:
        self.account = account
        self.namespace = namespace
        self.prefix = f"{namespace}:{{{account}}}:"
        self.state = self.prefix + "state"
        self.turn = self.prefix + "turn"
        self.wait = self.prefix + "wait"
        self.inflight = self.prefix + "inflight"
        self.calls = self.prefix + "calls"
        self.open = self.prefix + "open"
        self.ask = self.prefix + "ask"
        self.clock = self.prefix + "clock"
        self.unwritten = self.prefix + "unwritten"
        self.seats = self.prefix + "seats"
        self.woken = self.prefix + "woken"
        self.cancelled = self.prefix + "cancelled"
        self.unconfirmed = self.prefix + "unconfirmed"
        self.resent = self.prefix + "resent"
        self.refs = self.prefix + "refs"
        self.sweeps = self.prefix + "sweeps"
        self.horizon = self.prefix + "horizon"
        self.given_up = self.prefix + "given_up"
        self.inbox = self.prefix + "inbox"
        self.inbox_bytes = self.prefix + "inbox_bytes"
        self.bad = self.prefix + "bad"
        self.unmatched = self.prefix + "early"
        self.replies_told = self.prefix + "heard"
        self.events = self.prefix + "events"
        self.groups = self.prefix + "groups"
        self.counters = self.prefix + "counters"
        self.hours = self.prefix + "hours"
        self.replies = self.prefix + "replies"
        self.alerts = self.prefix + "alerts"
        self.moving = self.prefix + "moving"
        self.to_post = self.prefix + "to_post"

    def slice(self, slice_id: str) -> str:
        """A slice."""
        return f"{self.prefix}s:{slice_id}"

    def page(self, name: str) -> str:
        """Slices of one row that lie together: see `sendmill.ledger.pages`."""
        return self.prefix + name

    def details(self, slice_id: str) -> str:
        """What there is to tell about single rows of a slice."""
        return f"{self.prefix}d:{slice_id}"

    def moved(self, slice_id: str) -> str:
        """Where rows of a slice were moved to."""
        return f"{self.prefix}m:{slice_id}"

    def history(self, slice_id: str) -> str:
        """Attempts on rows of a slice that were not simply accepted."""
        return f"{self.prefix}h:{slice_id}"

    def earlier(self, slice_id: str) -> str:
        """Earlier calls of rows of a slice that nothing else names."""
        return f"{self.prefix}o:{slice_id}"

    def out(self, lane: str) -> str:
        """The outbox of a lane."""
        return f"{self.prefix}out:{lane}"

    def call(self, number: int) -> str:
        """An open call."""
        return f"{self.prefix}call:{number}"

    def past(self, number: int) -> str:
        """The hash in which an ended call is kept."""
        return f"{self.prefix}past:{number >> _PAST_SHIFT}"

    def minute(self, minute: int) -> str:
        """What was counted in a minute since the epoch."""
        return f"{self.prefix}minute:{minute}"

    def hour(self, hour: int) -> str:
        """What was counted in an hour since the epoch that is over."""
        return f"{self.prefix}hour:{hour}"

    @staticmethod
    def past_field(number: int) -> int:
        """Its field there."""
        return number & (1 << _PAST_SHIFT) - 1

    def slots(self, service: str) -> str:
        """The slots in use of a service."""
        return f"{self.prefix}slots:{service}"

    @staticmethod
    def cap_name(digest: str) -> str:
        """The log of what went lately to one place, by its digest, without the account's prefix."""
        return f"cap:{digest}"

    def used(self, limit: str) -> str:
        """The sliding log of a limit."""
        return f"{self.prefix}used:{limit}"

    def polled(self, name: str) -> str:
        """Exists while the vendor's interval since the last poll of an address runs."""
        return f"{self.prefix}polled:{name}"

    def media(self, digest: str) -> str:
        """What a file is called at the vendor, and by that name what is known of it; as long as the vendor keeps it."""
        return f"{self.prefix}media:{digest}"

    def lock(self, name: str) -> str:
        """Held by the one process that does `name` now."""
        return f"{self.prefix}lock:{name}"
