-- The sliding log: never more than `most` units in any window, over all processes of an account.
--
-- Each grant leaves an entry "ms count". Units come back window + jitter after they were granted: the jitter is the
-- most by which the way from here to the vendor may differ between two calls, so that the limit also holds where the
-- vendor counts arrivals. Entries that fall into the same 400th of a window are merged at the later time, which keeps
-- the log small and errs on the strict side. All limits of a call are taken together or not at all.
--
-- used:<limit> list of "ms count"; clock hash: sum:<limit> units in the list, pace:<limit> ms, otp ms.

local MERGES_PER_WINDOW = 400
local JITTER_MS = 20
local PACE_BURST_MS = 50
local LONGEST_PACED_WINDOW_MS = 10000

local function entry(text)
  local at, count = string.match(text, '^(%S+) (%S+)$')
  return tonumber(at), tonumber(count)
end

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

-- Milliseconds until `cost` units are free, 0 where they are.
local function wait_for(limit, cost, now, paced)
  local excess = units_used(limit, now) + cost - limit.most
  local wait = 0
  if excess > 0 then
    local at = 0
    for _, text in ipairs(redis.call('LRANGE', key('used:' .. limit.name), 0, -1)) do
      local granted_at, count = entry(text)
      at, excess = granted_at, excess - count
      if excess <= 0 then break end
    end
    wait = math.max(1, at + limit.window_ms + JITTER_MS - now)
  end
  if paced and limit.window_ms <= LONGEST_PACED_WINDOW_MS then
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

-- Count units that were granted at granted_ms as taken now. They may have left the window meanwhile: then they are
-- taken anew, whatever else is in it, because the call is on the wire.
local function count_from(limit, cost, granted_ms, now)
  local log = key('used:' .. limit.name)
  units_used(limit, now)
  for index, text in ipairs(redis.call('LRANGE', log, 0, -1)) do
    local at, count = entry(text)
    -- Merged entries bear their latest time, so the first one that is not earlier holds the grant.
    if at >= granted_ms and count >= cost then
      redis.call('LSET', log, index - 1, string.format('%.3f %d', at, count - cost))
      redis.call('RPUSH', log, string.format('%.3f %d', now, cost))
      return
    end
  end
  redis.call('RPUSH', log, string.format('%.3f %d', now, cost))
  redis.call('HINCRBY', key('clock'), 'sum:' .. limit.name, cost)
end

local function cost_of(limit, recipients) return limit.unit == 'recipients' and recipients or 1 end
