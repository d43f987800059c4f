-- Reading and changing the rows of slices: included by every script that does so.
--
-- All keys of an account share its hash tag, so KEYS[1] (the account's `state` hash) places a script and every other
-- name is made from its prefix. Types and lifetimes: sendmill/ledger/keys.py; layout of a slice: ledger/slices.py.

-- include layout.lua
-- include pages.lua

local ARRAYS = { 'states', 'calls', 'passed' }
local SIZE = { states = 1, calls = 4, passed = 4 } -- bytes of each row
local BEFORE = { states = 0, calls = 1, passed = 5 } -- bytes of each row in the arrays before
local FEW_ROWS = 16 -- a slice of no more is written as one piece, from its counters to the end of its rows
local SMALL_ROWS = 128 -- a slice of no more is read once in a script and written once, whatever happens in between
local UNREPORTED = '!'
local COUNTERS = ORDER .. UNREPORTED
local FINAL = { d = true, n = true, e = true, r = true, f = true, p = true, c = true, k = true }
local LANES = { o = 'otp', n = 'normal', b = 'bulk' }
local EVENTS_KEPT = 100000
local AT_ONCE = 4000 -- even: Lua unpacks no more than 8,000
local FORGOTTEN = string.rep('\0', 8)

-- Give a command many arguments in parts: `command` is called with the place of a part's first one, and the part.
local function in_parts(items, command)
  for from = 1, #items, AT_ONCE do command(from, unpack(items, from, math.min(from + AT_ONCE - 1, #items))) end
end

local function job_of(id) return string.match(id, '^[^.]+') end

-- Milliseconds since the epoch with their fraction; never runs backwards, whatever the server's clock does.
local seen_ms = nil -- what it said last in this script
local function clock_ms()
  local t = redis.call('TIME')
  local now = tonumber(t[1]) * 1000 + tonumber(t[2]) / 1000
  local last = tonumber(redis.call('HGET', key('clock'), 'last') or '0')
  seen_ms = math.max(now, last)
  if last > now then return last end
  redis.call('HSET', key('clock'), 'last', string.format('%.3f', now))
  return now
end

-- Alerts that nothing else ends.
local BY_A_PERSON = { unmapped_state = true, unreadable_report = true, webhook_disabled = true }
local CAUSES_TOLD, ALERTS_TO_POST = 20, 200

-- An entry of the account's stream of events; who waits for one hears that there is something. Returns its id.
local function add_event(...)
  local id = redis.call('XADD', key('events'), 'MAXLEN', '~', EVENTS_KEPT, '*', ...)
  redis.call('PUBLISH', key('events'), '')
  return id
end

-- Open an alert of the account, or end it: consumers hear it once when it opens and once when it is over, and of each
-- further cause of one that only a person ends. Returns whether there was anything to tell.
local function set_alert(code, detail, open, now)
  local known = redis.call('HGET', key('alerts'), code)
  if open then
    local alert = { detail = detail, opened_ms = math.floor(now), causes = { detail } }
    if known then
      if not BY_A_PERSON[code] then return false end
      alert = cjson.decode(known)
      alert.causes = alert.causes or { alert.detail }
      for _, cause in ipairs(alert.causes) do
        if cause == detail then return false end
      end
      if #alert.causes >= CAUSES_TOLD then return false end
      alert.causes[#alert.causes + 1] = detail
    end
    redis.call('HSET', key('alerts'), code, cjson.encode(alert))
  elseif not known then
    return false
  else
    redis.call('HDEL', key('alerts'), code)
  end
  local id = add_event('kind', 'alert', 'code', code, 'detail', detail, 'open', open and '1' or '0', 'at', math.floor(now))
  local told = { id = id, code = code, detail = detail, open = open, at = math.floor(now) }
  redis.call('RPUSH', key('to_post'), cjson.encode(told))
  redis.call('LTRIM', key('to_post'), -ALERTS_TO_POST, -1)
  return true
end

local MINUTE_MS, MINUTES_KEPT_S = 60000, 49 * 3600
local WITHOUT_MINUTES = { -- kinds of counters that no chart is drawn from
  took = true, waiting = true, wait = true, wait_ms = true, delivery = true, delivery_ms = true,
}

-- Add to the account's counters, which `sendmill metrics` reads, and to those of this minute, which charts are drawn
-- from: a command or two for each that a script has something for.
local function count(tallies)
  local minute, new = nil, false
  for field, by in pairs(tallies) do
    if by ~= 0 then
      redis.call('HINCRBY', key('counters'), field, by)
      if not WITHOUT_MINUTES[string.match(field, '^[%a_]+')] then
        minute = minute or key('minute:' .. math.floor((seen_ms or clock_ms()) / MINUTE_MS))
        new = redis.call('HINCRBY', minute, field, by) == by or new
      end
    end
  end
  if new then redis.call('EXPIRE', minute, MINUTES_KEPT_S) end
end

local MOST_COUNTERS, CODE_CHARS = 800, 40

-- The counter of a code. Codes are the vendor's: how many there are has a bound, whatever it says.
local function coded(tallies, kind, code)
  local field = kind .. string.sub(code, 1, CODE_CHARS)
  if not tallies[field] and redis.call('HEXISTS', key('counters'), field) == 0
    and redis.call('HLEN', key('counters')) >= MOST_COUNTERS then
    return kind .. 'other'
  end
  return field
end

local function write_slice(id, raw)
  local page, job = page_of(id)
  if page then
    redis.call('HSET', key(page), job, raw)
  else
    redis.call('SET', key('s:' .. id), raw)
  end
end

local function is_there(id)
  local page, job = page_of(id)
  if page then return redis.call('HEXISTS', key(page), job) == 1 end
  return redis.call('EXISTS', key('s:' .. id)) == 1
end

-- Note when what is still open in slices is given up: ms by a slice's id, or by its page, whose slices are looked at
-- together.
local function note_horizons(horizons)
  local scores = {}
  for name, ms in pairs(horizons) do
    scores[#scores + 1] = ms
    scores[#scores + 1] = name
  end
  if #scores > 0 then redis.call('ZADD', key('horizon'), 'GT', unpack(scores)) end
end

local loaded = {}
local read_before = {} -- by id, slices of pages that were asked for together
local to_write = {} -- by page, fields and what is to stand there
local foreign = {} -- slices that a newer version wrote, by id: whoever finds one leaves it as it is

local function leave_foreign(id)
  loaded[id], foreign[id] = false, true
  set_alert('newer_format', 'a newer version wrote messages that this one leaves alone: upgrade these workers', true,
    clock_ms())
end

-- Ask for those of many slices that lie in pages, by page.
local function read_pages(ids)
  local pages = {}
  for _, id in ipairs(ids) do
    local page, job = page_of(id)
    if page and loaded[id] == nil then
      local of = pages[page]
      if not of then
        of = { ids = {} }
        pages[page] = of
      end
      of[#of + 1], of.ids[#of + 1] = job, id
    end
  end
  for page, jobs in pairs(pages) do
    in_parts(jobs, function(from, ...)
      for n, raw in ipairs(redis.call('HMGET', key(page), ...)) do read_before[jobs.ids[from + n - 1]] = raw or '' end
    end)
  end
end

-- Write a slice of a page with the others of it that this script changes: see write_pages().
local function write_later(s)
  local fields = to_write[s.page]
  if not fields then
    fields = {}
    to_write[s.page] = fields
  end
  fields[#fields + 1], fields[#fields + 2] = s.job, s.raw
end

local function write_pages()
  for page, fields in pairs(to_write) do in_parts(fields, function(_, ...) redis.call('HSET', key(page), ...) end) end
  to_write = {}
end

-- A slice of a page.
local function folded_slice(id, raw)
  if string.sub(raw, 1, 1) ~= 'P' then return leave_foreign(id) end
  local _, lane, events, state, flags, epoch, aside, created, expires, _, _, numbers_at, start = struct.unpack(FOLDED, raw)
  return {
    lane = LANES[lane], events = events, n = 1, epoch = epoch, aside = aside, created = created, expires = expires,
    start = start, duplicates_ok = flags % 2 == 1, unreported = flags >= 2 and 1 or 0, state = state,
    numbers_at = numbers_at, row = { states = state, calls = string.sub(raw, 24, 27), passed = string.sub(raw, 28, 31) },
  }
end

local function own_slice(id, raw)
  if string.sub(raw, 1, 2) ~= FORMAT then return leave_foreign(id) end
  local n, epoch, aside, created, expires, start = struct.unpack('<I4I4I4I8I8d', raw, 5)
  local s = {
    key = key('s:' .. id), lane = LANES[string.sub(raw, 3, 3)], events = string.sub(raw, 4, 4), n = n, epoch = epoch,
    aside = aside, created = created, expires = expires, start = start, duplicates_ok = string.byte(raw, 101) == 1,
    numbers_at = struct.unpack('<I4', raw, 105),
  }
  if n <= SMALL_ROWS then
    for _, array in ipairs(ARRAYS) do
      local at = HEADER_BYTES + BEFORE[array] * n
      s[array] = { raw = raw, base = at + 1, at = at }
    end
  end
  return s
end

-- The header of a slice (of a small one its rows too), or nil where it is gone or foreign. `whole` is the slice, where it
-- was read already.
local function slice_of(id, whole)
  local s = loaded[id]
  if s ~= nil then return s or nil end
  local raw = whole or read_before[id] or read_slice(id, HEADER_BYTES + ARRAYS_BYTES * SMALL_ROWS - 1)
  local page, job = page_of(id)
  if #raw < (page and FOLDED_BYTES or HEADER_BYTES) then
    loaded[id] = false
    return nil
  end
  if page then s = folded_slice(id, raw) else s = own_slice(id, raw) end
  if not s then return nil end
  s.id, s.raw, s.page, s.job, s.change, s.told = id, raw, page, job or job_of(id), {}, {}
  loaded[id] = s
  return s
end

-- Rows in a state, or (UNREPORTED) submitted through an endpoint that reports nothing.
local function count_of(s, byte)
  local changed = s.change[byte] or 0
  if s.page then return (byte == UNREPORTED and s.unreported or byte == s.state and 1 or 0) + changed end
  local at = string.find(COUNTERS, byte, 1, true)
  return struct.unpack('<I4', s.raw, COUNTERS_AT + (at - 1) * 4) + changed
end

local came = {} -- by counter, rows that came into the account in this script

-- Count rows of a slice that was not here before. What becomes of them later in the script is counted by flush().
local function note_arrived(s)
  local queued = count_of(s, 'q')
  if queued == 0 then return end
  for _, kind in ipairs({ 'waiting:', 'came:' }) do
    came[kind .. s.lane] = (came[kind .. s.lane] or 0) + queued
  end
end

-- A text with another one written over it from the byte after `at` on.
local function over(text, at, value) return string.sub(text, 1, at) .. value .. string.sub(text, at + #value + 1) end

-- Fields of a slice's header that change by themselves: where they stand, and in a page.
local FIELDS = {
  epoch = { 8, '<I4', 5, '<I4' }, aside = { 12, '<I4', 9, '<I2' }, start = { 32, '<d', 33, '<d' },
  numbers_at = { 104, '<I4', 31, '<I2' },
}

-- A slice with another value of such a field; it is to be written by the caller.
local function with_field(s, name, value)
  local field = FIELDS[name]
  s[name] = value
  if s.page then return over(s.raw, field[3], struct.pack(field[4], value)) end
  return over(s.raw, field[1], struct.pack(field[2], value))
end

local function set_field(s, name, value)
  s.raw = with_field(s, name, value)
  local at, form = FIELDS[name][1], FIELDS[name][2]
  if s.page then write_later(s) else redis.call('SETRANGE', s.key, at, struct.pack(form, value)) end
end

local known_leases = {} -- by id of a slice, of those that were asked for together

-- Ask for the leases of many slices at once.
local function read_leases(ids)
  in_parts(ids, function(from, ...)
    for n, until_ms in ipairs(redis.call('ZMSCORE', key('inflight'), ...)) do
      known_leases[ids[from + n - 1]] = tonumber(until_ms or '0')
    end
  end)
end

-- ms until which a slice is leased, 0 where it is not.
local function leased_until(s)
  s.lease = s.lease or known_leases[s.id]
  if not s.lease then s.lease = tonumber(redis.call('ZSCORE', key('inflight'), s.id) or '0') end
  return s.lease
end

local some_are_cancelled = nil

-- Whether a job was cancelled. Nearly always none was.
local function is_cancelled(job)
  if some_are_cancelled == nil then some_are_cancelled = redis.call('EXISTS', key('cancelled')) == 1 end
  return some_are_cancelled and redis.call('SISMEMBER', key('cancelled'), job) == 1
end

-- Change the entries of some rows in one of the arrays. Those of a small slice wait for flush().
local function set_rows(s, array, first, last, entry)
  if s.page then
    s.row[array], s.row.new = entry, true
    return
  end
  local held = s[array]
  if not held then
    local at = HEADER_BYTES + BEFORE[array] * s.n + SIZE[array] * first
    redis.call('SETRANGE', s.key, at, string.rep(entry, last - first + 1))
    return
  end
  local new = held.new
  if not new then
    new = {}
    held.new, held.first, held.last = new, first, last
  else
    held.first, held.last = math.min(held.first, first), math.max(held.last, last)
  end
  for row = first, last do new[row] = entry end
end

-- The entries of some rows of a slice that are held here, with what was changed.
local function held_rows(held, first, last, size)
  local new = held.new
  if not new then return string.sub(held.raw, held.base + size * first, held.base + size * last + size - 1) end
  local entries = {}
  for row = first, last do
    local at = held.base + size * row
    entries[#entries + 1] = new[row] or string.sub(held.raw, at, at + size - 1)
  end
  return table.concat(entries)
end

-- Hold rows first..last of a slice, whatever its size, as those of a small one are held. Until flush() the script may ask
-- of no other rows of it, and change no other.
local function hold(s, first, last)
  if s.page or s.states then return end
  for _, array in ipairs(ARRAYS) do
    local size, at = SIZE[array], HEADER_BYTES + BEFORE[array] * s.n
    local raw = redis.call('GETRANGE', s.key, at + size * first, at + size * last + size - 1)
    s[array] = { raw = raw, base = 1 - size * first, at = at }
  end
end

local function states_of(s, first, last)
  if s.page then return s.row.states end
  if s.states then return held_rows(s.states, first, last, 1) end
  return redis.call('GETRANGE', s.key, HEADER_BYTES + first, HEADER_BYTES + last)
end

local function calls_of(s, first, last)
  if s.page then return s.row.calls end
  if s.calls then return held_rows(s.calls, first, last, 4) end
  local at = HEADER_BYTES + s.n
  return redis.call('GETRANGE', s.key, at + 4 * first, at + 4 * last + 3)
end

-- What the array `calls` or `passed` (ms after `created` at which a row last changed) has of one row.
local function number_of(s, array, row)
  if s.page then return (struct.unpack('<I4', s.row[array])) end
  local held = s[array]
  if not held then
    local at = HEADER_BYTES + BEFORE[array] * s.n + 4 * row
    return (struct.unpack('<I4', redis.call('GETRANGE', s.key, at, at + 3)))
  end
  local new = held.new and held.new[row]
  if new then return (struct.unpack('<I4', new)) end
  return (struct.unpack('<I4', held.raw, held.base + 4 * row))
end

local function name_call(s, first, last, call)
  set_rows(s, 'calls', first, last, struct.pack('<I4', call))
end

-- Set rows first..last, all of them in state `old`, to `new`; what a consumer may hear is noted in s.told.
local function move_all(s, first, last, old, new, now, word)
  local many = last - first + 1
  set_rows(s, 'states', first, last, new)
  if new ~= 'g' then
    local passed = math.max(0, math.min(4294967295, math.floor(now - s.created)))
    set_rows(s, 'passed', first, last, struct.pack('<I4', passed))
  end
  s.change[old] = (s.change[old] or 0) - many
  s.change[new] = (s.change[new] or 0) + many
  if FINAL[new] and (s.events == '2' or (s.events == '1' and new ~= 'd')) then
    word = word or {}
    s.told[#s.told + 1] = {
      first, last, old, new, word.code or '', word.detail or '', word.vmid or '', word.at or 0, math.floor(now),
    }
  end
end

-- The same, but a row whose number was forgotten while it was on the wire is not queued again: it is cancelled.
local function move(s, first, last, old, new, now, word)
  local numbers_at = new == 'q' and s.numbers_at or 0
  if numbers_at == 0 then return move_all(s, first, last, old, new, now, word) end
  for offset = first, last do
    local at = numbers_at + 8 * offset
    local number = s.page and string.sub(s.raw, at + 1, at + 8) or redis.call('GETRANGE', s.key, at, at + 7)
    if number == FORGOTTEN then
      move_all(s, offset, offset, old, 'c', now)
    else
      move_all(s, offset, offset, old, 'q', now, word)
    end
  end
end

-- Set those rows of first..last that `fits(state, call)` to `new`, run by run. Returns how many.
local function move_where(s, first, last, new, now, fits, word)
  local states, calls = states_of(s, first, last), calls_of(s, first, last)
  local many, alike = last - first + 1, string.sub(states, 1, 1)
  if many == 1 or (states == string.rep(alike, many) and calls == string.rep(string.sub(calls, 1, 4), many)) then
    -- Nearly always: all rows of a call fare alike. Looking at 20,000 of them one by one takes 4 ms.
    if alike == new or not fits(alike, struct.unpack('<I4', calls)) then return 0 end
    move(s, first, last, alike, new, now, word)
    return many
  end
  local moved, run, run_state = 0, nil, nil
  for i = 1, last - first + 2 do
    local state = string.sub(states, i, i)
    local fit = state ~= '' and state ~= new and fits(state, struct.unpack('<I4', calls, 4 * i - 3))
    if run and (not fit or state ~= run_state) then
      move(s, first + run - 1, first + i - 2, run_state, new, now, word)
      moved = moved + (i - run)
      run = nil
    end
    if fit and not run then
      run, run_state = i, state
    end
  end
  return moved
end

-- Write what was changed of a slice in a page.
local function write_folded(s)
  local flags = (s.duplicates_ok and 1 or 0) + (count_of(s, UNREPORTED) > 0 and 2 or 0)
  local raw, row = s.raw, s.row
  s.raw = string.sub(raw, 1, 3) .. row.states .. string.char(flags) .. string.sub(raw, 6, 23) .. row.calls .. row.passed
    .. string.sub(raw, 32)
  write_later(s)
end

-- Write what was changed of a slice's rows and counters.
local function write_changes(s, from, to)
  if s.page then
    if s.row.new or to > 0 then write_folded(s) end
    return
  end
  local pieces = {}
  for _, array in ipairs(ARRAYS) do
    local held = s[array]
    if held and held.new then
      pieces[#pieces + 1] = {
        held.at + SIZE[array] * held.first, held_rows(held, held.first, held.last, SIZE[array]),
      }
    end
  end
  if to > 0 then
    local counters = {}
    for at = from, to do
      counters[#counters + 1] = struct.pack('<I4', count_of(s, string.sub(COUNTERS, at, at)))
    end
    pieces[#pieces + 1] = { COUNTERS_AT - 1 + (from - 1) * 4, table.concat(counters) }
  end
  if s.n <= FEW_ROWS and #pieces > 1 then
    local raw = s.raw
    for _, piece in ipairs(pieces) do raw = over(raw, piece[1], piece[2]) end
    pieces = { { COUNTERS_AT - 1, string.sub(raw, COUNTERS_AT, HEADER_BYTES + ARRAYS_BYTES * s.n) } }
  end
  for _, piece in ipairs(pieces) do redis.call('SETRANGE', s.key, piece[1], piece[2]) end
end

-- Write rows of small slices, counters and events. Every script that called move() or name_call() ends with this.
local function flush()
  local reached = came
  came = {}
  for _, s in pairs(loaded) do
    if s then
      local from, to = #COUNTERS + 1, 0
      local waiting = s.change['q'] or 0
      if waiting ~= 0 then
        local field = 'waiting:' .. s.lane
        reached[field] = (reached[field] or 0) + waiting
      end
      for byte, by in pairs(s.change) do
        local at = string.find(COUNTERS, byte, 1, true)
        -- Rows that were moved away (m) are counted where they are now.
        if by ~= 0 and at then
          from, to = math.min(from, at), math.max(to, at)
        end
        if by > 0 and (FINAL[byte] or byte == 's' or byte == 'u') then
          local field = 'rows:' .. s.lane .. ':' .. byte
          reached[field] = (reached[field] or 0) + by
        end
      end
      write_changes(s, from, to)
      if #s.told > 0 then
        add_event('kind', 'report', 'slice', s.id, 'rows', cmsgpack.pack(s.told))
      end
    end
  end
  write_pages()
  count(reached)
end

-- Put a slice with queued rows where it is claimed again: now, or at due_ms. Those of a cancelled job end here: nobody
-- may claim them any more where the account stands still.
local function put_back(s, due_ms, now)
  redis.call('ZREM', key('inflight'), s.id)
  s.lease = 0
  if count_of(s, 'q') == 0 then return end
  if is_cancelled(s.job) then
    move_where(s, 0, s.n - 1, 'c', now, function(state) return state == 'q' end)
    return
  end
  if due_ms > now then
    redis.call('ZADD', key('wait'), due_ms, s.id)
  else
    redis.call('ZADD', key('out:' .. s.lane), s.start, s.id)
  end
end
