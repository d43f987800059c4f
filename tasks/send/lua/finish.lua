#!lua flags=allow-oom
-- include rows.lua
-- include past.lua
-- include histogram.lua
-- Write what became of calls: first into their records, then to the rows that still name them. Running it twice, or
-- late, changes nothing that a report or another call has decided since.
-- KEYS[1] the account's state hash
-- ARGV[1] msgpack [{what is not a DEFAULT of: no, state (s submitted, q queued again, u unconfirmed, r rejected, f failed), vmid, code, detail,
--         answer, ask_ms (0: never), back_ms (queued rows of a slice nobody leases wait that long),
--         cool_ms (nothing goes out of the account for that long), down_after (0: the vendor answered as it should;
--         n: it did not, and with n such calls in a row the breaker opens; -1: this says nothing about that),
--         limited (true: it was granted under limits), unreported (true: no report will follow),
--         unknown (true: q, and the vendor may have taken it: its report may still come),
--         refs: [[hash, vendor id, packed]], the call's own id first, apart: [[slice, offset, state, vmid, code]]}]
-- clock hash, the breaker: failed (calls in a row that the vendor did not answer as it should), broken (how often in a row
-- it opened; there while it is open), broken_ms (since when), trial (ms until which the one call that tries may take)
-- Returns the number of rows changed.

local now = clock_ms()
local changed = 0
local ended, ended_keys, ended_by_state = {}, {}, {} -- calls that were open
local unleased = {} -- slices of which nothing is on the wire or waits any more
local slots, unwritten = {}, {} -- and of these: by service; those under limits
local pasts, written = {}, {} -- by hash of the past, what goes into it; by call, what its record says
local recipients, largest = 0, 0

local FIRST_BROKEN_MS, LONGEST_BROKEN_MS, TOLD_AT = 1000, 30000, 4
local breaker = redis.call('HMGET', key('clock'), 'failed', 'broken', 'cool')
local failed, broken, cool = tonumber(breaker[1] or '0'), tonumber(breaker[2] or '0'), tonumber(breaker[3] or '0')

local function cool_for(ms)
  -- The longest wish of all calls holds.
  cool = math.max(cool, now + ms)
  redis.call('HSET', key('clock'), 'cool', cool)
end

local function close_breaker()
  if failed == 0 and broken == 0 then return end
  redis.call('HDEL', key('clock'), 'failed', 'broken', 'broken_ms', 'trial')
  if broken > 0 then
    set_alert('outage', 'the vendor takes calls again', false, now)
    local state = redis.call('HGET', key('state'), 'state')
    if not state or state == 'active' then
      redis.call('HDEL', key('state'), 'probes', 'probe_tried')
      set_alert('account_blocked', 'the vendor takes calls again', false, now)
    end
  end
  failed, broken = 0, 0
end

local function note_failure(call)
  if broken == 0 then
    failed = failed + 1
    redis.call('HSET', key('clock'), 'failed', failed)
    if failed < call.down_after then return end
    redis.call('HSET', key('clock'), 'broken_ms', math.floor(now))
  elseif cool > now then
    return -- one of those that were on the wire when it opened
  end
  broken = broken + 1
  redis.call('HSET', key('clock'), 'broken', broken)
  redis.call('HDEL', key('clock'), 'trial')
  cool_for(math.min(LONGEST_BROKEN_MS, FIRST_BROKEN_MS * 2 ^ (broken - 1)))
  if broken == TOLD_AT then set_alert('outage', call.detail, true, now) end
end

local DEFAULTS = {
  vmid = '', code = '', detail = '', answer = '', ask_ms = 0, back_ms = 0, cool_ms = 0, down_after = 0, limited = false,
  unreported = false, unknown = false, refs = {}, apart = {},
}

-- From which states an outcome may still move a row: an unconfirmed one too, where the answer comes late, and a queued
-- one that a person sends again, as long as that has not happened.
local function open_row(no, again)
  return function(state, call) return call == no and (state == 'g' or state == 'u' or (again and state == 'q')) end
end

-- Count rows that were submitted through an endpoint that reports nothing.
local function note_unreported(s, call, many)
  if call.unreported then
    s.change[UNREPORTED] = (s.change[UNREPORTED] or 0) + many
  end
end

-- `sendmill metrics` has the same bounds, in seconds.
local TOOK_MS = { 50, 100, 250, 500, 1000, 2500, 5000, 10000, 30000 }
local WAIT_MS = { 50, 250, 1000, 5000, 15000, 60000, 300000, 1800000, 7200000, 86400000 }
local tallies, waits = {}, {}

local function tally(field, by) tallies[field] = (tallies[field] or 0) + by end

local function tally_call(call, service, took_ms, lane)
  if lane and call.state == 's' then tally('calls:' .. lane, 1) end
  tally('call:' .. service .. ':' .. call.state, 1)
  tally('took:' .. service .. ':' .. bucket_of(TOOK_MS, took_ms), 1)
  tally('took_ms:' .. service, math.max(0, math.floor(took_ms)))
  if call.code ~= '' then tally(coded(tallies, 'code:', call.code), 1) end
end

-- From a job's commit until its rows were handed over. Counted by who writes first that the vendor has them, once.
local function note_waits(rows, began)
  for _, run in ipairs(rows) do
    local s = slice_of(run[1])
    if s then
      local many = 0
      for i = 2, #run, 2 do many = many + run[i + 1] - run[i] + 1 end
      observe(waits, WAIT_MS, s.lane, began - s.created, many)
      recipients = recipients + many
    end
  end
end

local function list_of(lists, name)
  local list = lists[name] or {}
  lists[name] = list
  return list
end

local outcomes, records, ids = cmsgpack.unpack(ARGV[1]), {}, {}
for n, call in ipairs(outcomes) do
  local record = redis.call('HMGET', key('call:' .. call.no), 'rows', 'at', 'service', 'recipients')
  if record[1] then
    record[1] = cmsgpack.unpack(record[1])
    for _, run in ipairs(record[1]) do ids[#ids + 1] = run[1] end
  end
  records[n] = record
end
read_leases(ids)
read_pages(ids)

for n, call in ipairs(outcomes) do
  setmetatable(call, { __index = DEFAULTS })
  local no = call.no
  local record = written[no] and {} or records[n]
  local rows, began, again, known_taken = nil, nil, false, false
  if record[1] then
    rows, began = record[1], tonumber(record[2])
  else
    local kept = written[no] or past_of(no)
    if kept then
      began, rows = kept.began, kept.rows
      again = kept.state == 'u' and call.state ~= 'u' and call.state ~= 'q'
      known_taken = kept.state ~= 'u'
    end
  end
  if rows then
    local past = {
      state = call.state, began = began, vmid = call.vmid, rows = rows, answer = call.answer, code = call.code,
      unreported = call.unreported,
    }
    if call.vmid ~= '' and call.refs[1] then past.vmid = call.refs[1][2] end
    written[no] = past
    local list = list_of(pasts, past_key(no))
    list[#list + 1], list[#list + 2] = no % 64, pack_past(no, past)
    for _, ref in ipairs(call.refs) do note_ref(ref[1], ref[2], no) end
    if call.state == 's' and not known_taken then note_waits(rows, began) end
    local word = { code = call.code, detail = call.detail, vmid = call.vmid }
    for _, row in ipairs(call.apart) do
      local s = slice_of(row[1])
      if s then
        local apart = { code = row[5], vmid = row[4] }
        local moved = move_where(s, row[2], row[2], row[3], now, open_row(no, again), apart)
        changed = changed + moved
        if moved > 0 then
          redis.call('HSET', key('d:' .. s.id), row[2], cmsgpack.pack(apart))
          if row[3] == 's' then note_unreported(s, call, 1) end
        elseif row[3] == 's' and struct.unpack('<I4', calls_of(s, row[2], row[2])) == no then
          -- A report was faster, and what it said stays.
          redis.call('HSETNX', key('d:' .. s.id), row[2], cmsgpack.pack(apart))
        end
      end
    end
    for _, run in ipairs(rows) do
      local s = slice_of(run[1])
      if s then
        local moved = 0
        for i = 2, #run, 2 do
          moved = moved + move_where(s, run[i], run[i + 1], call.state, now, open_row(no, again), word)
        end
        changed = changed + moved
        if call.state == 's' then note_unreported(s, call, moved) end
        if call.code ~= '' and moved > 0 then
          note_attempt(s.id,
            cmsgpack.pack({ math.floor(now), no, call.state, call.code, call.detail, call.answer, run }))
        end
        local leased = leased_until(s) > 0
        if count_of(s, 'q') > 0 then
          -- Its lease ran out while this call was open: nobody holds the slice, so it is put back here.
          if not leased and not redis.call('ZSCORE', key('out:' .. s.lane), s.id)
            and not redis.call('ZSCORE', key('wait'), s.id) then
            put_back(s, now + call.back_ms, now)
          end
        elseif leased and count_of(s, 'g') == 0 then
          unleased[#unleased + 1] = s.id
          s.lease = 0
        end
      end
    end
    if call.state == 'u' then
      redis.call('ZADD', key('unconfirmed'), math.floor(began), no)
    elseif not record[1] then
      redis.call('ZREM', key('unconfirmed'), no) -- the sweep had given it up
    end
    if call.unknown then redis.call('ZADD', key('resent'), math.floor(began), no) end
    if record[1] then
      if call.down_after == 0 then
        close_breaker()
      elseif call.down_after > 0 then
        note_failure(call)
      elseif broken > 0 then
        redis.call('HDEL', key('clock'), 'trial')
      end
    end
    if call.cool_ms > 0 then cool_for(call.cool_ms) end
    if call.ask_ms > 0 then redis.call('ZADD', key('ask'), now + call.ask_ms, no) end
    if record[1] then
      ended[#ended + 1], ended_keys[#ended_keys + 1] = no, key('call:' .. no)
      local list = list_of(slots, key('slots:' .. record[3]))
      list[#list + 1] = no
      if call.limited then unwritten[#unwritten + 1] = no end
      local first = rows[1] and slice_of(rows[1][1]) -- a call has rows of one lane
      tally_call(call, record[3], now - began, first and first.lane)
      ended_by_state[call.state] = (ended_by_state[call.state] or 0) + 1
      if call.state == 's' then
        largest = math.max(largest, tonumber(record[4]))
      end
    end
    if call.state ~= 's' and call.detail ~= '' then
      redis.call('HSET', key('state'), 'last_error', call.detail, 'last_error_ms', math.floor(now))
    end
  end
end
write_names()
for past, records in pairs(pasts) do redis.call('HSET', past, unpack(records)) end
count_refs()
in_parts(unleased, function(_, ...) redis.call('ZREM', key('inflight'), ...) end)
if #ended > 0 then
  redis.call('ZREM', key('open'), unpack(ended))
  redis.call('DEL', unpack(ended_keys))
  for name, calls in pairs(slots) do redis.call('ZREM', name, unpack(calls)) end
  if #unwritten > 0 then redis.call('ZREM', key('unwritten'), unpack(unwritten)) end
  for state, count in pairs(ended_by_state) do redis.call('HINCRBY', key('state'), 'ended:' .. state, count) end
  if largest > 0 then
    local before = tonumber(redis.call('HGET', key('state'), 'largest_call') or '0')
    if largest > before then redis.call('HSET', key('state'), 'largest_call', largest) end
  end
end
if recipients > 0 then redis.call('HINCRBY', key('state'), 'recipients', recipients) end
add_histogram(tallies, 'wait', waits)
count(tallies)
flush()
return changed
