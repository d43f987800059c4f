#!lua flags=allow-oom
-- include rows.lua
-- include past.lua
-- include process/sweeps.lua
-- What time alone decides: slices that waited go to their outbox, slices whose lease ran out go back, calls whose
-- answer can no longer come leave their rows unconfirmed (queued where their job takes duplicates).
-- KEYS[1] the account's state hash
-- ARGV[1] the most entries of each kind in one run
-- Returns {due, leases, calls, queued slices per lane: otp, normal, bulk, seats taken, ms until the next is due or -1}.

local now = clock_ms()
local most = tonumber(ARGV[1])

-- The account's clock never runs backwards, so after a step back of the server's it stands, and with it limits, leases
-- and waits. Somebody must know why nothing moves.
local STEP_MS = 1000
local t = redis.call('TIME')
local ahead_ms = now - (t[1] * 1000 + t[2] / 1000)
local step = string.format('the clock of Redis went back by %d s: nothing is sent until it has caught up', ahead_ms / 1000)
set_alert('clock_step', ahead_ms > STEP_MS and step or '', ahead_ms > STEP_MS, now)

local function ripe(name) return redis.call('ZRANGEBYSCORE', key(name), '-inf', now, 'LIMIT', 0, most) end

local due = ripe('wait')
for _, id in ipairs(due) do
  local s = slice_of(id)
  if not foreign[id] then redis.call('ZREM', key('wait'), id) end
  -- One that is leased meanwhile comes back with its lease.
  if s and not redis.call('ZSCORE', key('inflight'), id) then put_back(s, 0, now) end
end

local leases = ripe('inflight')
for _, id in ipairs(leases) do
  local s = slice_of(id)
  if not foreign[id] then redis.call('ZREM', key('inflight'), id) end
  if s then put_back(s, 0, now) end
end

-- Of a call that a newer version made its own sweep takes care.
local function is_foreign(rows)
  local found = false
  for _, run in ipairs(rows and cmsgpack.unpack(rows) or {}) do
    found = (slice_of(run[1]) == nil and foreign[run[1]]) or found
  end
  return found
end

local tallies = {}

local function tally(field) tallies[field] = (tallies[field] or 0) + 1 end

local function end_call(text, record)
  local no = tonumber(text)
  if record[1] then
    local rows = cmsgpack.unpack(record[1])
    write_past(no, {
      state = 'u', began = tonumber(record[2]), vmid = '', rows = rows, answer = '', code = 'no_answer',
    })
    for _, run in ipairs(rows) do
      local s = slice_of(run[1])
      if s then
        for i = 2, #run, 2 do
          move_where(s, run[i], run[i + 1], s.duplicates_ok and 'q' or 'u', now,
            function(state, call) return state == 'g' and call == no end)
        end
        if s.duplicates_ok then
          redis.call('ZADD', key('resent'), math.floor(tonumber(record[2])), no)
          keep_number(s.id, no)
          if not redis.call('ZSCORE', key('inflight'), s.id) then put_back(s, 0, now) end
        end
      end
    end
    redis.call('ZADD', key('unconfirmed'), math.floor(tonumber(record[2])), no)
    redis.call('ZREM', key('slots:' .. record[3]), no)
    redis.call('HINCRBY', key('state'), 'ended:u', 1)
    tally('call:' .. record[3] .. ':u')
    tally(coded(tallies, 'code:', 'no_answer'))
  end
  redis.call('ZREM', key('open'), text)
  redis.call('ZREM', key('unwritten'), text)
  redis.call('DEL', key('call:' .. text))
end

local calls = ripe('open')
for _, text in ipairs(calls) do
  local record = redis.call('HMGET', key('call:' .. text), 'rows', 'at', 'service')
  if not is_foreign(record[1]) then end_call(text, record) end
end

redis.call('ZREMRANGEBYSCORE', key('seats'), '-inf', now)
count_found('leases', #leases, now)
count_found('calls', #calls, now)
count(tallies)
flush()

-- A count that went astray (workers of an older version counted nothing) is put right when nothing waits.
local empty = redis.call('EXISTS', key('out:otp'), key('out:normal'), key('out:bulk'), key('wait'), key('inflight')) == 0
if empty then
  for _, lane in pairs(LANES) do
    local waiting = redis.call('HGET', key('counters'), 'waiting:' .. lane)
    if waiting and waiting ~= '0' then redis.call('HSET', key('counters'), 'waiting:' .. lane, 0) end
  end
end
local nxt = redis.call('ZRANGE', key('wait'), 0, 0, 'WITHSCORES')
return {
  #due, #leases, #calls,
  redis.call('ZCARD', key('out:otp')), redis.call('ZCARD', key('out:normal')), redis.call('ZCARD', key('out:bulk')),
  redis.call('ZCARD', key('seats')), nxt[2] and math.max(0, math.floor(tonumber(nxt[2]) - now)) or -1,
}
