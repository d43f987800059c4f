#!lua flags=allow-oom
-- include rows.lua
-- include past.lua
-- include process/sweeps.lua
-- include throttle.lua
-- Write again what a process knows and a Redis lost that came back without its last seconds: slices that it had claimed,
-- then calls that it had been granted, oldest first. What is there, or is known to be newer, stays as it is; so running
-- it twice, and after other processes, changes nothing more.
-- KEYS[1] the account's state hash
-- ARGV[1] msgpack {owner, lease_ms, horizon_ms (after a slice's expiry), open_ms (a call stays open at least that long),
--         slices: [[id, epoch]],
--         calls: [{no, at (ms), service, slots, call_ms, recipients, limits: [{name, unit, window_ms, most, services}],
--         rows: [[slice, epoch, first, last, …]]}]}
-- ARGV[2..] the blob of each slice, "" where it is not to be made anew
-- Returns {slices made anew, calls written again, call numbers whose outcome is not here, …}

local ask = cmsgpack.unpack(ARGV[1])
local now = clock_ms()
local OPEN = { q = true, g = true, u = true }
local result = { 0, 0 }

local function record_call(no, at, service, slots, ends, recipients, rows)
  redis.call('HSET', key('call:' .. no), 'rows', cmsgpack.pack(rows), 'at', string.format('%.3f', at), 'owner', ask.owner,
    'service', service, 'recipients', recipients)
  redis.call('ZADD', key('open'), ends, no)
  if slots > 0 then redis.call('ZADD', key('slots:' .. service), ends, no) end
end

local began = {}

-- When a call began, as far as it is known here; 0 where nothing is.
local function began_at(no)
  if not began[no] then
    local at = redis.call('HGET', key('call:' .. no), 'at')
    local past = not at and past_of(no)
    began[no] = tonumber(at or past and past.began or 0)
  end
  return began[no]
end

-- Whether a call is known here: open, void or ended.
local function is_known(no)
  return redis.call('EXISTS', key('call:' .. no)) == 1 or redis.call('HEXISTS', past_key(no), no % 64) == 1
end

-- Rows that were on the wire when the slice was claimed, in calls that are lost: nobody else may know of them.
local function adopt_open(s)
  local states, calls, rows = states_of(s, 0, s.n - 1), calls_of(s, 0, s.n - 1), {}
  if not string.find(states, 'g', 1, true) then return end
  for i = 1, s.n do
    if string.sub(states, i, i) == 'g' then
      local no = struct.unpack('<I4', calls, 4 * i - 3)
      rows[no] = rows[no] or { s.id }
      table.insert(rows[no], i - 1)
      table.insert(rows[no], i - 1)
    end
  end
  for no, of_call in pairs(rows) do
    if not is_known(no) then record_call(no, s.created, '', 0, now + ask.open_ms, (#of_call - 1) / 2, { of_call }) end
  end
end

for i, slice in ipairs(ask.slices) do
  local id, epoch, blob = slice[1], slice[2], ARGV[i + 1]
  local s = slice_of(id)
  if s then
    -- Its claim is lost: the next one must not get the epoch of an owner who still holds it.
    if s.epoch < epoch then
      set_field(s, 'epoch', epoch)
    end
  elseif blob ~= '' and not is_there(id) then
    write_slice(id, blob)
    loaded[id] = nil
    s = slice_of(id)
    note_arrived(s)
    note_horizons({ [page_of(id) or id] = s.expires + ask.horizon_ms })
    -- Under its old lease, which its owner renews or gives back; else it comes out again when that has run out.
    redis.call('ZADD', key('inflight'), now + ask.lease_ms, id)
    adopt_open(s)
    result[1] = result[1] + 1
  end
end

-- Mark rows of a call again that are open and not known to be part of a later one; returns their runs.
local function mark(s, first, last, call)
  local states, calls, runs, run, run_state = states_of(s, first, last), calls_of(s, first, last), {}, nil, nil
  for i = 1, last - first + 2 do
    local state = string.sub(states, i, i)
    local fit = false
    if OPEN[state] then
      local named = struct.unpack('<I4', calls, 4 * i - 3)
      fit = named == call.no or named == 0 or began_at(named) <= call.at
    end
    if run and (not fit or state ~= run_state) then
      local from, to = first + run - 1, first + i - 2
      move(s, from, to, run_state, 'g', now)
      name_call(s, from, to, call.no)
      runs[#runs + 1] = from
      runs[#runs + 1] = to
      run = nil
    end
    if fit and not run then run, run_state = i, state end
  end
  return runs
end

for _, call in ipairs(ask.calls) do
  local past = past_of(call.no)
  if past then
    -- The sweep ended it, because nobody knew better.
    if past.state == 'u' and past.code == 'no_answer' then result[#result + 1] = call.no end
  elseif redis.call('EXISTS', key('call:' .. call.no)) == 1 then
    result[#result + 1] = call.no
  else
    local rows = {}
    for _, of_slice in ipairs(call.rows) do
      local s = slice_of(of_slice[1])
      local kept = { of_slice[1] }
      for i = 3, s and #of_slice or 0, 2 do
        for _, bound in ipairs(mark(s, of_slice[i], of_slice[i + 1], call)) do kept[#kept + 1] = bound end
      end
      if #kept > 1 then rows[#rows + 1] = kept end
    end
    local _, limits, slots = standing(call.limits, call.slots)
    -- The vendor counted it, whatever has become of its rows.
    local limited = false
    for _, limit in ipairs(limits) do
      if holds_for(limit, call.service) then
        limited = true
        units_used(limit, now)
        take(limit, cost_of(limit, call.recipients), now)
      end
    end
    if #rows > 0 then
      -- Whether it was written, nobody has said here: it holds its units until it ends.
      if limited then redis.call('ZADD', key('unwritten'), string.format('%.3f', now), call.no) end
      local ends = math.max(call.at + call.call_ms, now + ask.open_ms)
      record_call(call.no, call.at, call.service, slots, ends, call.recipients, rows)
      redis.call('HINCRBY', key('state'), 'calls', 1)
      result[2] = result[2] + 1
      result[#result + 1] = call.no
    end
  end
end
count_found('lost_slices', result[1], now)
count_found('lost_calls', result[2], now)
flush()
return result
