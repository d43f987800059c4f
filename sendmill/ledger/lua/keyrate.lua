#!lua flags=allow-oom
-- Let an API key's request in, or say when it may come again. All of its limits are taken together or none.
-- KEYS[1] <namespace>:{jobs}:apikeys
-- ARGV[1] the key's id, ARGV[2..] three by three: name of a limit, its window in ms, the most units in any window; then
-- the units that are asked of it
-- Returns the ms to wait, 0 where it was let in.
-- Under <namespace>:{jobs}:apikey:<id>: stand used:<limit> and clock, as throttle.lua has them, for as long as a window.

local PREFIX = string.sub(KEYS[1], 1, -2) .. ':' .. ARGV[1] .. ':'
local function key(name) return PREFIX .. name end
-- include throttle.lua

local KEPT_AFTER_MS = 60000
local t = redis.call('TIME')
local now = tonumber(t[1]) * 1000 + tonumber(t[2]) / 1000

local limits, wait = {}, 0
for i = 2, #ARGV, 4 do
  local limit = { name = ARGV[i], window_ms = tonumber(ARGV[i + 1]), most = tonumber(ARGV[i + 2]) }
  limit.cost = tonumber(ARGV[i + 3])
  limits[#limits + 1] = limit
  if limit.cost > 0 then wait = math.max(wait, wait_for(limit, limit.cost, now, '')) end
end
if wait > 0 then return math.ceil(wait) end
local longest = 0
for _, limit in ipairs(limits) do
  if limit.cost > 0 then
    take(limit, limit.cost, now)
    redis.call('PEXPIRE', key('used:' .. limit.name), limit.window_ms + KEPT_AFTER_MS)
  end
  longest = math.max(longest, limit.window_ms)
end
redis.call('PEXPIRE', key('clock'), longest + KEPT_AFTER_MS)
return 0
