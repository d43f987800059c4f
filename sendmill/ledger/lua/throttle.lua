-- The sliding log: never more than `most` units in any window, over all processes of an account.
--
-- Each grant leaves an entry "ms count". Units come back window + jitter after they were granted: the jitter is the
-- most by which the way from here to the vendor may differ between two calls, so that the limit also holds where the
-- vendor counts arrivals. Entries that fall into the same 400th of a window are merged at the later time, which keeps
-- the log small and errs on the strict side. All limits of a call are taken together or not at all.
--
-- A process may be stopped between the grant and the write, for any time. So the units of a call stay taken until its
-- process has said that it was written, however long ago the grant was; then they count from the write where that was
-- later than the jitter allows for.
--
-- used:<limit> list of "ms count", the earliest first; clock hash: sum:<limit> units in the list, pace:<limit> ms,
-- otp ms; unwritten zset: call → ms of its grant; state hash: limit:<limit> what `sendmill limit` set, least:<limit> the
-- strictest that a worker is configured for (tasks/start/lua/limits.lua).

local MERGES_PER_WINDOW = 400
local JITTER_MS = 20
local PACE_BURST_MS = 50
local LONGEST_PACED_WINDOW_MS = 10000
local ASK_AGAIN_MS = 20
local LEFT_TO_OTP = 0.05
local WINDOWS_MS = { s = 1000, min = 60000, h = 3600000 }
local LIMITS = {
  'calls_per_s', 'calls_per_min', 'calls_per_h', 'recipients_per_s', 'recipients_per_min', 'recipients_per_h',
  'max_in_flight',
}
local STANDING = { 'state' }
for _, name in ipairs(LIMITS) do
  STANDING[#STANDING + 1] = 'limit:' .. name
  STANDING[#STANDING + 1] = 'least:' .. name
end

-- What holds now: the account's state, the limits in time of a worker that asks with `asked`, tightened and added to by
-- what operators set and other workers are configured for, the most calls that a service may have open (0: any number),
-- and the value of a further field of the state hash (`also`).
local function standing(asked, slots, also)
  local found = redis.call('HMGET', key('state'), also or 'state', unpack(STANDING))
  local limits, by_name = {}, {}
  for i, limit in ipairs(asked) do
    limits[i] = limit
    by_name[limit.name] = limit
  end
  for i, name in ipairs(LIMITS) do
    local set, least = tonumber(found[2 * i + 1] or nil), tonumber(found[2 * i + 2] or nil)
    if set or least then
      local most = math.min(set or least, least or set)
      local unit, window = string.match(name, '^(%a+)_per_(%a+)$')
      if not unit then
        slots = slots > 0 and math.min(slots, most) or most
      elseif by_name[name] then
        by_name[name].most = math.min(by_name[name].most, most)
      else
        limits[#limits + 1] = { name = name, unit = unit, window_ms = WINDOWS_MS[window], most = most }
      end
    end
  end
  return found[2], limits, slots, found[1]
end

-- Whether a limit holds for a service: vendors publish some for a few of them alone.
local function holds_for(limit, service)
  if not limit.services then return true end
  for _, each in ipairs(limit.services) do
    if each == service then return true end
  end
  return false
end

-- What a lane may use of a limit. Bulk is paced in short windows, so that otp finds units in all of them; of long ones it
-- leaves some, else an otp would wait for an hour.
local function most_for(limit, lane)
  if lane ~= 'bulk' or limit.window_ms <= LONGEST_PACED_WINDOW_MS then return limit.most end
  return limit.most - math.floor(limit.most * LEFT_TO_OTP)
end

local function entry(text)
  local at, count = string.match(text, '^(%S+) (%S+)$')
  return tonumber(at), tonumber(count)
end

local function cost_of(limit, recipients) return limit.unit == 'recipients' and recipients or 1 end

-- Drop what has left the window; returns the units still in it.
local function units_used(limit, now)
  local log, sum = key('used:' .. limit.name), tonumber(redis.call('HGET', key('clock'), 'sum:' .. limit.name) or '0')
  local gone = now - limit.window_ms - JITTER_MS
  local dropped = false
  while true do
    local head = redis.call('LINDEX', log, 0)
    if not head then
      if sum ~= 0 then sum, dropped = 0, true end
      break
    end
    local at, count = entry(head)
    if at > gone then break end
    redis.call('LPOP', log)
    sum, dropped = sum - count, true
  end
  if dropped then redis.call('HSET', key('clock'), 'sum:' .. limit.name, sum) end
  return sum
end

-- Units that have left the log although nobody has said yet that their calls were written: they may be at any moment.
local function units_unwritten(limit, now)
  local units = 0
  local gone = now - limit.window_ms - JITTER_MS
  for _, no in ipairs(redis.call('ZRANGEBYSCORE', key('unwritten'), '-inf', gone)) do
    local call = redis.call('HMGET', key('call:' .. no), 'recipients', 'service')
    if holds_for(limit, call[2]) then units = units + cost_of(limit, tonumber(call[1] or '0')) end
  end
  return units
end

-- Milliseconds until `cost` units are free for a lane, 0 where they are.
local function wait_for(limit, cost, now, lane)
  local excess = units_used(limit, now) + units_unwritten(limit, now) + cost - most_for(limit, lane)
  local wait = 0
  if excess > 0 then
    local at = 0
    for _, text in ipairs(redis.call('LRANGE', key('used:' .. limit.name), 0, -1)) do
      local granted_at, count = entry(text)
      at, excess = granted_at, excess - count
      if excess <= 0 then break end
    end
    -- What is left is of calls that were not written yet: it comes back when somebody says so.
    wait = excess > 0 and ASK_AGAIN_MS or math.max(1, at + limit.window_ms + JITTER_MS - now)
  end
  if lane == 'bulk' and limit.window_ms <= LONGEST_PACED_WINDOW_MS then
    local next_at = tonumber(redis.call('HGET', key('clock'), 'pace:' .. limit.name) or '0')
    wait = math.max(wait, next_at - PACE_BURST_MS - now)
  end
  return wait
end

local function take(limit, cost, now)
  local log, grain = key('used:' .. limit.name), limit.window_ms / MERGES_PER_WINDOW
  local tail = redis.call('LINDEX', log, -1)
  local at, count = 0, 0
  if tail then at, count = entry(tail) end
  if tail and math.floor(at / grain) == math.floor(now / grain) then
    redis.call('LSET', log, -1, string.format('%.3f %d', now, count + cost))
  else
    redis.call('RPUSH', log, string.format('%.3f %d', now, cost))
  end
  redis.call('HINCRBY', key('clock'), 'sum:' .. limit.name, cost)
  local paced_from = math.max(now, tonumber(redis.call('HGET', key('clock'), 'pace:' .. limit.name) or '0'))
  local interval = (limit.window_ms + JITTER_MS) / limit.most
  redis.call('HSET', key('clock'), 'pace:' .. limit.name, string.format('%.3f', paced_from + interval * cost))
end

-- Give the units of a call back that was granted at `granted` and never made. They are taken out of the entry that holds
-- them: from any other, what was granted since would leave the window too early. Not there any more: nothing to give.
local function refund(limit, cost, granted)
  local log, grain = key('used:' .. limit.name), limit.window_ms / MERGES_PER_WINDOW
  local wanted = math.floor(granted / grain)
  for place = -1, -redis.call('LLEN', log), -1 do
    local text = redis.call('LINDEX', log, place)
    local at, count = entry(text)
    local found = math.floor(at / grain)
    if found < wanted then return end
    if found == wanted then
      local back = math.min(count, cost)
      if back == count then
        redis.call('LREM', log, -1, text)
      else
        redis.call('LSET', log, place, string.format('%.3f %d', at, count - back))
      end
      redis.call('HINCRBY', key('clock'), 'sum:' .. limit.name, -back)
      local interval = (limit.window_ms + JITTER_MS) / limit.most
      redis.call('HINCRBYFLOAT', key('clock'), 'pace:' .. limit.name, -interval * back)
      return
    end
  end
end

-- Put units into the log at a time that may be earlier than its end.
local function put(limit, cost, at)
  local log, grain = key('used:' .. limit.name), limit.window_ms / MERGES_PER_WINDOW
  local text = string.format('%.3f %d', at, cost)
  for place = redis.call('LLEN', log) - 1, 0, -1 do
    local there = redis.call('LINDEX', log, place)
    local there_at, count = entry(there)
    if math.floor(there_at / grain) == math.floor(at / grain) then
      redis.call('LSET', log, place, string.format('%.3f %d', math.max(there_at, at), count + cost))
      return
    end
    if there_at < at then
      -- Behind this one, which an equal one before it may not be taken for.
      redis.call('LSET', log, place, '-')
      redis.call('LINSERT', log, 'AFTER', '-', text)
      redis.call('LSET', log, place, there)
      return
    end
  end
  redis.call('LPUSH', log, text)
end

-- Count units that were granted at granted_ms from when they were written. They may have left the log meanwhile: then
-- they are taken anew, whatever else is in it, because the call is on the wire.
local function count_from(limit, cost, granted_ms, written_ms, now)
  local log, grain = key('used:' .. limit.name), limit.window_ms / MERGES_PER_WINDOW
  units_used(limit, now)
  local wanted, found = math.floor(granted_ms / grain), false
  for place, text in ipairs(redis.call('LRANGE', log, 0, -1)) do
    local at, count = entry(text)
    if math.floor(at / grain) == wanted and count >= cost then
      redis.call('LSET', log, place - 1, string.format('%.3f %d', at, count - cost))
      found = true
      break
    end
  end
  if not found then redis.call('HINCRBY', key('clock'), 'sum:' .. limit.name, cost) end
  put(limit, cost, written_ms)
end
