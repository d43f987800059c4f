#!lua flags=allow-oom
-- include rows.lua
-- include throttle.lua
-- A worker says what its configuration allows; of workers that differ the strictest wins, as long as it lives.
-- KEYS[1] the account's state hash
-- ARGV[1] process, ARGV[2] msgpack {limit: most} (nil: the worker ends), ARGV[3] ms after which a silent one is forgotten
-- workers hash: process → msgpack [ms, {limit: most}]; state hash: least:<limit>.
-- Returns the number of workers.

local now = clock_ms()
local mine = cmsgpack.unpack(ARGV[2])
if mine then
  redis.call('HSET', key('workers'), ARGV[1], cmsgpack.pack({ math.floor(now), mine }))
else
  redis.call('HDEL', key('workers'), ARGV[1])
end

local told, workers, least = redis.call('HGETALL', key('workers')), 0, {}
for i = 1, #told, 2 do
  local at, limits = unpack(cmsgpack.unpack(told[i + 1]))
  if at + tonumber(ARGV[3]) < now then
    redis.call('HDEL', key('workers'), told[i])
  else
    workers = workers + 1
    for name, most in pairs(limits) do least[name] = math.min(most, least[name] or most) end
  end
end
for _, name in ipairs(LIMITS) do
  if least[name] then
    redis.call('HSET', key('state'), 'least:' .. name, string.format('%d', least[name]))
  else
    redis.call('HDEL', key('state'), 'least:' .. name)
  end
end
return workers
