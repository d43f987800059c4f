#!lua flags=allow-oom
-- include rows.lua
-- include throttle.lua
-- The gate before the wire. For each call in turn: check its slices' leases, the account, cancellation, expiry and that
-- every row is queued; take slot and tokens; mark the rows `submitting`; write the call record. One misfit row marks
-- nothing of its call. Stops at the first call that may not go.
-- KEYS[1] the account's state hash
-- ARGV[1] msgpack {lane, service, owner, slots (0: any number), call_ms (its timeout and grace),
--         limits: [{name, unit, window_ms, most, services: nil for all}], written: [call that left on time and was not told of],
--         calls: [{no, recipients, rows: [[slice, epoch, first, last, …]]}]}
-- Returns {granted, why, a, b, ms, limited ("1" or "0")}: why is ok | wait (a: ms) | slot | void
--         | paused (a: state, host or outage) | large (a: the most recipients that may go at once)
--         | trial (the same, for the one call that may go now)
--         | misfit (a: slice, b: lease, cancelled, expired, row or gone); ms is the clock; limited says that limits in
--         time hold.

local ask = cmsgpack.unpack(ARGV[1])
local now = clock_ms()
local at = string.format('%.3f', now)
local granted = 0
local opened, unwritten = {}, {}
local slots = key('slots:' .. ask.service)

local host = string.match(ask.owner, '^[^:]*')
local state, all_limits, most_open, barred = standing(ask.limits, ask.slots, 'barred:' .. host)
local limits = {}
for _, limit in ipairs(all_limits) do
  if holds_for(limit, ask.service) then limits[#limits + 1] = limit end
end

local function result(why, a, b)
  if granted > 0 then
    redis.call('ZADD', key('open'), unpack(opened))
    if most_open > 0 then redis.call('ZADD', slots, unpack(opened)) end
    if #unwritten > 0 then redis.call('ZADD', key('unwritten'), unpack(unwritten)) end
    redis.call('HINCRBY', key('state'), 'calls', granted)
    redis.call('HSET', key('state'), 'last_call_ms', math.floor(now))
  end
  flush()
  return { granted, why, a or '', b or '', at, #limits > 0 and '1' or '0' }
end

if state and state ~= 'active' then return result('paused', state) end
-- The vendor does not let this host's address in.
if barred then return result('paused', 'host') end

-- A vendor that took nothing is left alone for a while; after a restart of Redis everybody first writes again what it
-- lost. One that took nothing for long (finish.lua opens the breaker) is then tried with one call, whose end says how it
-- goes on.
local waits = redis.call('HMGET', key('clock'), 'cool', 'otp', 'otp:' .. ask.service, 'quarantine', 'broken', 'trial')
local cool, quarantine, trying = tonumber(waits[1] or '0'), tonumber(waits[4] or '0'), waits[5]
if trying and math.max(cool, tonumber(waits[6] or '0')) > now then return result('paused', 'outage') end
local opens = math.max(cool, quarantine)
if opens > now then return result('wait', string.format('%.3f', opens - now)) end
local TRIAL_RECIPIENTS = 100
local OTP_ASKS_AGAIN_MS = 1000

local function misfit(call)
  for _, rows in ipairs(call.rows) do
    local s = slice_of(rows[1])
    if not s then return rows[1], 'gone' end
    if s.epoch ~= rows[2] or leased_until(s) <= now then return s.id, 'lease' end
    if is_cancelled(s.job) then return s.id, 'cancelled' end
    if s.expires <= now then return s.id, 'expired' end
    for i = 3, #rows, 2 do
      local states = states_of(s, rows[i], rows[i + 1])
      if states ~= string.rep('q', rows[i + 1] - rows[i] + 1) then return s.id, 'row' end
    end
  end
  return nil
end

for _, no in ipairs(ask.written) do redis.call('ZREM', key('unwritten'), no) end

local ends = math.ceil(now + ask.call_ms)
local taken = 0
if most_open > 0 then
  redis.call('ZREMRANGEBYSCORE', slots, '-inf', now)
  taken = redis.call('ZCARD', slots)
end

local numbers, ids = {}, {}
for n, call in ipairs(ask.calls) do
  numbers[n] = key('call:' .. call.no)
  for _, rows in ipairs(call.rows) do ids[#ids + 1] = rows[1] end
end
read_leases(ids)
read_pages(ids)
local some_void = #numbers > 0 and redis.call('EXISTS', unpack(numbers)) > 0

for _, call in ipairs(ask.calls) do
  local slice, reason = misfit(call)
  if slice then return result('misfit', slice, reason) end
  -- An owner that gave this call up (its answer from here was late) has left the number void.
  if some_void and redis.call('EXISTS', key('call:' .. call.no)) == 1 then return result('void') end
  -- What is tried may end unconfirmed.
  if trying and call.recipients > TRIAL_RECIPIENTS then return result('trial', string.format('%d', TRIAL_RECIPIENTS)) end
  if most_open > 0 then
    local otp_first = ask.lane ~= 'otp' and tonumber(waits[3] or '0') > now
    if otp_first or taken + granted >= most_open then
      if ask.lane == 'otp' then redis.call('HSET', key('clock'), 'otp:' .. ask.service, now + 1000) end
      return result('slot')
    end
  end
  local otp_until = tonumber(waits[2] or '0')
  if ask.lane ~= 'otp' and otp_until > now then
    return result('wait', string.format('%.3f', math.max(5, otp_until - OTP_ASKS_AGAIN_MS - now)))
  end
  local wait = 0
  for _, limit in ipairs(limits) do
    -- A limit that was tightened while calls were packed: larger than a whole window, it would wait for ever.
    local cost, most = cost_of(limit, call.recipients), most_for(limit, ask.lane)
    if cost > most then return result('large', string.format('%d', most)) end
    wait = math.max(wait, wait_for(limit, cost, now, ask.lane))
  end
  if wait > 0 then
    -- Who asked asks again within a second; an otp that is gone holds up nobody for longer.
    if ask.lane == 'otp' then redis.call('HSET', key('clock'), 'otp', now + math.min(wait, 1000) + OTP_ASKS_AGAIN_MS) end
    return result('wait', string.format('%.3f', wait))
  end
  if ask.lane == 'otp' and granted == 0 then redis.call('HDEL', key('clock'), 'otp', 'otp:' .. ask.service) end
  for _, limit in ipairs(limits) do
    take(limit, cost_of(limit, call.recipients), now)
  end
  if #limits > 0 then
    unwritten[#unwritten + 1] = at
    unwritten[#unwritten + 1] = call.no
  end
  opened[#opened + 1] = ends
  opened[#opened + 1] = call.no
  local rows = {}
  for n, run in ipairs(call.rows) do
    local s = slice_of(run[1])
    local kept = { run[1] }
    for i = 3, #run, 2 do
      move(s, run[i], run[i + 1], 'q', 'g', now)
      name_call(s, run[i], run[i + 1], call.no)
      kept[#kept + 1] = run[i]
      kept[#kept + 1] = run[i + 1]
    end
    rows[n] = kept
  end
  redis.call('HSET', key('call:' .. call.no), 'rows', cmsgpack.pack(rows), 'at', at,
    'owner', ask.owner, 'service', ask.service, 'recipients', call.recipients)
  granted = granted + 1
  if trying then
    redis.call('HSET', key('clock'), 'trial', now + ask.call_ms)
    return result('ok')
  end
end
return result('ok')
